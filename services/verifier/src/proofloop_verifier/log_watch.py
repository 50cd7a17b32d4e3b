"""Watch a log: whatever it shows must begin with what it showed before."""

from __future__ import annotations

import os
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from proofloop_verifier import merkle, tiles
from proofloop_verifier.log_copy import CopyError, LogCopy, read_checkpoint, read_hashes
from proofloop_verifier.log_report import SignedCheckpoint, signed_checkpoint
from proofloop_verifier.merkle import CompactRange, ProofError
from proofloop_verifier.note import MAX_NOTE_BYTES, Note, NoteError, VerifierKey
from proofloop_verifier.tiles import TileError

if TYPE_CHECKING:
    from collections.abc import Sequence


class Sight(StrEnum):
    """What a look at a log has shown."""

    FIRST = "first"
    """A signed checkpoint, and none before to compare it with."""
    SAME = "same"
    """The checkpoint that was seen before, or another of the same tree."""
    GREW = "grew"
    """A larger tree that begins with the one seen before."""
    UNPROVEN = "unproven"
    """Nothing that can be relied on: unreachable, unsigned, damaged. Nothing follows from it."""
    SHRANK = "shrank"
    """A signed tree smaller than one that was signed before."""
    FORKED = "forked"
    """Two signed trees of which neither begins with the other: the log was rewritten."""


@dataclass(frozen=True, slots=True)
class Look:
    """One look at a log."""

    sight: Sight
    sentence: str
    seen: Note | None
    """The checkpoint that it shows now."""
    kept: Note | None
    """The one that was kept before: with `seen`, the evidence of a fork."""

    def to_json(self) -> dict[str, Any]:
        """The look for programs."""
        return {
            "sight": self.sight,
            "sentence": self.sentence,
            "seen": self.seen.to_bytes().decode() if self.seen else None,
            "kept": self.kept.to_bytes().decode() if self.kept else None,
        }


def look(copy: LogCopy, trusted: Sequence[VerifierKey], kept: Note | None) -> Look:
    """Compare the copy's checkpoint with the one kept, by a consistency proof computed from the copy's tiles.

    NoteError where the kept one is none, or no trusted key signed it.
    """
    before = _trusted(kept, trusted) if kept else None
    try:
        now = _trusted(read_checkpoint(copy), trusted)
        sight, sentence = _compare(copy, before, now)
    except (CopyError, NoteError, ProofError, TileError) as error:
        return Look(Sight.UNPROVEN, f"The log cannot be relied on: {error}.", None, kept)
    return Look(sight, sentence, now.note, kept)


def read_state(file: Path) -> Note | None:
    """The note that was kept; None where nothing was. NoteError or OSError where it cannot be read."""
    try:
        with file.open("rb") as stored:
            return Note.parse(stored.read(MAX_NOTE_BYTES + 1))
    except FileNotFoundError:
        return None


def write_state(file: Path, note: Note) -> None:
    """Keep a note, all at once or not at all."""
    fresh = file.with_name(f"{file.name}.new")
    with fresh.open("wb") as stored:
        stored.write(note.to_bytes())
        stored.flush()
        os.fsync(stored.fileno())
    fresh.replace(file)


def _trusted(note: Note, trusted: Sequence[VerifierKey]) -> SignedCheckpoint:
    signed = signed_checkpoint(note, trusted)
    if signed.key is None:
        raise NoteError(f"no trusted key of {signed.checkpoint.origin!r} signed the checkpoint")
    return signed


def _compare(copy: LogCopy, before: SignedCheckpoint | None, now: SignedCheckpoint) -> tuple[Sight, str]:
    new = now.checkpoint
    if before is None:
        return Sight.FIRST, f"The log {new.origin} has {new.size} entries, and nothing was kept of it before."
    old = before.checkpoint
    if old.origin != new.origin:
        raise NoteError(f"it is the checkpoint of {new.origin!r}, and the one that was kept is of {old.origin!r}")
    if new.size < old.size:
        return Sight.SHRANK, f"The log {new.origin} shrank from {old.size} entries to {new.size}."
    if _root_before(copy, old.size, new.size, new.root) != old.root:
        return Sight.FORKED, f"The log {new.origin} forked: its first {old.size} entries are not those seen before."
    if new.size == old.size:
        return Sight.SAME, f"The log {new.origin} still has {new.size} entries."
    return Sight.GREW, f"The log {new.origin} grew from {old.size} entries to {new.size}."


def _root_before(copy: LogCopy, old: int, new: int, root: bytes) -> bytes:
    """The root that a tree of `new` leaves had at `old`.

    What the tiles say of it is proven by `root`, so that damaged tiles are told from a log that was rewritten: those
    are a ProofError.
    """
    if old == new:
        return root
    needed = dict.fromkeys((*merkle.root_subtrees(old), *merkle.consistency_subtrees(old, new)))
    hashes = tiles.subtree_roots(needed, new, lambda tile: read_hashes(copy, tile))
    at_old = CompactRange(old, tuple(hashes[subtree] for subtree in merkle.root_subtrees(old))).root()
    merkle.verify_consistency(old, new, at_old, root, merkle.consistency_proof(old, new, hashes))
    return at_old
