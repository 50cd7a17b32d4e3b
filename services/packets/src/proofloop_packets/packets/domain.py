"""The making of a packet: its states, its steps, who works on it, and when it is tried again.

A packet is a job that any replica may take up. Whoever does holds a lease, see `lease`, and only the holder changes it.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from proofloop_runtime.errors import PreconditionViolation

from proofloop_packets.errors import PacketNotCompleted
from proofloop_packets.packets.lease import Lease, LeaseLost, Patience


class PacketState(StrEnum):
    """Where the making of a packet stands."""

    PENDING = "pending"
    GENERATING = "generating"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def final(self) -> bool:
        """Tell whether nothing follows."""
        return not TRANSITIONS[self]


TRANSITIONS = {
    PacketState.PENDING: {PacketState.GENERATING, PacketState.CANCELLED},
    PacketState.GENERATING: {
        PacketState.PENDING,
        PacketState.GENERATING,
        PacketState.COMPLETED,
        PacketState.FAILED,
        PacketState.CANCELLED,
    },
    PacketState.COMPLETED: set[PacketState](),
    PacketState.FAILED: set[PacketState](),
    PacketState.CANCELLED: set[PacketState](),
}
"""What may follow each state; `generating` follows itself when another worker takes over."""


class PacketStep(StrEnum):
    """What is being done."""

    QUEUED = "queued"
    SNAPSHOT = "snapshot"
    CUT_OFF = "cut_off"
    PROOFS = "proofs"
    SUMMARY = "summary"
    SEAL = "seal"
    DONE = "done"


PROGRESS = {
    PacketStep.QUEUED: 0,
    PacketStep.SNAPSHOT: 5,
    PacketStep.CUT_OFF: 25,
    PacketStep.PROOFS: 40,
    PacketStep.SUMMARY: 60,
    PacketStep.SEAL: 80,
    PacketStep.DONE: 100,
}
"""How much is done when a step begins, in per cent."""


class IllegalTransition(Exception):
    """A packet cannot go from the one state to the other: a defect of ours, never a caller's."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """A finished packet in the object store: name of the file, its length in bytes, its SHA-256 in hex."""

    file_name: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Packet:
    """A packet and the job of making it.

    Attributes:
        packet_id: UUIDv7.
        claim_id: The claim that it is about.
        owner_id: The claimant.
        state: Where it stands.
        step: What is being done, or was when it ended.
        progress: How much is done, in per cent; never falls.
        attempts: How often a worker took it up.
        attempt_time: When it may be taken up next, while it is pending.
        lease: Who works on it, while it is generating.
        failure_reason: Why it failed or is tried again, in plain words.
        sealed: The finished packet.
        requested_by: Who asked for it.
        cutoff_time: The moment it tells of, once that is fixed: nothing that had happened by then is missing.
        create_time: When it was asked for.
        update_time: When it last changed.
        end_time: When it reached a final state.
        version: Number of its changes, from 1.
        event_ids: The events that told others of it, oldest first; at least one.
    """

    packet_id: str
    claim_id: str
    owner_id: str
    state: PacketState
    step: PacketStep
    progress: int
    attempts: int
    attempt_time: datetime
    lease: Lease | None
    failure_reason: str
    sealed: Sealed | None
    requested_by: str
    cutoff_time: datetime | None
    create_time: datetime
    update_time: datetime
    end_time: datetime | None
    version: int
    event_ids: tuple[str, ...]

    @property
    def last_event_id(self) -> str:
        """Return the event of its last change of state that others are told of."""
        return self.event_ids[-1]

    def is_due(self, now: datetime) -> bool:
        """Tell whether a worker may take it up: it waits and its time has come, or its worker fell silent."""
        if self.state is PacketState.PENDING:
            return self.attempt_time <= now
        return self.state is PacketState.GENERATING and (self.lease is None or self.lease.expire_time <= now)

    def require_held(self, worker: str) -> None:
        """Check that a worker holds it.

        A lease that has run out still holds until somebody else takes over: the work is not lost for that.

        Raises:
            LeaseLost: it does not.
        """
        if self.state is not PacketState.GENERATING or self.lease is None or self.lease.worker != worker:
            raise LeaseLost(self.packet_id)

    def require_sealed(self) -> Sealed:
        """Return the finished packet.

        Raises:
            PacketNotCompleted: there is none.
        """
        if self.sealed is None:
            message = f"the packet is {self.state}, not completed"
            raise PacketNotCompleted(
                message,
                violations=[PreconditionViolation("STATE", self.packet_id, message)],
                state=self.state,
            )
        return self.sealed


