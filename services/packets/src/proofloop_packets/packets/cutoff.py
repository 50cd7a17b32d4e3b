"""The cut-off: the audit entry that ends what a packet tells, and ties all of the packet to the log.

Before it is appended, the log must hold every event that the snapshot saw. Its details name the hash of the
snapshot, which names the hash of every file, and the certificate that signs the summary. So whoever trusts
the log's key can trust the whole packet.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from proofloop_verifier import canonical

ACTION = "packet.cutoff"
ENTITY_TYPE = "packet"


class ChainBroken(Exception):
    """The claim's entries do not lead from 0 to the cut-off without a gap."""


class ClaimEntry(Protocol):
    """An audit entry of a claim, as far as the cut-off looks at it."""

    @property
    def entry_id(self) -> str:
        """Return the entry's id."""

    @property
    def claim_sequence(self) -> int:
        """Return the entry's number within its claim, from 0."""


@dataclass(frozen=True, slots=True)
class CutOff:
    """The end of what a packet tells, as it stands in the log.

    Attributes:
        entry_id: Id of the cut-off's entry: the packet's id.
        index: Its place in the tenant's log.
        tree_size: Size of the log that the checkpoint speaks of; it covers the cut-off.
        checkpoint: The signed note.
        verifier_key: C2SP verifier key of the note's signature.
        time: The moment the packet tells of.
        signer_sha256: Hash of the certificate that signs the summary, DER, hex.
    """

    entry_id: str
    index: int
    tree_size: int
    checkpoint: str
    verifier_key: str
    time: datetime
    signer_sha256: str


def missing(event_ids: Iterable[str], entries: Iterable[ClaimEntry]) -> tuple[str, ...]:
    """Return those of the events that have no entry among a claim's, each once, oldest first.

    Ids are UUIDv7 and sort by time.
    """
    return tuple(sorted(set(event_ids) - {entry.entry_id for entry in entries}))


def details_json(snapshot: bytes, signer_certificate: bytes) -> str:
    """Return the details of the cut-off's entry: hashes of the snapshot and the signer (DER)."""
    return canonical.dumps(
        {
            "snapshot_sha256": hashlib.sha256(snapshot).hexdigest(),
            "signer_sha256": hashlib.sha256(signer_certificate).hexdigest(),
        }
    ).decode()


def up_to_cut_off(entries: Sequence[ClaimEntry], cut_off_id: str) -> int:
    """Return how many of a claim's entries, given oldest first, lead up to and include the cut-off.

    Raises:
        ChainBroken: they do not begin at 0, have a gap, or do not hold the cut-off.
    """
    for number, entry in enumerate(entries):
        if entry.claim_sequence != number:
            raise ChainBroken(f"entry {number} of the claim is missing")
        if entry.entry_id == cut_off_id:
            return number + 1
    raise ChainBroken("the cut-off is not among the claim's entries")
