"""What is left of entries when a tenant's retention ends: keys go period by period, and nothing else."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from proofloop.audit.v1 import log_pb2
from proofloop.audit.v1 import log_service_pb2 as contract
from proofloop.audit.v1.log_service_pb2_grpc import LogServiceStub
from proofloop_audit.fsck import check
from proofloop_audit.log.expiry import Expiry
from proofloop_audit.log.periods import Periods
from proofloop_audit.log.retention import Retention
from proofloop_audit.log.sealing import Sealer
from proofloop_audit.settings import AuditSettings
from proofloop_runtime.application import Ports
from proofloop_runtime.breaker import Breakers
from proofloop_runtime.database import Database
from proofloop_runtime.ports import FileKeyStore, SystemIds, SystemRandomness
from proofloop_runtime.testing import FakeClock, Service
from proofloop_verifier import merkle

RETENTION = timedelta(days=120)
PERIOD = timedelta(days=10)
MOMENT = timedelta(microseconds=1)
CLAIM = str(uuid4())


def user(name: str) -> log_pb2.Actor:
    return log_pb2.Actor(type=log_pb2.ACTOR_TYPE_USER, id=name)


def named(entry: log_pb2.Entry) -> str:
    return entry.personal_parts[0].pseudonym


@pytest.fixture
def clock() -> FakeClock:
    """At the beginning of a period."""
    periods = datetime(2026, 3, 4, tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    return FakeClock(datetime(1970, 1, 1, tzinfo=UTC) + periods // PERIOD * PERIOD)


@pytest.fixture
async def audit(replica, clock: FakeClock) -> AsyncIterator[Service]:
    """Keeps what acme says about people for 120 days, and what globex does for ever."""
    async with replica(Ports(clock=clock), retention={"acme": RETENTION}) as service:
        yield service


@pytest.fixture
async def sweep(audit_settings: AuditSettings, clock: FakeClock) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """Destroys what is past its retention by the clock, as a replica of its own does."""
    randomness = SystemRandomness()
    database = Database(audit_settings.database_url.get_secret_value(), "audit", clock, Breakers(clock))
    keys = FileKeyStore.load(audit_settings.master_key, randomness)
    retention = {"acme": RETENTION}
    sealer = Sealer(database, keys, randomness, Periods(retention, clock))
    expiry = Expiry(database, sealer, SystemIds())
    yield Retention(database, retention, [expiry.sweep], timedelta(hours=1)).sweep
    await database.close()


@pytest.fixture
def findings(audit_settings: AuditSettings):
    """What a check of acme's log finds: `check: subject`."""

    async def find() -> list[str]:
        [report] = await check(audit_settings, ["acme"])
        return [f"{finding.check}: {finding.subject}" for finding in report.findings]

    return find


async def expired(read_log) -> list[str]:
    """The pseudonyms of which the log says that they expired, in order."""
    entries = await read_log(action="subject.expired")
    assert {(entry.entity_type, entry.service, entry.outcome) for entry in entries} <= {
        ("subject", "audit", log_pb2.OUTCOME_SUCCESS)
    }
    return [entry.entity_id for entry in entries]


