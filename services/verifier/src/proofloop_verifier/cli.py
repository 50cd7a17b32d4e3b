"""The command line `proofloop`: `verify` here, everything else from the distributions that are installed.

A distribution adds a command by an entry point in the group `proofloop.commands`. Its name is the command's
name; it loads to a `typer.Typer` (a command with subcommands) or to a function (a command by itself).
"""

from __future__ import annotations

import json
import sys
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from proofloop_verifier.note import NoteError, VerifierKey
from proofloop_verifier.packet import verify_packet
from proofloop_verifier.report import Check, Report, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

COMMANDS = "proofloop.commands"
"""Entry point group of further commands."""

EXIT_CODES = {Verdict.VERIFIED: 0, Verdict.FAILED: 1, Verdict.CONSISTENT_UNKNOWN_KEY: 3}
"""2 is left to wrong usage, as everywhere."""

_MAX_KEY_BYTES = 4096


def proofloop() -> None:
    """Proofloop: evidence that a stranger can verify."""


def verify(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, readable=True, help="The packet.")],
    trust: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY", help="A log's verifier key, or a file that holds one. Repeatable."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Verify a packet, offline.

    Keys inside the packet are never trusted: get the log's key from its operator, by another way.

    Exit codes: 0 verified; 1 something is wrong or could not be checked; 2 wrong usage; 3 consistent, but
    signed by a key that is not among the trusted ones.
    """
    report = verify_packet(file, [_read_key(text) for text in trust or ()])
    if as_json:
        typer.echo(json.dumps(report.to_json(), indent=2))
    else:
        _print(report)
    raise typer.Exit(EXIT_CODES[report.verdict])


def _read_key(text: str) -> VerifierKey:
    try:
        return VerifierKey.parse(text)
    except NoteError as not_a_key:
        try:
            with Path(text).open("rb") as file:
                return VerifierKey.parse(file.read(_MAX_KEY_BYTES).decode().strip())
        except OSError:
            raise typer.BadParameter(f"neither a file nor a key: {not_a_key}", param_hint="--trust") from None
        except (NoteError, ValueError) as error:
            raise typer.BadParameter(f"{text} holds no key: {error}", param_hint="--trust") from error


def _print(report: Report) -> None:
    console = Console(highlight=False)
    table = Table("check", "result", show_edge=False)
    for check in Check:
        table.add_row(check.meaning, _result(report, check))
    console.print(table)
    for number, finding in enumerate(report.findings, start=1):
        # Text, since a hostile file's name is no markup.
        console.print(Text(f"{number}. {finding.sentence}", style="yellow" if finding.not_checked else "red"))
    console.print(Text(_conclusion(report), style="bold"), soft_wrap=True)


def _result(report: Report, check: Check) -> Text:
    found = [finding for finding in report.findings if finding.check is check]
    if any(not finding.not_checked for finding in found):
        return Text("wrong", style="bold red")
    if found or report.packet_id is None:
        return Text("not checked", style="yellow")
    return Text("holds", style="green")


def _conclusion(report: Report) -> str:
    proven = f"{report.entries_proven} audit entries proven, {report.evidence_files} evidence files"
    match report.verdict:
        case Verdict.VERIFIED:
            return f"verified: packet {report.packet_id}, {proven}, signed by key {report.key_fingerprint}"
        case Verdict.CONSISTENT_UNKNOWN_KEY:
            return f"consistent, signed by unknown key {report.key_fingerprint}: {proven}"
        case Verdict.FAILED:
            return f"failed: {report.first_failure.sentence}" if report.first_failure else "failed"


def _wanted(arguments: Sequence[str], plugins: Iterable[EntryPoint]) -> list[EntryPoint]:
    """The plugins that these arguments need: the one named, none for our own, else all, to be listed."""
    command = next((argument for argument in arguments if not argument.startswith("-")), None)
    if command == verify.__name__:
        return []
    ordered = sorted(plugins, key=lambda plugin: plugin.name)
    return [plugin for plugin in ordered if plugin.name == command] or ordered


def _add(app: typer.Typer, plugin: EntryPoint) -> None:
    """Add a plugin's command, or, where it does not load, one that says so."""
    try:
        command = plugin.load()
    except Exception as error:  # noqa: BLE001 -- a plugin is others' code: it may break itself, never the rest
        reason = f"{plugin.value} does not load: {error!r}"

        def broken() -> None:
            typer.echo(reason, err=True)
            raise typer.Exit(1)

        app.command(plugin.name, help=f"Broken: {reason}")(broken)
        return
    if isinstance(command, typer.Typer):
        app.add_typer(command, name=plugin.name)
    else:
        app.command(plugin.name)(command)


def application(arguments: Sequence[str]) -> typer.Typer:
    """The command line with `verify` and as many commands of other distributions as these arguments need."""
    app = typer.Typer(no_args_is_help=True, add_completion=False)
    app.callback()(proofloop)
    app.command()(verify)
    for plugin in _wanted(arguments, entry_points(group=COMMANDS)):
        _add(app, plugin)
    return app


def main() -> None:
    """Run the command line."""
    application(sys.argv[1:])()
