"""Between the contract's messages and the domain."""

from proofloop.packets.v1 import evidence_pb2

from proofloop_packets.evidence.domain import Evidence
from proofloop_packets.evidence.metadata import Mark

_MARKS = {
    Mark.ENCRYPTED: evidence_pb2.EVIDENCE_MARK_ENCRYPTED,
    Mark.TRUNCATED: evidence_pb2.EVIDENCE_MARK_TRUNCATED,
    Mark.MALFORMED: evidence_pb2.EVIDENCE_MARK_MALFORMED,
    Mark.OVERSIZED_CONTENT: evidence_pb2.EVIDENCE_MARK_OVERSIZED_CONTENT,
    Mark.ACTIVE_CONTENT: evidence_pb2.EVIDENCE_MARK_ACTIVE_CONTENT,
}


def from_evidence(evidence: Evidence) -> evidence_pb2.Evidence:
    """Return the record as a message."""
    message = evidence_pb2.Evidence(
        evidence_id=evidence.evidence_id,
        claim_id=evidence.claim_id,
        file_name=evidence.file_name,
        media_type=evidence.media_type,
        size=evidence.size,
        sha256=evidence.sha256,
        md5=evidence.md5,
        marks=[_MARKS[mark] for mark in evidence.marks],
        uploaded_by=evidence.uploaded_by,
        state=evidence_pb2.EVIDENCE_STATE_RECEIVED,
        last_event_id=evidence.last_event_id,
    )
    message.metadata.update(evidence.metadata)
    message.create_time.FromDatetime(evidence.create_time)
    return message
