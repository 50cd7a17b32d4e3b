"""What the entries of a whole log say: each is a well-formed leaf of this log, and every claim's chain is unbroken.

The chains' ends are kept in a temporary SQLite database, which goes to disk when it grows, so that a log of any number
of claims is checked in constant memory.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Protocol, Self

from proofloop_verifier.leaf import ClaimLink, Leaf, LeafError
from proofloop_verifier.report import Finding, LogCheck

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from types import TracebackType


class EntryCheck(Protocol):
    """Is shown the entries of a log in order."""

    def follow(self, index: int, entry: bytes, leaf_hash: bytes) -> Iterator[Finding]:
        """Say what is wrong with the next entry, whose hash the signed tree holds."""

    def skip(self) -> None:
        """Learn that entries follow that cannot be read or are not those that were signed."""


class AnyEntry:
    """Takes entries for what they are: bytes."""

    def follow(self, index: int, entry: bytes, leaf_hash: bytes) -> Iterator[Finding]:  # noqa: ARG002 -- the protocol
        """Nothing is wrong with it."""
        return iter(())

    def skip(self) -> None:
        """Nothing to learn."""


class LeafCheck:
    """Follows the entries of a log as leaves of version 1, and the chains of its claims.

    Use it as a context: it holds a temporary database.
    """

    def __init__(self, tenant: str) -> None:
        self._tenant = tenant
        self._newest: datetime | None = None
        self._skipped = False
        # An empty name is a private database on disk, kept in memory while it is small.
        self._chains = sqlite3.connect("", isolation_level=None)
        self._chains.execute("CREATE TABLE chain (claim TEXT PRIMARY KEY, sequence INTEGER, hash BLOB) WITHOUT ROWID")
        self._chains.execute("BEGIN")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._chains.close()

    def skip(self) -> None:
        """From here on, an entry of a claim that is missing may be one that was skipped."""
        self._skipped = True

    def follow(self, index: int, entry: bytes, leaf_hash: bytes) -> Iterator[Finding]:
        """Say what is wrong with the next entry."""
        try:
            leaf = Leaf.parse(entry)
        except LeafError as error:
            yield Finding(LogCheck.LEAF, _label(index), f"Entry {index} is not a well-formed audit entry: {error}.")
            self.skip()
            return
        if leaf.tenant != self._tenant:
            sentence = f"Entry {index} belongs to {leaf.tenant!r}, and the log to {self._tenant!r}."
            yield Finding(LogCheck.LEAF, _label(index), sentence)
        if self._newest is not None and leaf.append_time < self._newest:
            yield Finding(LogCheck.LEAF, _label(index), f"Entry {index} was appended before the one in front of it.")
        self._newest = leaf.append_time
        if leaf.claim is not None:
            yield from self._follow_claim(index, leaf.claim, leaf_hash)

    def _follow_claim(self, index: int, claim: ClaimLink, leaf_hash: bytes) -> Iterator[Finding]:
        with closing(
            self._chains.execute("SELECT sequence, hash FROM chain WHERE claim = ?", (claim.claim_id,))
        ) as rows:
            sequence, before = rows.fetchone() or (-1, None)
        gap_is_known = self._skipped and claim.sequence > sequence + 1
        if claim.sequence != sequence + 1 and not gap_is_known:
            sentence = f"Entry {index} is number {claim.sequence} of its claim, where number {sequence + 1} follows."
            yield Finding(LogCheck.CHAIN, _label(index), sentence)
        elif claim.previous != before and not gap_is_known:
            sentence = f"Entry {index} does not hold the hash of its claim's previous entry."
            yield Finding(LogCheck.CHAIN, _label(index), sentence)
        self._chains.execute("REPLACE INTO chain VALUES (?, ?, ?)", (claim.claim_id, claim.sequence, leaf_hash))


def _label(index: int) -> str:
    return f"entry {index}"
