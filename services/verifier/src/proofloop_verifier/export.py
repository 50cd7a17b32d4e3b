"""Check the export of a whole log against a checkpoint, in constant memory, however long the log is.

An export has a line of JSON for each entry, in the form of the audit entries in a packet. Nothing proves a line by
itself; all leaf hashes together make the tree whose root the checkpoint signs. An export that was filtered is a part of
the log: its entries are proven one by one, by inclusion proofs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from proofloop_verifier.archive import MAX_LINE_BYTES
from proofloop_verifier.entries import Entry, EntryError, check_personal
from proofloop_verifier.leaf import LeafError
from proofloop_verifier.merkle import CompactRange
from proofloop_verifier.report import MAX_FINDINGS, Check, Finding

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import BinaryIO

    from proofloop_verifier.note import Checkpoint

_CHUNK = 1024
"""Leaf hashes that are joined to the tree at a time."""


@dataclass(frozen=True, slots=True)
class ExportReport:
    """The outcome of checking an export."""

    entries: int
    """Lines that are the log's entries, from the first one on, as far as they were looked at."""
    findings: tuple[Finding, ...]
    """What is wrong, or could not be checked; without any, the export is the log that the checkpoint signs."""


def read_lines(file: BinaryIO) -> Iterator[bytes]:
    """The lines of an open file, newlines left out; EntryError when one is longer than any entry can be."""
    while line := file.readline(MAX_LINE_BYTES + 1):
        if len(line) > MAX_LINE_BYTES:
            raise EntryError(f"a line has more than {MAX_LINE_BYTES} bytes")
        yield line.removesuffix(b"\n")


def check_export(lines: Iterable[bytes], checkpoint: Checkpoint) -> ExportReport:
    """Check that an export is the log of a checkpoint: nothing changed, left out, added or moved.

    Whether to believe the checkpoint is for the caller to know, by its signature. It ends at the first line that is not
    the log's next entry, for none behind it could be compared with anything.
    """
    check = _Check(checkpoint)
    try:
        for line in lines:
            if not check.take(line):
                break
    except EntryError as error:
        check.stop(Check.LEAF, f"Line {check.entries + 1} of the export cannot be read: {error}.")
    return check.report()


class _Check:
    def __init__(self, checkpoint: Checkpoint) -> None:
        self._size = checkpoint.size
        self._root = checkpoint.root
        self._tenant = checkpoint.origin.rpartition("/")[2]
        self._range = CompactRange()
        self._hashes: list[bytes] = []
        self._findings: list[Finding] = []
        self._stopped = False
        self.entries = 0

    def take(self, line: bytes) -> bool:
        """Look at the next line; False where there is no sense in looking at others."""
        if self.entries == self._size:
            sentence = f"The export goes on after the {self._size} entries that the checkpoint covers."
            self._findings.append(Finding(Check.INCLUSION, "the export", sentence, not_checked=True))
            return False
        try:
            entry = Entry.parse(line)
        except (EntryError, LeafError) as error:
            return self.stop(Check.LEAF, f"Line {self.entries + 1} of the export is no audit entry: {error}.")
        if entry.index != self.entries:
            return self.stop(Check.INCLUSION, f"Where audit entry {self.entries} should stand, {entry.label} does.")
        if entry.leaf.tenant != self._tenant:
            of = f"belongs to {entry.leaf.tenant!r}, and the log to {self._tenant!r}"
            return self.stop(Check.INCLUSION, f"The {entry.label} {of}.")
        self.entries += 1
        self._hashes.append(entry.hash)
        if len(self._hashes) == _CHUNK:
            self._join()
        self._findings += check_personal(entry)
        if len(self._findings) >= MAX_FINDINGS:
            return self.stop(Check.PERSONAL, f"Too much is wrong: nothing was checked from entry {self.entries} on.")
        return True

    def stop(self, check: Check, sentence: str) -> bool:
        """Note what the check ends with."""
        self._findings.append(Finding(check, "the export", sentence))
        self._stopped = True
        return False

    def report(self) -> ExportReport:
        self._join()
        if not self._stopped and self.entries < self._size:
            self.stop(Check.INCLUSION, f"The export has {self.entries} entries; the checkpoint covers {self._size}.")
        if not self._stopped and self._range.root() != self._root:
            computed = f"they lead to the root {self._range.root().hex()}, the checkpoint says {self._root.hex()}"
            self.stop(Check.INCLUSION, f"The entries are not those that the checkpoint covers: {computed}.")
        return ExportReport(self.entries, tuple(self._findings))

    def _join(self) -> None:
        self._range = self._range.extend(self._hashes)
        self._hashes.clear()
