"""The command line `proofloop`: `verify` and `audit` here, all else from the distributions that are installed.

A distribution adds a command by an entry point in the group `proofloop.commands`. Its name is the command's
name; it loads to a `typer.Typer` (a command with subcommands) or to a function (a command by itself). A
`typer.Typer` of the name `audit` adds its subcommands to ours.
"""

from __future__ import annotations

import json
import sys
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from proofloop_verifier import log_cli
from proofloop_verifier.packet import verify_packet
from proofloop_verifier.report import Check, Report, Verdict
from proofloop_verifier.terminal import EXIT_CODES, print_report, read_keys

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

COMMANDS = "proofloop.commands"
"""Entry point group of further commands."""

_AUDIT = "audit"


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
    report = verify_packet(file, read_keys(trust or ()))
    if as_json:
        typer.echo(json.dumps(report.to_json(), indent=2))
    else:
        print_report(Check, report.findings, _conclusion(report), looked=report.packet_id is not None)
    raise typer.Exit(EXIT_CODES[report.verdict])


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
    """The plugins that these arguments need: the ones named, none for `verify`, else all, to be listed."""
    command = next((argument for argument in arguments if not argument.startswith("-")), None)
    if command == verify.__name__:
        return []
    ordered = sorted(plugins, key=lambda plugin: plugin.name)
    named = [plugin for plugin in ordered if plugin.name == command]
    return named if named or command == _AUDIT else ordered


def _add(app: typer.Typer, audit: typer.Typer, plugin: EntryPoint) -> None:
    """Add a plugin's command, or, where it does not load, one that says so."""
    home = audit if plugin.name == _AUDIT else app
    try:
        command = plugin.load()
    except Exception as error:  # noqa: BLE001 -- a plugin is others' code: it may break itself, never the rest
        reason = f"{plugin.value} does not load: {error!r}"

        def broken() -> None:
            typer.echo(reason, err=True)
            raise typer.Exit(1)

        home.command(plugin.name, help=f"Broken: {reason}")(broken)
        return
    if not isinstance(command, typer.Typer):
        home.command(plugin.name)(command)
    elif home is audit:
        # Without a name its commands stand beside ours.
        audit.add_typer(command)
    else:
        app.add_typer(command, name=plugin.name)


def application(arguments: Sequence[str]) -> typer.Typer:
    """The command line with `verify`, `audit`, and as many commands of other distributions as these arguments need."""
    app = typer.Typer(no_args_is_help=True, add_completion=False)
    app.callback()(proofloop)
    app.command()(verify)
    audit = log_cli.commands()
    app.add_typer(audit, name=_AUDIT)
    for plugin in _wanted(arguments, entry_points(group=COMMANDS)):
        _add(app, audit, plugin)
    return app


def main() -> None:
    """Run the command line."""
    application(sys.argv[1:])()
