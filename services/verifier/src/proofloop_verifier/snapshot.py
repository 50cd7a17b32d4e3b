"""What the verifier reads of packet.json; the rest is for people and for other programs."""

from __future__ import annotations

from dataclasses import dataclass

from proofloop_verifier import canonical

VERSION = 1


class SnapshotError(ValueError):
    """packet.json is malformed; the message says how."""


@dataclass(frozen=True, slots=True)
class EvidenceItem:
    """One evidence file as the sealed contents list it."""

    evidence_id: str
    path: str
    """In the bag, below `data/`."""
    size: int
    """Bytes."""
    sha256: str
    """64 hex digits."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The contents that the log seals."""

    packet_id: str
    claim_id: str
    tenant: str
    evidence: tuple[EvidenceItem, ...]

    @classmethod
    def parse(cls, text: bytes) -> Snapshot:
        """Read packet.json; SnapshotError says what is malformed."""
        try:
            members = canonical.parse_json(text)
        except canonical.CanonicalError as error:
            raise SnapshotError(str(error)) from error
        match members:
            case {
                "v": int(version),
                "packet_id": str(packet_id),
                "claim_id": str(claim_id),
                "tenant": str(tenant),
                "evidence": [*evidence],
            } if version == VERSION and not isinstance(version, bool):
                return cls(packet_id, claim_id, tenant, tuple(_item(item) for item in evidence))
        raise SnapshotError("it lacks v 1, packet_id, claim_id, tenant or evidence")


def _item(value: object) -> EvidenceItem:
    match value:
        case {
            "evidence_id": str(evidence_id),
            "path": str(path),
            "size": int(size),
            "sha256": str(sha256),
        } if path.startswith("evidence/") and not isinstance(size, bool):
            return EvidenceItem(evidence_id, path, size, sha256)
    raise SnapshotError("an evidence item lacks evidence_id, path below evidence/, size or sha256")