async def test_a_key_seals_for_a_period_and_is_destroyed_a_retention_after_and_nothing_else_is(
    audit, clock, log, append, append_many, read_log, assert_whole, sweep, findings, superuser
) -> None:
    personal = {"actor": user("ann"), "reason": "why", "claim_id": CLAIM}
    async with audit.channel(tenant="globex") as channel:
        await append_many(1, LogServiceStub(channel), **personal)
    first = await append(**personal)
    clock.advance(PERIOD - MOMENT)
    last = await append(**personal)
    clock.advance(MOMENT)
    later = await append(**personal)
    before = await read_log(actor_id="ann")
    old, same, new = map(named, before)
    assert (old == same, old == new) == (True, False)
    # Under several names, page after page, in both orders.
    orders = contract.ListEntriesRequest
    for order, expected in ((orders.ORDER_OLDEST_FIRST, before), (orders.ORDER_NEWEST_FIRST, before[::-1])):
        request = contract.ListEntriesRequest(actor_id="ann", page_size=2, order=order)
        page = await log.ListEntries(request)
        request.page_token = page.next_page_token
        assert [*page.entries, *(await log.ListEntries(request)).entries] == expected
    signed = (await log.GetCheckpoint(contract.GetCheckpointRequest())).checkpoint

    clock.advance(RETENTION - MOMENT)
    await sweep()
    assert (await read_log(), await findings()) == (before, [])
    clock.advance(MOMENT)
    await sweep()
    await sweep()

    assert await expired(read_log) == [old]
    entries = await assert_whole()
    assert [entry.leaf for entry in entries[:3]] == [entry.leaf for entry in before]
    for entry in entries[:2]:
        assert (entry.HasField("actor"), entry.reason) == (False, "")
        assert entry.personal_parts == [log_pb2.PersonalPart(pseudonym=old)]
    assert entries[2] == before[2]
    assert await read_log(actor_id="ann") == [before[2]]
    assert (entries[3].actor.type, entries[3].actor.id) == (log_pb2.ACTOR_TYPE_SERVICE, "audit")
    for receipt in (first, last, later):
        request = contract.GetInclusionProofRequest(entry_id=receipt.entry_id, tree_size=signed.tree_size)
        proof = (await log.GetInclusionProof(request)).proof
        merkle.verify_inclusion(receipt.index, 3, receipt.leaf_hash, proof.hashes, signed.root_hash)
    # The claim's chain goes on through what cannot be read any more.
    await append(**personal)
    assert len(await assert_whole()) == 5
    async with audit.channel(tenant="globex") as channel:
        assert [entry.reason for entry in await read_log(LogServiceStub(channel))] == ["why"]
    # A key of which the log itself does not say that it was destroyed was not destroyed by us.
    assert await findings() == []
    await superuser.execute("DELETE FROM subject WHERE pseudonym = $1", new)
    await append(action="subject.expired", entity_type="subject", entity_id=new)
    assert await findings() == [f"personal: subject {new}"]


async def test_an_erasure_destroys_the_keys_of_all_periods_and_a_hold_on_one_forbids_it(
    clock, append, read_log, officer, place, erase, refused, findings
) -> None:
    await append(actor=user("ann"), claim_id=CLAIM)
    on_ann, on_claim = await place(subject=user("ann")), await place(claim_id=CLAIM)
    clock.advance(PERIOD)
    await append(actor=user("ann"))
    await append(actor=user("bob"), claim_id=CLAIM, action="packet.generated", entity_type="packet", entity_id="one")
    clock.advance(PERIOD)
    await append(actor=user("ann"))
    theirs = [named(entry) for entry in await read_log(actor_id="ann")]
    assert len(set(theirs)) == 3
    for hold in (on_ann, on_claim):
        with refused("FAILED_PRECONDITION", "LEGAL_HOLD_ACTIVE") as refusals:
            await erase("ann")
        assert hold.hold_id in refusals[0].metadata["hold_ids"]
        await release(officer, hold)
    erasure = await erase("ann")
    assert [erasure.pseudonym, *erasure.earlier_pseudonyms] == theirs[::-1]
    assert (erasure.entry_count, list(erasure.packet_ids)) == (3, ["one"])
    entries = await read_log()
    told = [entry for entry in entries if entry.action == "subject.erased"]
    assert [entry.entity_id for entry in told] == theirs[::-1]
    assert told[0].entry_id == erasure.receipt.entry_id
    assert {(entry.actor.id, entry.reason) for entry in told} == {("cora", "asked to be forgotten")}
    assert not any(part.part for entry in entries for part in entry.personal_parts if part.pseudonym in theirs)
    assert (await read_log(actor_id="ann"), await findings()) == ([], [])


async def test_what_a_hold_covers_goes_after_the_release(
    clock, append, read_log, officer, place, sweep, findings
) -> None:
    """Ann and dan are covered in all periods, she as the subject, he because he acted in the claim in one."""
    await append(actor=user("ann"))
    await append(actor=user("bob"), claim_id=CLAIM)
    await append(actor=user("eve"))
    await append(actor=user("dan"))
    on_ann, on_claim, on_all = [
        await place(**scope) for scope in ({"subject": user("ann")}, {"claim_id": CLAIM}, {"whole_tenant": True})
    ]
    clock.advance(PERIOD)
    await append(actor=user("dan"), claim_id=CLAIM)
    await append(actor=user("ann"))
    clock.advance(PERIOD + RETENTION)
    await append(actor=user("eve"))

    async def readable() -> list[str]:
        await sweep()
        return [entry.actor.id for entry in await read_log(action="prompt.answered")]

    assert (await readable(), await expired(read_log)) == (["ann", "bob", "eve", "dan", "dan", "ann", "eve"], [])
    await release(officer, on_all)
    assert await readable() == ["ann", "bob", "", "dan", "dan", "ann", "eve"]
    # Nothing covers who placed the holds, and yet each names her.
    [first, _] = (await officer.ListLegalHolds(contract.ListLegalHoldsRequest())).holds
    assert (first.placed_by, first.scope.subject) == (user("cora"), user("ann"))
    await release(officer, on_ann)
    assert await readable() == ["", "bob", "", "dan", "dan", "", "eve"]
    await release(officer, on_claim)
    assert await readable() == ["", "", "", "", "", "", "eve"]
    released = (await officer.ListLegalHolds(contract.ListLegalHoldsRequest(include_released=True))).holds
    assert {(hold.HasField("placed_by"), hold.released_by.id) for hold in released} == {(False, "cora")}
    assert released[0].scope == log_pb2.HoldScope(subject=log_pb2.Actor())
    assert await findings() == []


