"""ImportEntries."""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator
from contextlib import asynccontextmanager

import grpc.aio
import pytest
from google.rpc import error_details_pb2
from proofloop.audit.v1 import log_pb2
from proofloop.audit.v1 import log_service_pb2 as contract
from proofloop.audit.v1.log_service_pb2_grpc import LogServiceStub
from proofloop_runtime.errors import DependencyUnavailable

CLAIM = "0190a000-0000-7000-8000-000000000001"

Requests = list[contract.AppendEntryRequest]
Responses = list[contract.ImportEntriesResponse]


def user(name: str) -> log_pb2.Actor:
    return log_pb2.Actor(type=log_pb2.ACTOR_TYPE_USER, id=name)


async def groups_of(requests: Requests, size: int) -> AsyncIterator[contract.ImportEntriesRequest]:
    for begin in range(0, len(requests), size):
        yield contract.ImportEntriesRequest(entries=requests[begin : begin + size])


async def collect(call: AsyncIterable[contract.ImportEntriesResponse], into: Responses) -> Responses:
    """Read all answers of a call, and keep those that came before it failed."""
    async for answer in call:
        into.append(answer)
    return into


async def answers(call: AsyncIterable[contract.ImportEntriesResponse]) -> Responses:
    return await collect(call, [])


@pytest.fixture
def many(new_request):
    """Makes requests whose entries can be told apart by their entity."""

    def make(count: int, **fields) -> Requests:
        return [new_request(entity_id=str(number), claim_id=CLAIM, **fields) for number in range(count)]

    return make


async def test_every_group_is_answered_in_its_turn_and_stands_in_the_log_in_its_order(log, many, assert_whole) -> None:
    requests = many(1250)
    reached = await answers(log.ImportEntries(groups_of(requests, 500)))
    assert [(answer.entry_count, answer.last_index) for answer in reached] == [(500, 499), (1000, 999), (1250, 1249)]
    assert [answer.last_request_id for answer in reached] == [requests[n].request_id for n in (499, 999, 1249)]
    assert [entry.entry_id for entry in await assert_whole()] == [request.request_id for request in requests]


async def test_a_caller_may_wait_for_each_answer_before_sending_on(log, many) -> None:
    requests, answered = many(3), asyncio.Semaphore(1)

    async def one_by_one() -> AsyncIterator[contract.ImportEntriesRequest]:
        async for group in groups_of(requests, 1):
            await answered.acquire()
            yield group

    counts = []
    async for answer in log.ImportEntries(one_by_one()):
        counts.append(answer.entry_count)
        answered.release()
    assert counts == [1, 2, 3]


async def test_an_import_that_broke_off_is_repeated_from_anywhere(log, many, assert_whole) -> None:
    requests = many(300)
    broken_off = log.ImportEntries(groups_of(requests, 100))
    answer = await anext(aiter(broken_off))
    broken_off.cancel()
    resumed = [request.request_id for request in requests].index(answer.last_request_id) + 1
    [*_, last] = await answers(log.ImportEntries(groups_of(requests[resumed:], 50)))
    assert (last.entry_count, last.last_index) == (200, 299)
    # Cut in another way, from the beginning.
    [*_, last] = await answers(log.ImportEntries(groups_of(requests, 70)))
    assert (last.entry_count, last.last_index) == (300, 299)
    assert [entry.entity_id for entry in await assert_whole()] == [str(number) for number in range(300)]


async def test_a_wrong_entry_ends_the_import_and_takes_its_group_with_it(log, many, refused, assert_whole) -> None:
    for fault, (status, reason, field) in {
        "action": ("INVALID_ARGUMENT", "INVALID_FIELD", "entries[4].draft.action"),
        "details_json": ("INVALID_ARGUMENT", "DETAILS_NOT_JSON", "entries[4].draft.details_json"),
        "reason": ("FAILED_PRECONDITION", "REQUEST_ID_REUSED", "request_id"),
    }.items():
        before = len(await assert_whole())
        requests = many(40)
        if fault == "reason":
            requests[24].request_id = requests[3].request_id
        setattr(requests[24].draft, fault, "no noun and verb")
        answered = []
        with refused(status, reason) as refusal:
            await collect(log.ImportEntries(groups_of(requests, 10)), answered)
        assert refusal[0].fields == (field,)
        assert refusal[0].metadata["position"] == "24"
        told = [(answer.entry_count, answer.HasField("end")) for answer in answered]
        assert told == [(10, False), (20, False), (20, True)]
        entries = (await assert_whole())[before:]
        assert [entry.entry_id for entry in entries] == [request.request_id for request in requests[:20]]


