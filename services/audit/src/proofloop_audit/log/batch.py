"""A batch of entries as it will stand in the log: indexes, links of the claims' chains, leaves, the tree's growth.

Nothing here does I/O, so that what an entry becomes depends on nothing but what is given.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from proofloop_verifier import merkle
from proofloop_verifier.leaf import ClaimLink, Leaf
from proofloop_verifier.merkle import CompactRange, Subtree

from proofloop_audit.log.domain import Receipt
from proofloop_audit.log.sealing import Sealed
from proofloop_audit.log.store import STORED_EVERY


class Chain(NamedTuple):
    """Where a claim's chain goes on: number of entries so far and the last one's leaf hash."""

    size: int = 0
    leaf_hash: bytes | None = None


@dataclass(frozen=True, slots=True)
class Head:
    """Where a log goes on: its tree, and when it was last appended to."""

    range: CompactRange
    append_time: datetime


class PlacedEntry(NamedTuple):
    """An entry with its place in the log."""

    entry: Sealed
    leaf: bytes
    receipt: Receipt
    claim_sequence: int | None


class Batch:
    """Entries that follow a head, in the order in which they are added.

    Args:
        head: Where the log stands.
        chains: Chains of at least the claims that the entries name.
        now: The time by our clock. Should it have gone backwards, the append time stays where it was.

    Attributes:
        entries: What was added.
        chains: Where the chains of the added entries' claims go on afterwards.
        append_time: The append time of all entries; never before the head's.
        after: The head after the batch, once it is grown.
        subtrees: The perfect subtrees that it completes whose roots are kept, once it is grown.
    """

    after: Head
    subtrees: list[tuple[Subtree, bytes]]

    def __init__(self, head: Head, chains: Mapping[str, Chain], now: datetime) -> None:
        self.head = head
        self.entries: list[PlacedEntry] = []
        self.chains: dict[str, Chain] = {}
        self.append_time = max(now, head.append_time)
        self._chains_before = chains

    def add(self, entry: Sealed) -> None:
        """Give an entry the next place."""
        draft = entry.draft
        link = self._link(draft.claim_id)
        leaf = Leaf(
            entry_id=draft.entry_id,
            event_time=draft.event_time or self.append_time,
            append_time=self.append_time,
            tenant=draft.tenant,
            service=draft.service,
            action=draft.action,
            outcome=draft.outcome,
            entity_type=draft.entity_type,
            entity_id=draft.entity_id,
            claim=link,
            session_id=draft.session_id,
            correlation_id=draft.correlation_id,
            trace_id=draft.trace_id,
            subjects=(entry.commitment,),
        ).to_bytes()
        leaf_hash = merkle.leaf_hash(leaf)
        if link is not None:
            self.chains[link.claim_id] = Chain(link.sequence + 1, leaf_hash)
        receipt = Receipt(draft.entry_id, self.head.range.size + len(self.entries), leaf_hash)
        self.entries.append(PlacedEntry(entry, leaf, receipt, None if link is None else link.sequence))

    def grow(self) -> None:
        """Grow the tree by what was added."""
        before = self.head.range.size
        grown, completed = self.head.range.grow([placed.receipt.leaf_hash for placed in self.entries])
        self.subtrees = [
            (Subtree(level, (before >> level) + offset), root)
            for level in range(STORED_EVERY, len(completed), STORED_EVERY)
            for offset, root in enumerate(completed[level])
        ]
        self.after = Head(grown, self.append_time)

    def _link(self, claim_id: str | None) -> ClaimLink | None:
        if claim_id is None:
            return None
        chain = self.chains.get(claim_id) or self._chains_before[claim_id]
        return ClaimLink(claim_id, chain.size, chain.leaf_hash)
