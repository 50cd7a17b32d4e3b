"""The command line `proofloop`: `verify` and `audit` here, all else from the distributions that are installed.

A distribution adds a command by an entry point in the group `proofloop.commands`. Its name is the command's
name; it loads to a `typer.Typer` (a command with subcommands) or to a function (a command by itself). A
`typer.Typer` of the name `audit` adds its subcommands to ours. A name with a dot, such as `audit.fsck`, is a
subcommand of the command before the dot, whoever that one comes from.
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
    from collections.abc import Callable, Iterable, Sequence

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
    """The plugins that these arguments need: the ones named, none for `verify`, else all, to be listed.

    Of the subcommands that are named with a dot, too, it is the one named, and all only where none is.
    """
    command, subcommand, *_ = [argument for argument in arguments if not argument.startswith("-")] + [""] * 2
    if command == verify.__name__:
        return []
    ordered = sorted(plugins, key=lambda plugin: plugin.name)
    named = [plugin for plugin in ordered if plugin.name.partition(".")[0] == command]
    if not named and command != _AUDIT:
        return ordered
    return [plugin for plugin in named if not subcommand or plugin.name.partition(".")[2] in ("", subcommand)]


class _Commands:
    """The commands while they are put together: those at the top, and the groups of subcommands by name."""

    def __init__(self, app: typer.Typer) -> None:
        self._app = app
        self._groups: dict[str, typer.Typer] = {}

    def add_group(self, name: str, group: typer.Typer) -> None:
        """Add a command with subcommands."""
        if name in self._groups:
            # Without a name its commands stand beside those that are there.
            self._groups[name].add_typer(group)
        else:
            self._groups[name] = group
            self._app.add_typer(group, name=name)

    def add(self, plugin: EntryPoint) -> None:
        """Add a plugin's command, or, where it does not load, one that says so."""
        group, dot, subcommand = plugin.name.partition(".")
        name = subcommand if dot else group
        try:
            command = plugin.load()
        except Exception as error:  # noqa: BLE001 -- a plugin is others' code: it may break itself, never the rest
            reason = f"{plugin.value} does not load: {error!r}"
            self._home(group, dot).command(name, help=f"Broken: {reason}")(_broken(reason))
            return
        if not isinstance(command, typer.Typer):
            self._home(group, dot).command(name)(command)
        elif dot:
            self._home(group, dot).add_typer(command, name=name)
        else:
            self.add_group(group, command)

    def _home(self, group: str, dot: str) -> typer.Typer:
        """What a command belongs to: the group before its dot, which is made where there is none; or the top.

        Without a dot, one with the name of a group becomes a subcommand of it.
        """
        if group in self._groups:
            return self._groups[group]
        if not dot:
            return self._app
        self.add_group(group, typer.Typer(no_args_is_help=True))
        return self._groups[group]


def _broken(reason: str) -> Callable[[], None]:
    def broken() -> None:
        typer.echo(reason, err=True)
        raise typer.Exit(1)

    return broken


def application(arguments: Sequence[str]) -> typer.Typer:
    """The command line with `verify`, `audit`, and as many commands of other distributions as these arguments need."""
    app = typer.Typer(no_args_is_help=True, add_completion=False)
    app.callback()(proofloop)
    app.command()(verify)
    commands = _Commands(app)
    commands.add_group(_AUDIT, log_cli.commands())
    for plugin in _wanted(arguments, entry_points(group=COMMANDS)):
        commands.add(plugin)
    return app


def main() -> None:
    """Run the command line."""
    application(sys.argv[1:])()
