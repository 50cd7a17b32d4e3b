"""`proofloop audit export`: entries in bulk, as they are sent, in constant memory."""

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from proofloop.audit.v1 import log_service_pb2 as contract
from proofloop_verifier.export import check_export, read_lines
from proofloop_verifier.note import Checkpoint, Note, NoteError, VerifierKey
from proofloop_verifier.terminal import read_keys

from proofloop_audit.cli.client import connected
from proofloop_audit.cli.files import write_whole
from proofloop_audit.cli.options import Connection, Filters, spread
from proofloop_audit.cli.proving import Trust
from proofloop_audit.cli.words import Exit, fail, plain


class Format(StrEnum):
    """The form of a line."""

    JSONL = "jsonl"
    OCSF = "ocsf"


@spread
def export(
    filters: Filters,
    connection: Connection,
    trust: Trust = None,
    output: Annotated[
        Path | None, typer.Option(dir_okay=False, help="Where to write them. Default: standard output.")
    ] = None,
    format_: Annotated[
        Format, typer.Option("--format", help="jsonl: with all that proves an entry; ocsf: for security tools.")
    ] = Format.JSONL,
) -> None:
    """Export all entries that match, the oldest first, one a line.

    The file gets its name when it is whole; until then, and when it breaks off, it has `.partial` behind it. With
    --trust the whole log is exported up to a signed checkpoint, and has to be what the checkpoint signs before it gets
    its name. An export is an entry of the log itself.

    Exit codes: 0 exported, and with --trust verified; 1 it is not what was signed, or the service refused; 2 wrong
    usage; 5 it broke off or never came, try again.
    """
    wanted = filters.given()
    trusted = read_keys(trust or ())
    if trusted and (wanted or format_ is not Format.JSONL or output is None):
        reason = "checks the whole log: without filters, as jsonl, and with --output"
        raise typer.BadParameter(reason, param_hint="--trust")
    request = contract.ExportEntriesRequest(
        format=contract.ExportEntriesRequest.Format.Value(f"FORMAT_{format_.name}"), **wanted
    )
    with connected(connection) as audit:
        if output is None:
            stdout = typer.get_binary_stream("stdout")
            for piece in audit.export(request):
                stdout.write(piece)
            return
        signed = _signed(audit.checkpoint(), trusted) if trusted else None
        if signed is None:
            size = write_whole(output, audit.export(request))
            typer.echo(f"{output}: {size:,} bytes; not checked", err=True)
            return
        checkpoint, key = signed
        request.tree_size = checkpoint.size
        write_whole(output, audit.export(request), lambda file: _check(file, checkpoint))
    typer.echo(f"{output}: verified, {checkpoint.size} entries, signed by key {key.fingerprint}", err=True)


def _signed(text: str, trusted: Sequence[VerifierKey]) -> tuple[Checkpoint, VerifierKey]:
    """Return the checkpoint, and the trusted key of its log that signed it."""
    try:
        note = Note.parse(text.encode())
        checkpoint = Checkpoint.parse(note.text)
        signers = note.verify(key for key in trusted if key.name == checkpoint.origin)
    except NoteError as error:
        fail(Exit.WRONG, f"the service's checkpoint cannot be read: {plain(str(error))}", "Nothing was exported.")
    if not signers:
        sentence = f"no trusted key of {plain(checkpoint.origin)!r} signed the service's checkpoint"
        fail(Exit.WRONG, sentence, "Nothing was exported.")
    return checkpoint, signers[0]


def _check(file: Path, checkpoint: Checkpoint) -> None:
    """End the command where the file is not the log of the checkpoint."""
    with file.open("rb") as lines:
        findings = check_export(read_lines(lines), checkpoint).findings
    if findings:
        for number, finding in enumerate(findings, start=1):
            typer.echo(f"{number}. {plain(finding.sentence)}", err=True)
        fail(Exit.WRONG, "the export is not the log that was signed")