async def test_a_caller_learns_what_was_wrong_though_it_was_sending(log, many) -> None:
    requests, wrong = many(500), many(500)
    wrong[7].draft.action = "no noun and verb"

    async def far_ahead() -> AsyncIterator[contract.ImportEntriesRequest]:
        for group in (requests, wrong, *[requests] * 30):
            yield contract.ImportEntriesRequest(entries=group)

    answered = []
    # Which of the two it is depends on what gRPC was about when the stream ended.
    with pytest.raises((grpc.aio.AioRpcError, DependencyUnavailable)):
        await collect(log.ImportEntries(far_ahead()), answered)
    info = error_details_pb2.ErrorInfo()
    assert answered[-1].end.details[0].Unpack(info)
    assert (answered[-1].entry_count, info.metadata["position"]) == (500, "507")
    assert (info.reason, info.domain) == ("ERROR_REASON_INVALID_FIELD", "audit.proofloop")


async def test_an_import_without_a_group_appends_nothing(log, refused, assert_whole) -> None:
    assert await answers(log.ImportEntries(groups_of([], 1))) == []
    with refused("INVALID_ARGUMENT", "INVALID_FIELD") as refusal:
        await answers(log.ImportEntries(groups_of([contract.AppendEntryRequest()], 1)))
    assert "entries[0].request_id" in refusal[0].fields
    assert await assert_whole() == []


@pytest.fixture
def sealed(superuser, eventually):
    """Waits until entries of so many actors have been sealed and, as another call shows, had the time to go on."""

    async def wait(log: LogServiceStub, actors: int) -> None:
        async def known() -> bool:
            return await superuser.fetchval("SELECT count(*) FROM subject") == actors

        await eventually(known)
        await log.GetCheckpoint(contract.GetCheckpointRequest())

    return wait


@pytest.fixture
def stalled(superuser):
    """Nothing is appended inside the block."""

    @asynccontextmanager
    async def stall() -> AsyncIterator[None]:
        async with superuser.transaction():
            await superuser.execute("LOCK TABLE log_entry IN EXCLUSIVE MODE")
            yield

    return stall


async def test_a_full_queue_makes_an_import_wait(replica, stalled, sealed, many, append_many) -> None:
    async with replica(queue=1000) as service, service.channel() as channel:
        log = LogServiceStub(channel)
        await append_many(1, log)
        async with stalled():
            full = asyncio.ensure_future(append_many(1000, log, actor=user("ann")))
            await sealed(log, 2)
            importing = asyncio.ensure_future(answers(log.ImportEntries(groups_of(many(20, actor=user("bob")), 10))))
            await sealed(log, 3)
            assert not importing.done()
        await full
        assert [answer.last_index for answer in await importing] == [1010, 1020]


async def test_imports_leave_half_of_the_queue_to_others(replica, stalled, sealed, many, append_many) -> None:
    async with replica(queue=1000) as service, service.channel() as channel:
        log = LogServiceStub(channel)
        await append_many(1, log)
        async with stalled():
            imports = [
                asyncio.ensure_future(answers(log.ImportEntries(groups_of(many(1000, actor=user(name)), 500))))
                for name in ("ann", "bob", "eve")
            ]
            await sealed(log, 4)
            other = asyncio.ensure_future(append_many(500, log, actor=user("zoe")))
            await sealed(log, 5)
        assert len(await other) == 500
        assert [done[-1].entry_count for done in await asyncio.gather(*imports)] == [1000] * 3


async def test_an_import_ends_when_the_replica_drains(replica, many, refused, assert_whole) -> None:
    requests, drained = many(20), asyncio.Event()

    async def first_half() -> AsyncIterator[contract.ImportEntriesRequest]:
        yield contract.ImportEntriesRequest(entries=requests[:10])
        await drained.wait()

    service = replica()
    running = await service.__aenter__()
    async with running.channel() as channel:
        call = LogServiceStub(channel).ImportEntries(first_half())
        answer = await anext(aiter(call))
        stopping = asyncio.ensure_future(service.__aexit__(None, None, None))
        with refused("UNAVAILABLE", "DRAINING"):
            await answers(call)
        drained.set()
        await stopping
    assert answer.entry_count == len(await assert_whole()) == 10


async def test_a_group_too_large_for_a_message_is_refused_by_grpc(log, many) -> None:
    requests = many(100)
    for request in requests:
        request.draft.details_json = '"' + "d" * 60_000 + '"'
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await answers(log.ImportEntries(groups_of(requests, 100)))
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
