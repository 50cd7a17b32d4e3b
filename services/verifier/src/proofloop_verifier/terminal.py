"""What the commands have in common at a terminal."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from proofloop_verifier.note import NoteError, VerifierKey
from proofloop_verifier.report import CheckKind, Finding, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

EXIT_CODES = {Verdict.VERIFIED: 0, Verdict.FAILED: 1, Verdict.CONSISTENT_UNKNOWN_KEY: 3}
"""2 is left to wrong usage, as everywhere."""

_MAX_KEY_BYTES = 4096


def read_keys(texts: Iterable[str]) -> list[VerifierKey]:
    """The keys that `--trust` names, each a key or a file that holds one; a usage error where it is neither."""
    return [_read_key(text) for text in texts]


def print_report(checks: type[CheckKind], findings: Sequence[Finding], conclusion: str, *, looked: bool) -> None:
    """Print what each check found, every finding, and the conclusion; `looked`: whether anything was looked at."""
    console = Console(highlight=False)
    table = Table("check", "result", show_edge=False)
    for check in checks:
        table.add_row(check.meaning, _result([finding for finding in findings if finding.check is check], looked))
    console.print(table)
    for number, finding in enumerate(findings, start=1):
        # Text, since a hostile file's name is no markup.
        console.print(Text(f"{number}. {finding.sentence}", style="yellow" if finding.not_checked else "red"))
    console.print(Text(conclusion, style="bold"), soft_wrap=True)


def _result(found: Sequence[Finding], looked: bool) -> Text:
    if any(not finding.not_checked for finding in found):
        return Text("wrong", style="bold red")
    if found or not looked:
        return Text("not checked", style="yellow")
    return Text("holds", style="green")


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
