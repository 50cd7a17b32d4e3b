"""The life of a packet: who may work on it, what may follow what."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from proofloop_packets.errors import PacketNotCompleted
from proofloop_packets.packets import domain
from proofloop_packets.packets.domain import IllegalTransition, Packet, PacketState, PacketStep, Sealed
from proofloop_packets.packets.lease import LeaseLost, Patience

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
PATIENCE = Patience(lease=timedelta(seconds=30), attempts=5)
SEALED = Sealed("packet.zip", 10, "ab" * 32)


def requested() -> Packet:
    return domain.request_packet(
        packet_id="p", claim_id="c", owner_id="o", requested_by="o", event_id="requested", now=NOW
    )


def taken(worker: str = "w1") -> Packet:
    return domain.take_up(requested(), worker, NOW, PATIENCE)


def test_a_requested_packet_waits_and_is_due_at_once():
    packet = requested()
    assert (packet.state, packet.step, packet.progress) == (PacketState.PENDING, PacketStep.QUEUED, 0)
    assert packet.is_due(NOW)


def test_a_taken_packet_is_nobody_elses_until_its_lease_runs_out():
    packet = taken()
    assert not packet.is_due(NOW + timedelta(seconds=29))
    assert packet.is_due(NOW + timedelta(seconds=30))


def test_taking_up_what_is_not_due_is_refused():
    with pytest.raises(IllegalTransition):
        domain.take_up(taken(), "w2", NOW, PATIENCE)


def test_after_a_silent_worker_another_goes_on_where_it_stood():
    packet = domain.begin_step(taken(), "w1", PacketStep.PROOFS, NOW)
    again = domain.take_up(packet, "w2", NOW + PATIENCE.lease, PATIENCE)
    assert (again.attempts, again.progress, again.step) == (2, 40, PacketStep.PROOFS)


@pytest.mark.parametrize(
    "change",
    [
        lambda packet: domain.begin_step(packet, "w1", PacketStep.SEAL, NOW),
        lambda packet: domain.fix_moment(packet, "w1", NOW, NOW),
        lambda packet: domain.complete(packet, "w1", SEALED, "e", NOW),
        lambda packet: domain.try_later(packet, "w1", "r", NOW, PATIENCE),
        lambda packet: domain.give_up(packet, "w1", "r", "e", NOW),
        lambda packet: domain.renew(packet, "w1", NOW, PATIENCE),
        lambda packet: domain.hand_back(packet, "w1", NOW),
    ],
)
def test_a_worker_that_lost_its_lease_can_change_nothing(change):
    packet = domain.take_up(taken("w1"), "w2", NOW + PATIENCE.lease, PATIENCE)
    with pytest.raises(LeaseLost):
        change(packet)


def test_a_late_worker_may_finish_while_nobody_took_over():
    packet = taken()
    assert packet.is_due(NOW + PATIENCE.lease)
    assert domain.complete(packet, "w1", SEALED, "e", NOW + PATIENCE.lease).state is PacketState.COMPLETED


def test_progress_never_falls_when_a_step_is_done_again():
    packet = domain.begin_step(taken(), "w1", PacketStep.SEAL, NOW)
    assert domain.begin_step(packet, "w1", PacketStep.SNAPSHOT, NOW).progress == 80


def test_the_moment_a_packet_tells_of_is_fixed_once():
    packet = domain.fix_moment(taken(), "w1", NOW, NOW)
    later = NOW + timedelta(hours=1)
    assert domain.fix_moment(packet, "w1", later, later).cutoff_time == NOW


def test_a_completed_packet_is_sealed_and_tells_no_old_failure():
    packet = domain.try_later(taken(), "w1", "audit is not available", NOW, PATIENCE)
    packet = domain.take_up(packet, "w2", NOW + timedelta(minutes=1), PATIENCE)
    done = domain.complete(packet, "w2", SEALED, "generated", NOW + timedelta(minutes=2))
    assert (done.progress, done.failure_reason, done.last_event_id) == (100, "", "generated")
    assert done.require_sealed() == SEALED


@pytest.mark.parametrize(
    "end",
    [
        lambda packet: domain.complete(packet, "w1", SEALED, "end", NOW),
        lambda packet: domain.give_up(packet, "w1", "r", "end", NOW),
    ],
)
def test_a_packet_that_ended_still_knows_the_event_that_asked_for_it(end):
    assert end(taken()).event_ids == ("requested", "end")


def test_what_is_not_sealed_cannot_be_fetched():
    with pytest.raises(PacketNotCompleted) as refused:
        requested().require_sealed()
    assert refused.value.metadata == {"state": "pending"}


def test_each_attempt_waits_twice_as_long_up_to_a_bound():
    delays = [Patience().delay(attempts).total_seconds() for attempts in range(1, 10)]
    assert delays == [1, 2, 4, 8, 16, 32, 64, 120, 120]


def test_a_renewed_lease_runs_from_now_and_changes_nothing_that_others_see():
    renewed = domain.renew(taken(), "w1", NOW + timedelta(seconds=20), PATIENCE)
    assert renewed.lease.expire_time == NOW + timedelta(seconds=50)
    assert (renewed.version, renewed.update_time) == (taken().version, taken().update_time)


def test_a_packet_that_is_handed_back_is_due_at_once_and_its_attempt_not_counted():
    packet = domain.hand_back(taken(), "w1", NOW)
    assert (packet.state, packet.attempts, packet.is_due(NOW)) == (PacketState.PENDING, 0, True)


@given(st.integers(1, 10**9))
def test_the_delay_is_bounded_whatever_the_attempts(attempts: int):
    assert Patience().delay(attempts) <= Patience().longest_delay


@pytest.mark.parametrize("state", [PacketState.COMPLETED, PacketState.FAILED, PacketState.CANCELLED])
def test_final_states_are_never_due(state: PacketState):
    assert state.final
    assert not replace(requested(), state=state).is_due(NOW + timedelta(days=1))


def test_a_sealed_object_carries_its_content_in_its_key():
    assert domain.object_key("acme", "p", "ff") == "packets/acme/p/ff.zip"


class PacketLife(RuleBasedStateMachine):
    """Two workers, any order of events: what holds always."""

    @initialize()
    def request(self):
        self.packet = requested()
        self.now = NOW
        self.holder: str | None = None
        self.history = [self.packet]

    def move(self, packet: Packet) -> None:
        self.packet = packet
        self.history.append(packet)

    @rule(seconds=st.integers(0, 60))
    def time_passes(self, seconds: int):
        self.now += timedelta(seconds=seconds)

    @precondition(lambda self: self.packet.is_due(self.now))
    @rule(worker=st.sampled_from(["w1", "w2"]))
    def a_worker_takes_it(self, worker: str):
        self.holder = f"{worker}-{self.packet.attempts}"
        self.move(domain.take_up(self.packet, self.holder, self.now, PATIENCE))

    @precondition(lambda self: self.packet.state is PacketState.GENERATING)
    @rule(step=st.sampled_from(list(PacketStep)[1:-1]))
    def it_advances(self, step: PacketStep):
        self.move(domain.begin_step(self.packet, self.holder, step, self.now))

    @precondition(lambda self: self.packet.state is PacketState.GENERATING)
    @rule()
    def it_fails_for_now(self):
        self.move(domain.try_later(self.packet, self.holder, "r", self.now, PATIENCE))

    @precondition(lambda self: self.packet.state is PacketState.GENERATING)
    @rule(success=st.booleans())
    def it_ends(self, success: bool):
        if success:
            self.move(domain.complete(self.packet, self.holder, SEALED, "e", self.now))
        else:
            self.move(domain.give_up(self.packet, self.holder, "r", "e", self.now))

    @invariant()
    def it_is_consistent(self):
        packet = self.packet
        assert (packet.sealed is not None) == (packet.state is PacketState.COMPLETED)
        assert (packet.lease is not None) == (packet.state is PacketState.GENERATING)
        assert (packet.end_time is not None) == packet.state.final

    @invariant()
    def progress_and_version_never_fall(self):
        assert [p.progress for p in self.history] == sorted(p.progress for p in self.history)
        versions = [p.version for p in self.history]
        assert versions == list(range(1, len(versions) + 1))


TestPacketLife = PacketLife.TestCase
