"""What this service publishes. It consumes erasures alone: the audit log is asked, not listened to."""

from datetime import datetime

from google.protobuf.message import Message
from proofloop.packets.v1 import events_pb2
from proofloop_runtime.call import current
from proofloop_runtime.events import Actor, Event

from proofloop_packets.claims.domain import Claim
from proofloop_packets.evidence.domain import Evidence
from proofloop_packets.packets.domain import Packet, Sealed


def claim_created(claim: Claim) -> Event:
    """A claim was opened."""
    message = events_pb2.ClaimCreated(
        claim_id=claim.claim_id, title=claim.title, kind=claim.kind, owner_id=claim.owner_id
    )
    return _event(claim.last_event_id, "claim", "created", message, claim.create_time, claim.claim_id, claim.claim_id)


def evidence_uploaded(evidence: Evidence, owner_id: str) -> Event:
    """A file was taken in."""
    message = events_pb2.EvidenceUploaded(
        evidence_id=evidence.evidence_id,
        claim_id=evidence.claim_id,
        owner_id=owner_id,
        file_name=evidence.file_name,
        sha256=evidence.sha256,
        size=evidence.size,
        media_type=evidence.media_type,
    )
    return _event(
        evidence.last_event_id,
        "evidence",
        "uploaded",
        message,
        evidence.create_time,
        evidence.evidence_id,
        evidence.claim_id,
    )


def packet_requested(packet: Packet) -> Event:
    """Somebody asked for a packet."""
    message = events_pb2.PacketRequested(packet_id=packet.packet_id, claim_id=packet.claim_id, owner_id=packet.owner_id)
    return _packet_event(packet, "requested", message)


def packet_generated(packet: Packet, sealed: Sealed) -> Event:
    """A packet was sealed."""
    message = events_pb2.PacketGenerated(
        packet_id=packet.packet_id,
        claim_id=packet.claim_id,
        owner_id=packet.owner_id,
        file_name=sealed.file_name,
        sha256=sealed.sha256,
        size=sealed.size,
    )
    if packet.cutoff_time is not None:
        message.cutoff_time.FromDatetime(packet.cutoff_time)
    return _packet_event(packet, "generated", message)


def packet_failed(packet: Packet) -> Event:
    """The making of a packet was given up."""
    message = events_pb2.PacketFailed(
        packet_id=packet.packet_id,
        claim_id=packet.claim_id,
        owner_id=packet.owner_id,
        failure_reason=packet.failure_reason,
    )
    return _packet_event(packet, "failed", message, outcome="failure")


def _packet_event(packet: Packet, verb: str, message: Message, outcome: str = "success") -> Event:
    return _event(
        packet.last_event_id,
        "packet",
        verb,
        message,
        packet.update_time,
        packet.packet_id,
        packet.claim_id,
        outcome,
    )


def _event(
    event_id: str,
    noun: str,
    verb: str,
    message: Message,
    time: datetime,
    entity_id: str,
    claim_id: str,
    outcome: str = "success",
) -> Event:
    caller = current().caller
    return Event(
        event_id=event_id,
        noun=noun,
        verb=verb,
        message=message,
        time=time,
        entity_type=noun,
        entity_id=entity_id,
        actor=Actor(caller.type, caller.id),
        claim_id=claim_id,
        outcome=outcome,
    )
