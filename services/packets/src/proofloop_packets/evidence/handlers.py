"""Use cases of evidence."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from proofloop_runtime.call import current
from proofloop_runtime.database import UnitOfWork
from proofloop_runtime.objects import ObjectStore
from proofloop_runtime.ports import Ids

from proofloop_packets import events
from proofloop_packets.claims import handlers as claims
from proofloop_packets.evidence import store
from proofloop_packets.evidence.domain import Evidence, Fingerprint, UploadLimits, object_key
from proofloop_packets.evidence.metadata import EvidenceMetadata

DOWNLOAD_TYPE = "application/octet-stream"
"""Evidence is handed out as bytes to save, never as something a browser would open."""


@dataclass(frozen=True, slots=True)
class File:
    """A file that was received whole.

    Attributes:
        name: Its name as it was handed in.
        fingerprint: What identifies its bytes.
        metadata: What an inspection says about it.
    """

    name: str
    fingerprint: Fingerprint
    metadata: EvidenceMetadata


async def check_upload(unit: UnitOfWork, limits: UploadLimits, *, claim_id: str) -> None:
    """Check, before a byte is read, that the caller may add a file to a claim and that one more fits.

    Raises:
        ClaimNotFound: there is no such claim.
        NotOwner: it is another claimant's.
        ClaimFull: it has as much evidence as it may.
    """
    await claims.get_claim_to_change(unit, claim_id=claim_id)
    limits.admit(claim_id, await store.holdings(unit, claim_id), 1)


async def keep_bytes(objects: ObjectStore, fingerprint: Fingerprint, path: Path) -> None:
    """Store a file's bytes, once per tenant and content."""
    key = object_key(current().caller.tenant, fingerprint.sha256)
    await objects.put(key, path, media_type=DOWNLOAD_TYPE, file_name=fingerprint.sha256)


async def record(unit: UnitOfWork, ids: Ids, limits: UploadLimits, *, claim_id: str, file: File) -> Evidence:
    """Record a file whose bytes are stored.

    Raises:
        ClaimNotFound: there is no such claim.
        NotOwner: it is another claimant's.
        ClaimFull: it does not fit.
    """
    # Locked, so that of two files that arrive together only as many are taken as fit.
    claim = await claims.get_claim_to_change(unit, claim_id=claim_id, lock=True)
    limits.admit(claim_id, await store.holdings(unit, claim_id), file.fingerprint.size)
    evidence = Evidence(
        evidence_id=ids.uuid7(),
        claim_id=claim.claim_id,
        file_name=file.name,
        media_type=file.metadata.media_type,
        size=file.fingerprint.size,
        sha256=file.fingerprint.sha256,
        md5=file.fingerprint.md5,
        metadata=_json(file.metadata),
        marks=file.metadata.marks,
        uploaded_by=current().caller.id,
        create_time=unit.clock.now(),
        last_event_id=ids.uuid7(),
    )
    await store.insert(unit, evidence)
    await unit.publish(events.evidence_uploaded(evidence, claim.owner_id))
    return evidence


async def get_evidence(unit: UnitOfWork, *, evidence_id: str) -> Evidence:
    """Return the record of a file that the caller may see.

    Raises:
        EvidenceNotFound: there is none of this id.
        NotOwner: it belongs to another claimant's claim.
    """
    evidence = await store.get(unit, evidence_id)
    await claims.get_claim(unit, claim_id=evidence.claim_id)
    return evidence


async def list_evidence(unit: UnitOfWork, *, claim_id: str, after: str | None, limit: int) -> Sequence[Evidence]:
    """Return the files of a claim in the order they were taken in, from behind the file `after`.

    Raises:
        ClaimNotFound: there is no such claim.
        NotOwner: it is another claimant's.
    """
    await claims.get_claim(unit, claim_id=claim_id)
    return await store.oldest_first(unit, claim_id=claim_id, after=after, limit=limit)


async def open_bytes(objects: ObjectStore, evidence: Evidence) -> AsyncIterator[bytes]:
    """Return the bytes of a file, in pieces."""
    return await objects.get(object_key(current().caller.tenant, evidence.sha256))


def _json(metadata: EvidenceMetadata) -> Mapping[str, Any]:
    return metadata.as_json()
