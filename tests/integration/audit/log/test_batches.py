"""Batches that were prepared while the one before them was being written."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from uuid import uuid4

import asyncpg
import pytest
from proofloop.audit.v1 import log_pb2
from proofloop.audit.v1 import log_service_pb2 as contract
from proofloop.audit.v1.log_service_pb2_grpc import LogServiceStub

CLAIM = "0190a000-0000-7000-8000-000000000001"
OTHER_CLAIM = "0190a000-0000-7000-8000-000000000002"
ANN = log_pb2.Actor(type=log_pb2.ACTOR_TYPE_USER, id="ann")

WAITING = """
    SELECT array_agg(pid) FROM pg_locks
    WHERE NOT granted AND relation = 'log_entry'::regclass
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    HAVING count(*) = $1
"""
LOOKS_A_CHAIN_UP = """
    SELECT FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%AS wanted%'
"""

Waiting = Callable[[int], Awaitable[list[int]]]


@pytest.fixture
def held(superuser, eventually) -> Callable[[], AbstractAsyncContextManager[Waiting]]:
    """Lets nobody append inside the block, which gets what waits until so many statements wait, and tells whose."""

    @asynccontextmanager
    async def hold() -> AsyncIterator[Waiting]:
        async with superuser.transaction():
            await superuser.execute("LOCK TABLE log_entry IN EXCLUSIVE MODE")

            async def waiting(count: int) -> list[int]:
                return await eventually(lambda: superuser.fetchval(WAITING, count))

            yield waiting

    return hold


@pytest.fixture
async def small(replica) -> AsyncIterator[LogServiceStub]:
    """The log of a replica in which two entries wait at most; it knows where the log ends, its chain, and ann."""
    async with replica(queue=2) as service, service.channel() as channel:
        log = LogServiceStub(channel)
        await log.AppendEntry(entry())
        yield log


@pytest.fixture
def behind(small, refused):
    """Appends an entry that stands behind the one that is being written: of two, one is refused, for two wait."""

    async def append(request: contract.AppendEntryRequest) -> "asyncio.Task[log_pb2.EntryReceipt]":
        calls = [asyncio.ensure_future(receipt(small, request)) for _ in range(2)]
        [out_of_room], [appending] = await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
        with refused("RESOURCE_EXHAUSTED", "OVERLOADED"):
            await out_of_room
        return appending

    return append


async def test_what_stands_behind_a_batch_that_failed_is_appended_all_the_same(
    held, small, behind, superuser, assert_whole
) -> None:
    async with held() as waiting:
        first = asyncio.ensure_future(receipt(small, entry()))
        [backend] = await waiting(1)
        second = await behind(entry())
        await superuser.fetch("SELECT pg_terminate_backend($1)", backend)
    # The client has repeated what failed.
    assert [(await appending).index for appending in (second, first)] == [1, 2]
    assert len(await assert_whole()) == 3


async def test_a_batch_makes_way_for_another_replicas_with_all_that_stands_behind_it(
    held, log, small, behind, assert_whole
) -> None:
    async with held() as waiting:
        others = asyncio.ensure_future(receipt(log, entry()))
        await waiting(1)
        first = asyncio.ensure_future(receipt(small, entry()))
        await waiting(2)
        second = await behind(entry())
    assert [(await appending).index for appending in (others, first, second)] == [1, 2, 3]
    assert len(await assert_whole()) == 4


async def test_what_was_sealed_ahead_under_a_key_that_is_destroyed_meanwhile_is_sealed_anew(
    held, erase, small, behind, assert_whole
) -> None:
    async with held() as waiting:
        erasing = asyncio.ensure_future(erase("ann"))
        await waiting(1)
        first = asyncio.ensure_future(receipt(small, entry()))
        await waiting(2)
        second = await behind(entry())
    erased = await erasing
    places = [(await appending).index for appending in (first, second)]
    entries = await assert_whole()
    assert erased.receipt.index < min(places)
    assert [entries[index].actor.id for index in places] == ["ann", "ann"]
    pseudonyms = {entries[index].personal_parts[0].pseudonym for index in places}
    assert len(pseudonyms) == 1
    assert erased.pseudonym not in pseudonyms


async def test_a_repetition_behind_the_entry_itself_gets_its_receipt(held, small, behind, assert_whole) -> None:
    request = entry()
    async with held() as waiting:
        first = asyncio.ensure_future(receipt(small, request))
        await waiting(1)
        second = await behind(request)
    assert await first == await second
    assert len(await assert_whole()) == 2


async def test_what_stands_behind_a_repetition_leaves_no_gap(held, small, behind, assert_whole) -> None:
    request = entry()
    before = await receipt(small, request)
    async with held() as waiting:
        first = asyncio.ensure_future(receipt(small, request))
        await waiting(1)
        second = await behind(entry())
    assert await first == before
    assert (await second).index == before.index + 1
    assert len(await assert_whole()) == 3


async def test_a_chain_that_is_being_looked_up_is_not_taken_for_a_new_one(
    log, small, behind, superuser, eventually, assert_whole
) -> None:
    elsewhere = entry(OTHER_CLAIM)
    before = await receipt(log, elsewhere)
    # So that the replica knows again where the log ends, but not that claim's chain.
    await receipt(small, entry())

    async def looking_up() -> list[asyncpg.Record]:
        # Within a transaction the activity that is seen once stays as it was.
        await superuser.execute("SELECT pg_stat_clear_snapshot()")
        return await superuser.fetch(LOOKS_A_CHAIN_UP)

    async with superuser.transaction():
        await superuser.execute("LOCK TABLE log_entry IN ACCESS EXCLUSIVE MODE")
        first = asyncio.ensure_future(receipt(small, elsewhere))
        await eventually(looking_up)
        second = await behind(entry(OTHER_CLAIM))
    assert await first == before
    assert (await second).index == 3
    assert len(await assert_whole()) == 4


async def receipt(log: LogServiceStub, request: contract.AppendEntryRequest) -> log_pb2.EntryReceipt:
    return (await log.AppendEntry(request)).receipt


def entry(claim_id: str = CLAIM) -> contract.AppendEntryRequest:
    return contract.AppendEntryRequest(
        request_id=str(uuid4()),
        draft=log_pb2.EntryDraft(
            actor=ANN,
            action="prompt.answered",
            outcome=log_pb2.OUTCOME_SUCCESS,
            entity_type="prompt",
            entity_id="prompt-1",
            claim_id=claim_id,
        ),
    )
