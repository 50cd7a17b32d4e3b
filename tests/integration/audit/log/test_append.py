"""AppendEntry and AppendEntries."""

import asyncio
from datetime import timedelta
from uuid import uuid4

from opentelemetry.trace import SpanKind
from proofloop.audit.v1 import log_pb2
from proofloop.audit.v1 import log_service_pb2 as contract
from proofloop.audit.v1.log_service_pb2_grpc import LogServiceStub
from proofloop_runtime.application import Ports
from proofloop_runtime.testing import FakeClock

CLAIM = "0190a000-0000-7000-8000-000000000001"


async def test_an_acknowledged_entry_reads_back_as_it_was_handed_in(log, new_request) -> None:
    request = new_request(
        claim_id=CLAIM,
        reason="asked by the adjuster",
        ip_address="203.0.113.7",
        user_agent="Browser/1.0",
        session_id="session-1",
        correlation_id="correlation-1",
        trace_id="0af7651916cd43dd8448eb211c80319c",
        details_json='{ "amount": 12.50 }',
    )
    request.draft.event_time.FromJsonString("2026-01-02T03:04:05.678901Z")
    receipt = (await log.AppendEntry(request)).receipt
    entry = (await log.GetEntry(contract.GetEntryRequest(entry_id=request.request_id))).entry
    assert (entry.entry_id, entry.index, entry.leaf_hash) == (request.request_id, receipt.index, receipt.leaf_hash)
    assert entry.service == "packets"
    kept = [field.name for field, _ in request.draft.ListFields()]
    assert {name: getattr(entry, name) for name in kept} == {name: getattr(request.draft, name) for name in kept}


async def test_a_repetition_gets_the_first_receipt(log, new_request) -> None:
    request = new_request(claim_id=CLAIM)
    first = await log.AppendEntry(request)
    await log.AppendEntry(new_request(claim_id=CLAIM))
    assert await log.AppendEntry(request) == first


async def test_another_entry_under_a_used_id_is_refused(log, new_request, refused, assert_whole) -> None:
    request = new_request(reason="because")
    await log.AppendEntry(request)
    request.draft.reason = "because not"
    with refused("FAILED_PRECONDITION", "REQUEST_ID_REUSED") as refusal:
        await log.AppendEntry(request)
    assert refusal[0].metadata["request_id"] == request.request_id
    assert len(await assert_whole()) == 1


async def test_every_field_that_says_what_happened_tells_entries_apart(log, new_request, refused) -> None:
    request_id = str(uuid4())
    await log.AppendEntry(new_request(request_id))
    for change in (
        {"actor": log_pb2.Actor(type=log_pb2.ACTOR_TYPE_SERVICE, id="user-1")},
        {"actor": log_pb2.Actor(type=log_pb2.ACTOR_TYPE_USER, id="user-2")},
        {"action": "prompt.cancelled"},
        {"outcome": log_pb2.OUTCOME_DENIED},
        {"entity_type": "claim"},
        {"entity_id": "prompt-2"},
        {"claim_id": CLAIM},
        {"session_id": "session-2"},
        {"reason": "another"},
        {"ip_address": "203.0.113.9"},
        {"user_agent": "another"},
        {"details_json": "{}"},
    ):
        with refused("FAILED_PRECONDITION", "REQUEST_ID_REUSED"):
            await log.AppendEntry(new_request(request_id, **change))


async def test_a_repetition_may_come_in_another_trace(log, new_request) -> None:
    request_id = str(uuid4())
    first = await log.AppendEntry(new_request(request_id, trace_id="1" * 32, correlation_id="one"))
    assert await log.AppendEntry(new_request(request_id, trace_id="2" * 32, correlation_id="two")) == first


async def test_an_id_is_the_same_in_either_case(log, append, read_log) -> None:
    request_id = str(uuid4())
    first = await append(request_id.upper(), claim_id=CLAIM.upper())
    assert await append(request_id, claim_id=CLAIM) == first
    await append(claim_id=CLAIM)
    entries = await read_log(claim_id=CLAIM.upper())
    assert [entry.claim_sequence for entry in entries] == [0, 1]
    assert entries[0].entry_id == request_id
    assert (await log.GetEntry(contract.GetEntryRequest(entry_id=request_id.upper()))).entry == entries[0]


async def test_concurrent_repetitions_give_one_entry(replica, new_request) -> None:
    requests = [new_request() for _ in range(4)]
    async with replica() as one, replica() as two, one.channel() as first, two.channel() as second:
        stubs = LogServiceStub(first), LogServiceStub(second)
        calls = [stubs[number % 2].AppendEntry(request) for request in requests for number in range(8)]
        answers = await asyncio.gather(*calls)
        checkpoint = (await stubs[0].GetCheckpoint(contract.GetCheckpointRequest())).checkpoint
    assert checkpoint.tree_size == 4
    for number, request in enumerate(requests):
        receipts = [answer.receipt for answer in answers[8 * number : 8 * number + 8]]
        assert all(receipt == receipts[0] for receipt in receipts)
        assert receipts[0].entry_id == request.request_id


async def test_a_batch_stands_in_the_log_in_its_order(log, new_request, assert_whole) -> None:
    requests = [new_request(entity_id=f"prompt-{number}", claim_id=CLAIM) for number in range(1000)]
    receipts = (await log.AppendEntries(contract.AppendEntriesRequest(entries=requests))).receipts
    assert [receipt.index for receipt in receipts] == list(range(1000))
    entries = await assert_whole()
    assert [entry.entry_id for entry in entries] == [request.request_id for request in requests]