def request_packet(
    *, packet_id: str, claim_id: str, owner_id: str, requested_by: str, event_id: str, now: datetime
) -> Packet:
    """Return a packet that nobody has taken up yet."""
    return Packet(
        packet_id=packet_id,
        claim_id=claim_id,
        owner_id=owner_id,
        state=PacketState.PENDING,
        step=PacketStep.QUEUED,
        progress=0,
        attempts=0,
        attempt_time=now,
        lease=None,
        failure_reason="",
        sealed=None,
        requested_by=requested_by,
        cutoff_time=None,
        create_time=now,
        update_time=now,
        end_time=None,
        version=1,
        event_ids=(event_id,),
    )


def take_up(packet: Packet, worker: str, now: datetime, patience: Patience) -> Packet:
    """Return the packet in a worker's hands.

    Raises:
        IllegalTransition: it is not due.
    """
    if not packet.is_due(now):
        raise IllegalTransition(f"packet {packet.packet_id} is {packet.state} and not due")
    lease = Lease(worker, now + patience.lease)
    return _change(packet, PacketState.GENERATING, now, lease=lease, attempts=packet.attempts + 1)


def begin_step(packet: Packet, worker: str, step: PacketStep, now: datetime) -> Packet:
    """Return the packet with its worker at the given step."""
    packet.require_held(worker)
    progress = max(packet.progress, PROGRESS[step])
    return replace(packet, step=step, progress=progress, update_time=now, version=packet.version + 1)


def fix_moment(packet: Packet, worker: str, cutoff_time: datetime, now: datetime) -> Packet:
    """Return the packet with the moment it tells of, which does not change again."""
    packet.require_held(worker)
    fixed = packet.cutoff_time or cutoff_time
    return replace(packet, cutoff_time=fixed, update_time=now, version=packet.version + 1)


def complete(packet: Packet, worker: str, sealed: Sealed, event_id: str, now: datetime) -> Packet:
    """Return the packet as sealed."""
    packet.require_held(worker)
    return _change(
        packet,
        PacketState.COMPLETED,
        now,
        lease=None,
        sealed=sealed,
        step=PacketStep.DONE,
        progress=PROGRESS[PacketStep.DONE],
        failure_reason="",
        end_time=now,
        event_ids=(*packet.event_ids, event_id),
    )


def try_later(packet: Packet, worker: str, reason: str, now: datetime, patience: Patience) -> Packet:
    """Return the packet as waiting for its next attempt."""
    packet.require_held(worker)
    delay = patience.delay(packet.attempts)
    return _change(packet, PacketState.PENDING, now, lease=None, attempt_time=now + delay, failure_reason=reason)


def hand_back(packet: Packet, worker: str, now: datetime) -> Packet:
    """Return the packet as waiting, its worker having to leave: the attempt does not count."""
    packet.require_held(worker)
    return _change(packet, PacketState.PENDING, now, lease=None, attempt_time=now, attempts=packet.attempts - 1)


def renew(packet: Packet, worker: str, now: datetime, patience: Patience) -> Packet:
    """Return the packet with its worker's lease prolonged; nothing that others see has changed."""
    packet.require_held(worker)
    return replace(packet, lease=Lease(worker, now + patience.lease))


def give_up(packet: Packet, worker: str, reason: str, event_id: str, now: datetime) -> Packet:
    """Return the packet as failed for good."""
    packet.require_held(worker)
    return _change(
        packet,
        PacketState.FAILED,
        now,
        lease=None,
        failure_reason=reason,
        end_time=now,
        event_ids=(*packet.event_ids, event_id),
    )


def object_key(tenant: str, packet_id: str, sha256: str) -> str:
    """Return where the object store keeps a sealed packet.

    The content stands in the key, so that a worker that lost its lease never overwrites what another sealed.
    """
    return f"packets/{tenant}/{packet_id}/{sha256}.zip"


def _change(packet: Packet, state: PacketState, now: datetime, **changes: Any) -> Packet:
    if state not in TRANSITIONS[packet.state]:
        raise IllegalTransition(f"packet {packet.packet_id} cannot go from {packet.state} to {state}")
    return replace(packet, state=state, update_time=now, version=packet.version + 1, **changes)
