"""The commands `proofloop audit`: what a stranger can do with a copy of a log and with proofs from it."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from proofloop_verifier.leaf import MAX_LEAF_BYTES
from proofloop_verifier.log_copy import LogCopy, open_copy
from proofloop_verifier.log_report import LogReport, verify_log
from proofloop_verifier.log_watch import Sight, look, read_state, write_state
from proofloop_verifier.merkle import ProofError, leaf_hash
from proofloop_verifier.note import NoteError, VerifierKey
from proofloop_verifier.report import LogCheck, Verdict
from proofloop_verifier.terminal import EXIT_CODES, print_report, read_keys
from proofloop_verifier.tlog_proof import MAX_PROOF_BYTES, TlogProof

if TYPE_CHECKING:
    from collections.abc import Sequence

    from proofloop_verifier.note import Checkpoint

REWRITTEN = 4
"""Exit code of `watch` for a log that forked or shrank."""

_SIGHT_CODES = {Sight.UNPROVEN: 1, Sight.SHRANK: REWRITTEN, Sight.FORKED: REWRITTEN}

Copy = Annotated[
    str, typer.Argument(metavar="COPY", help="A folder, or an http(s) URL below which the log's files lie.")
]
Trust = Annotated[
    list[str], typer.Option(metavar="KEY", help="A log's verifier key, or a file that holds one. Repeatable.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the outcome as JSON.")]


def commands() -> typer.Typer:
    """The group `audit`, to which another distribution may add."""
    group = typer.Typer(no_args_is_help=True)
    group.callback()(audit)
    for command in (verify, watch, proof):
        group.command()(command)
    return group


def audit() -> None:
    """Read audit logs, and check them and proofs from them, trusting nobody but the keys you name."""


def verify(
    copy: Copy,
    trust: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY", help="A log's verifier key, or a file that holds one. Repeatable."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Verify a copy of a log: every entry, every tile, the checkpoint.

    Exit codes: 0 verified; 1 something is wrong or could not be checked; 2 wrong usage; 3 consistent, but signed by a
    key that is not among the trusted ones.
    """
    report = verify_log(_open(copy), read_keys(trust or ()))
    if as_json:
        typer.echo(json.dumps(report.to_json(), indent=2))
    else:
        print_report(LogCheck, report.findings, _conclusion(report), looked=report.signed is not None)
    raise typer.Exit(EXIT_CODES[report.verdict])


def watch(
    copy: Copy,
    trust: Trust,
    state: Annotated[Path, typer.Option(dir_okay=False, help="File that keeps the last checkpoint that was seen.")],
    every: Annotated[
        float | None, typer.Option(min=1, metavar="SECONDS", help="Look again and again. Default: look once.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Demand that a log still begins with what it showed before.

    Keeps the checkpoint that it saw in the state file, and never one that contradicts it. With --every it ends only
    when the log forked or shrank.

    Exit codes: 0 the log is the same or grew; 1 it could not be read or relied on; 2 wrong usage; 4 it forked or
    shrank: keep the state file and the copy, together they are the evidence.
    """
    opened, trusted = _open(copy), read_keys(trust)
    while True:
        sight = _look(opened, trusted, state, as_json=as_json)
        code = _SIGHT_CODES.get(sight, 0)
        if every is None or code == REWRITTEN:
            raise typer.Exit(code)
        time.sleep(every)


def proof(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="The proof, a .tlog-proof file.")],
    trust: Trust,
    leaf: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="The entry's exact bytes. Default: those that the proof holds."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Verify the proof of a single entry (C2SP tlog-proof), offline.

    Exit codes: 0 verified; 1 not proven; 2 wrong usage.
    """
    trusted = read_keys(trust)
    try:
        index, leaf_digest, checkpoint, key = _prove(file, leaf, trusted)
    except ProofError as error:
        failure = {"verdict": Verdict.FAILED, "sentence": str(error)}
        typer.echo(json.dumps(failure, indent=2) if as_json else f"failed: {error}")
        raise typer.Exit(1) from error
    if as_json:
        outcome = {
            "verdict": Verdict.VERIFIED,
            "origin": checkpoint.origin,
            "index": index,
            "size": checkpoint.size,
            "leaf_hash": leaf_digest.hex(),
            "key_fingerprint": key.fingerprint,
        }
        typer.echo(json.dumps(outcome, indent=2))
    else:
        typer.echo(
            f"verified: entry {index} of {checkpoint.size} of the log {checkpoint.origin}, "
            f"signed by key {key.fingerprint}"
        )


def _prove(file: Path, leaf: Path | None, trusted: Sequence[VerifierKey]) -> tuple[int, bytes, Checkpoint, VerifierKey]:
    """The entry's index and hash, the checkpoint that proves it and the key that signed; ProofError otherwise."""
    parsed = TlogProof.parse(_read(file, MAX_PROOF_BYTES))
    entry = parsed.extra if leaf is None else _read(leaf, MAX_LEAF_BYTES)
    if not entry:
        raise ProofError("the proof holds no entry; name its file with --leaf")
    digest = leaf_hash(entry)
    return parsed.index, digest, *parsed.verify(digest, trusted)


def _look(copy: LogCopy, trusted: list[VerifierKey], state: Path, *, as_json: bool) -> Sight:
    try:
        seen = look(copy, trusted, read_state(state))
        if seen.seen is not None and seen.sight in (Sight.FIRST, Sight.GREW):
            write_state(state, seen.seen)
    except (NoteError, OSError) as error:
        raise typer.BadParameter(f"{state} cannot be used: {error}", param_hint="--state") from error
    typer.echo(json.dumps(seen.to_json()) if as_json else f"{seen.sight}: {seen.sentence}")
    return seen.sight


def _conclusion(report: LogReport) -> str:
    if report.signed is None or report.verdict is Verdict.FAILED:
        return f"failed: {report.first_failure.sentence}" if report.first_failure else "failed"
    checkpoint = report.signed.checkpoint
    checked = f"the log {checkpoint.origin}, {checkpoint.size} entries"
    if report.signed.key:
        return f"verified: {checked}, signed by key {report.signed.key.fingerprint}"
    return f"consistent, signed by unknown key {', '.join(report.unknown_signers)}: {checked}"


def _open(place: str) -> LogCopy:
    try:
        return open_copy(place)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="COPY") from error


def _read(file: Path, limit: int) -> bytes:
    """The file's bytes, one more than `limit` at most: whoever takes them refuses those."""
    try:
        with file.open("rb") as opened:
            return opened.read(limit + 1)
    except OSError as error:
        raise typer.BadParameter(f"{file} cannot be read: {error.strerror}") from error
