"""Between the contract's messages and the domain."""

from proofloop.packets.v1 import packets_pb2, packets_service_pb2
from proofloop_verifier.report import Report, Verdict

from proofloop_packets.evidence.domain import Fingerprint
from proofloop_packets.packets.domain import Packet, PacketState, PacketStep

_STATES = {
    packets_pb2.PACKET_STATE_PENDING: PacketState.PENDING,
    packets_pb2.PACKET_STATE_GENERATING: PacketState.GENERATING,
    packets_pb2.PACKET_STATE_COMPLETED: PacketState.COMPLETED,
    packets_pb2.PACKET_STATE_FAILED: PacketState.FAILED,
    packets_pb2.PACKET_STATE_CANCELLED: PacketState.CANCELLED,
}
_STATE_VALUES = {state: value for value, state in _STATES.items()}
_STEP_VALUES = {
    PacketStep.QUEUED: packets_pb2.PACKET_STEP_QUEUED,
    PacketStep.SNAPSHOT: packets_pb2.PACKET_STEP_SNAPSHOT,
    PacketStep.CUT_OFF: packets_pb2.PACKET_STEP_CUT_OFF,
    PacketStep.PROOFS: packets_pb2.PACKET_STEP_PROOFS,
    PacketStep.SUMMARY: packets_pb2.PACKET_STEP_SUMMARY,
    PacketStep.SEAL: packets_pb2.PACKET_STEP_SEAL,
    PacketStep.DONE: packets_pb2.PACKET_STEP_DONE,
}
_VERDICT_VALUES = {
    Verdict.VERIFIED: packets_pb2.VERDICT_VERIFIED,
    Verdict.CONSISTENT_UNKNOWN_KEY: packets_pb2.VERDICT_CONSISTENT_UNKNOWN_KEY,
    Verdict.FAILED: packets_pb2.VERDICT_FAILED,
}
_MOST_FINDINGS = 1000


def to_state(value: packets_pb2.PacketState.ValueType) -> PacketState | None:
    """Return the state that a list is filtered by; None for any."""
    return _STATES.get(value)


def from_packet(packet: Packet) -> packets_pb2.Packet:
    """Return the packet as a message."""
    message = packets_pb2.Packet(
        packet_id=packet.packet_id,
        claim_id=packet.claim_id,
        state=_STATE_VALUES[packet.state],
        step=_STEP_VALUES[packet.step],
        progress_percent=packet.progress,
        attempts=packet.attempts,
        failure_reason=packet.failure_reason,
        requested_by=packet.requested_by,
        etag=str(packet.version),
        last_event_id=packet.last_event_id,
    )
    if packet.sealed is not None:
        message.file_name = packet.sealed.file_name
        message.size = packet.sealed.size
        message.sha256 = packet.sealed.sha256
    message.create_time.FromDatetime(packet.create_time)
    message.update_time.FromDatetime(packet.update_time)
    if packet.cutoff_time is not None:
        message.cutoff_time.FromDatetime(packet.cutoff_time)
    if packet.end_time is not None:
        message.end_time.FromDatetime(packet.end_time)
    return message


def from_report(fingerprint: Fingerprint, report: Report) -> packets_service_pb2.VerifyPacketResponse:
    """Return what a verification found as a message."""
    return packets_service_pb2.VerifyPacketResponse(
        verdict=_VERDICT_VALUES[report.verdict],
        findings=[
            packets_pb2.Finding(
                check=finding.check,
                subject=finding.subject,
                sentence=finding.sentence,
                not_checked=finding.not_checked,
            )
            for finding in report.findings[:_MOST_FINDINGS]
        ],
        sha256=fingerprint.sha256,
        size=fingerprint.size,
        packet_id=report.packet_id or "",
        key_fingerprint=report.key_fingerprint or "",
        entries_proven=report.entries_proven,
        evidence_files=report.evidence_files,
    )