async def test_no_replica_appends_under_a_key_that_has_expired(
    replica, clock, log, new_request, read_log, sweep, assert_whole, findings
) -> None:
    """One whose clock stands still takes each key for one of its period, while the others destroy it."""
    behind = FakeClock(clock.now())
    done = asyncio.Event()

    async def caller(stub: LogServiceStub, number: int) -> None:
        while not done.is_set():
            batch = [new_request(actor=user(name)) for name in ("ann", f"other-{number}")]
            await stub.AppendEntries(contract.AppendEntriesRequest(entries=batch))

    async with (
        replica(Ports(clock=behind), retention={"acme": RETENTION}) as late,
        late.channel() as channel,
    ):
        slow = LogServiceStub(channel)
        # Those who meet somebody at once in a period have one name for them.
        await asyncio.gather(*(stub.AppendEntry(new_request(actor=user("new"))) for stub in [log, slow] * 4))
        assert len({named(entry) for entry in await read_log()}) == 1
        clock.advance(PERIOD + RETENTION)
        callers = [asyncio.ensure_future(caller(stub, number)) for number, stub in enumerate([slow] * 4 + [log] * 2)]
        for _ in range(8):
            await slow.AppendEntry(new_request(actor=user("ann")))
            await sweep()
        done.set()
        await asyncio.gather(*callers)
    entries = await assert_whole()
    ends = {entry.entity_id: entry.index for entry in entries if entry.action == "subject.expired"}
    for entry in entries:
        assert entry.index < ends.get(named(entry), len(entries))
        assert bool(entry.personal_parts[0].part) == (named(entry) not in ends)
    assert len(ends.keys() & set(map(named, entries))) >= 8
    assert await findings() == []


async def test_a_tenant_that_gets_a_retention_later_keeps_old_entries_for_one_from_then(
    replica, clock, new_request, superuser, eventually, findings
) -> None:
    """As the service sees to it by itself."""
    ends = "SELECT seal_until FROM subject WHERE tenant = 'acme' ORDER BY seal_until"
    ann = {"actor": user("ann")}
    async with replica(Ports(clock=clock)) as service, service.channel() as channel:
        await LogServiceStub(channel).AppendEntry(new_request(**ann))
        clock.advance(timedelta(days=1000))
        await LogServiceStub(channel).AppendEntry(new_request(**ann))
    assert [row["seal_until"] for row in await superuser.fetch(ends)] == [None]
    began = clock.now()
    often = timedelta(milliseconds=20)
    async with (
        replica(Ports(clock=clock), retention={"acme": RETENTION}, retention_every=often) as service,
        service.channel() as channel,
    ):
        log = LogServiceStub(channel)

        async def read(**filters) -> list[log_pb2.Entry]:
            return list((await log.ListEntries(contract.ListEntriesRequest(**filters))).entries)

        async def ended() -> bool:
            return await superuser.fetchval(ends) == began

        await eventually(ended)
        await log.AppendEntry(new_request(**ann))
        assert [row["seal_until"] for row in await superuser.fetch(ends)] == [began, began + PERIOD]
        first, second, third = await read(actor_id="ann")
        assert (named(first) == named(second), named(first) == named(third)) == (True, False)
        clock.advance(RETENTION)

        async def destroyed() -> bool:
            return await expired(read) == [named(first)]

        await eventually(destroyed)
        assert await read(actor_id="ann") == [third]
    assert await findings() == []


async def release(officer: LogServiceStub, hold: log_pb2.LegalHold) -> None:
    request = contract.ReleaseLegalHoldRequest(request_id=str(uuid4()), hold_id=hold.hold_id, reason="settled")
    await officer.ReleaseLegalHold(request)
