"""Verify a copy of a log: its checkpoint, its tree, its entries, with nothing believed but the keys that one trusts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from proofloop_verifier import tiles
from proofloop_verifier.log_copy import CopyError, LogCopy, read_checkpoint
from proofloop_verifier.log_entries import LeafCheck
from proofloop_verifier.log_tree import TreeCheck
from proofloop_verifier.note import Checkpoint, Note, NoteError, VerifierKey
from proofloop_verifier.report import MAX_FINDINGS, Finding, LogCheck, Verdict, first_failure

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


@dataclass(frozen=True, slots=True)
class SignedCheckpoint:
    """A checkpoint, and who vouches for it."""

    note: Note
    checkpoint: Checkpoint
    key: VerifierKey | None
    """The trusted key that signed it; None where no trusted key of this log did."""


@dataclass(frozen=True, slots=True)
class LogReport:
    """The outcome of verifying one copy of a log."""

    findings: tuple[Finding, ...]
    """In the order in which they were found: the checkpoint's, then along the log."""
    signed: SignedCheckpoint | None
    """None when the copy has no readable checkpoint."""
    entries_checked: int
    """Entries that are what the copy's tiles say; all are proven if nothing was found."""

    @property
    def verdict(self) -> Verdict:
        """Verified only when nothing at all was found and a trusted key signed."""
        if self.findings or self.signed is None:
            return Verdict.FAILED
        return Verdict.VERIFIED if self.signed.key else Verdict.CONSISTENT_UNKNOWN_KEY

    @property
    def first_failure(self) -> Finding | None:
        """The first thing that is wrong; else the first that could not be checked."""
        return first_failure(self.findings)

    @property
    def unknown_signers(self) -> list[str]:
        """`<name>+<key id>` of who claims to have signed; nothing of it was verified."""
        return [f"{line.name}+{line.key_id.hex()}" for line in self.signed.note.signatures] if self.signed else []

    def to_json(self) -> dict[str, Any]:
        """The report for programs; a stable form of plain values."""
        checkpoint = self.signed.checkpoint if self.signed else None
        key = self.signed.key if self.signed else None
        return {
            "verdict": self.verdict,
            "origin": checkpoint.origin if checkpoint else None,
            "size": checkpoint.size if checkpoint else None,
            "root": checkpoint.root.hex() if checkpoint else None,
            "key_fingerprint": key.fingerprint if key else None,
            "key_trusted": key is not None,
            "signatures": self.unknown_signers,
            "entries_checked": self.entries_checked,
            "findings": [finding.to_json() for finding in self.findings],
        }


def verify_log(copy: LogCopy, trusted: Sequence[VerifierKey] = ()) -> LogReport:
    """Check a copy of a log and say all that is wrong with it; whatever it holds, the answer is a report."""
    findings: list[Finding] = []
    try:
        signed = signed_checkpoint(read_checkpoint(copy), trusted)
    except (CopyError, NoteError) as error:
        sentence = f"The log's checkpoint cannot be relied on: {error}."
        return LogReport((Finding(LogCheck.CHECKPOINT, tiles.CHECKPOINT, sentence),), None, 0)
    checkpoint = signed.checkpoint
    with LeafCheck(checkpoint.origin.rpartition("/")[2]) as entries:
        tree = TreeCheck(copy, checkpoint.size, checkpoint.root, entries)
        findings += _bounded(tree.findings())
    return LogReport(tuple(findings), signed, tree.entries_checked)


def signed_checkpoint(note: Note, trusted: Sequence[VerifierKey]) -> SignedCheckpoint:
    """The checkpoint of a note.

    NoteError where it is none, where its own log has not signed it, or where a signature by a trusted key does not
    hold.
    """
    checkpoint = Checkpoint.parse(note.text)
    if checkpoint.origin not in (line.name for line in note.signatures):
        raise NoteError(f"the log {checkpoint.origin!r} has not signed it")
    signers = [key for key in note.verify(trusted) if key.name == checkpoint.origin]
    return SignedCheckpoint(note, checkpoint, signers[0] if signers else None)


def _bounded(findings: Iterator[Finding]) -> Iterator[Finding]:
    for number, finding in enumerate(findings):
        if number == MAX_FINDINGS:
            sentence = f"Too much is wrong: from {finding.subject} on, the log was not checked."
            yield Finding(LogCheck.TREE, finding.subject, sentence, not_checked=True)
            return
        yield finding