async def test_a_batch_that_names_an_entry_twice_appends_it_once_at_its_first_place(log, new_request) -> None:
    first, second = new_request(), new_request()
    request = contract.AppendEntriesRequest(entries=[first, second, first])
    receipts = (await log.AppendEntries(request)).receipts
    assert [receipt.index for receipt in receipts] == [0, 1, 0]
    assert [receipt.entry_id for receipt in receipts] == [first.request_id, second.request_id, first.request_id]


async def test_a_batch_with_two_entries_under_one_id_is_refused_whole(log, new_request, refused, assert_whole) -> None:
    request_id = str(uuid4())
    entries = [new_request(), new_request(request_id), new_request(request_id, reason="other")]
    with refused("FAILED_PRECONDITION", "REQUEST_ID_REUSED"):
        await log.AppendEntries(contract.AppendEntriesRequest(entries=entries))
    assert await assert_whole() == []


async def test_a_batch_with_a_used_id_is_refused_whole(log, new_request, refused, assert_whole) -> None:
    used = new_request()
    await log.AppendEntry(used)
    entries = [new_request(), new_request(used.request_id, reason="other"), new_request()]
    with refused("FAILED_PRECONDITION", "REQUEST_ID_REUSED"):
        await log.AppendEntries(contract.AppendEntriesRequest(entries=entries))
    assert len(await assert_whole()) == 1


async def test_a_batch_keeps_the_place_of_entries_that_are_there(log, new_request, assert_whole) -> None:
    old, new = new_request(), new_request()
    await log.AppendEntry(old)
    receipts = (await log.AppendEntries(contract.AppendEntriesRequest(entries=[new, old]))).receipts
    assert [receipt.index for receipt in receipts] == [1, 0]
    assert len(await assert_whole()) == 2


async def test_a_full_queue_refuses_with_the_delay_to_wait(
    replica, superuser, new_request, refused, eventually
) -> None:
    async def waiting() -> bool:
        return await superuser.fetchval("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)")

    async with replica(queue=1000) as service, service.channel() as channel:
        log = LogServiceStub(channel)
        await log.AppendEntry(new_request())
        async with superuser.transaction():
            await superuser.execute("LOCK TABLE log_entry IN EXCLUSIVE MODE")
            entries = [new_request() for _ in range(1000)]
            full = log.AppendEntries(contract.AppendEntriesRequest(entries=entries))
            await eventually(waiting)
            with refused("RESOURCE_EXHAUSTED", "OVERLOADED") as refusal:
                await log.AppendEntry(new_request())
            assert refusal[0].retry_after == timedelta(milliseconds=100)
        assert len((await full).receipts) == 1000
        assert (await log.AppendEntry(new_request())).receipt.index == 1001


async def test_an_event_may_lie_ten_minutes_ahead_and_no_further(replica, new_request, refused) -> None:
    clock = FakeClock()
    async with replica(Ports(clock=clock)) as service, service.channel() as channel:
        log = LogServiceStub(channel)
        request = new_request()
        request.draft.event_time.FromDatetime(clock.now() + timedelta(minutes=10))
        await log.AppendEntry(request)
        request = new_request()
        request.draft.event_time.FromDatetime(clock.now() + timedelta(minutes=10, microseconds=1))
        with refused("INVALID_ARGUMENT", "EVENT_TIME_IN_FUTURE") as refusal:
            await log.AppendEntry(request)
        assert refusal[0].fields == ("draft.event_time",)


async def test_the_append_time_never_decreases_though_the_clock_goes_back(replica, new_request) -> None:
    clock = FakeClock()
    async with replica(Ports(clock=clock)) as service, service.channel() as channel:
        log = LogServiceStub(channel)
        times = []
        for step in (timedelta(), timedelta(hours=-1), timedelta(minutes=30), timedelta(hours=1)):
            clock.advance(step)
            request = new_request()
            await log.AppendEntry(request)
            entry = (await log.GetEntry(contract.GetEntryRequest(entry_id=request.request_id))).entry
            times.append(entry.append_time.ToDatetime())
            assert entry.event_time == entry.append_time
    assert times[0] == times[1] == times[2] < times[3]


async def test_tenants_have_logs_of_their_own(audit, log, append, new_request, refused) -> None:
    receipt = await append()
    async with audit.channel(tenant="globex") as channel:
        other = LogServiceStub(channel)
        with refused("NOT_FOUND", "ENTRY_NOT_FOUND"):
            await other.GetEntry(contract.GetEntryRequest(entry_id=receipt.entry_id))
        with refused("NOT_FOUND", "ENTRY_NOT_FOUND"):
            await other.GetInclusionProof(contract.GetInclusionProofRequest(entry_id=receipt.entry_id))
        assert not (await other.ListEntries(contract.ListEntriesRequest())).entries
        # The same id is free there.
        assert (await other.AppendEntry(new_request(receipt.entry_id, reason="other"))).receipt.index == 0


async def test_a_batch_has_a_span_of_its_own(append_many, spans, eventually) -> None:
    async def recorded():
        return spans.named("audit.append")

    await append_many(3)
    [span] = await eventually(recorded)
    assert span.parent is None
    assert span.attributes == {"audit.entries": 3, "proofloop.tenant": "acme", "db.system.name": "postgresql"}
    calls = spans.named("proofloop.audit.v1.LogService/AppendEntries")
    [call] = [call for call in calls if call.kind is SpanKind.SERVER]
    assert call.start_time < span.start_time < span.end_time < call.end_time
