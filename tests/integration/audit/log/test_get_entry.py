"""GetEntry, and waiting for an entry."""

import asyncio
from datetime import timedelta
from uuid import uuid4

import pytest
from google.protobuf.duration_pb2 import Duration
from proofloop.audit.v1 import log_service_pb2 as contract
from proofloop.audit.v1.log_service_pb2_grpc import LogServiceStub

LONG = Duration(seconds=25)


async def test_an_entry_that_is_not_there_is_not_found(log, refused) -> None:
    with refused("NOT_FOUND", "ENTRY_NOT_FOUND"):
        await log.GetEntry(contract.GetEntryRequest(entry_id=str(uuid4())))


async def test_waiting_in_vain_ends_with_not_found(log, refused) -> None:
    wait = Duration()
    wait.FromTimedelta(timedelta(milliseconds=50))
    with refused("NOT_FOUND", "ENTRY_NOT_FOUND"):
        await log.GetEntry(contract.GetEntryRequest(entry_id=str(uuid4()), max_wait=wait))


@pytest.mark.parametrize("same", [True, False], ids=["this replica", "another replica"])
async def test_a_waiting_call_gets_the_entry_that_is_appended(
    replica, audit, log, append, new_request, spans, eventually, same
) -> None:
    entry_id = str(uuid4())

    async def looked() -> bool:
        return any(span.attributes["db.operation.name"] == "SELECT" for span in spans.named("SELECT"))

    async with replica(checkpoint_every=timedelta(hours=1)) as other, other.channel() as channel:
        waiting = asyncio.ensure_future(
            log.GetEntry(contract.GetEntryRequest(entry_id=entry_id, max_wait=LONG), timeout=30)
        )
        await eventually(looked)
        assert not waiting.done()
        stub = log if same else LogServiceStub(channel)
        receipt = (await stub.AppendEntry(new_request(entry_id))).receipt
        entry = (await waiting).entry
    assert (entry.entry_id, entry.leaf_hash) == (entry_id, receipt.leaf_hash)


async def test_an_append_to_another_entry_does_not_end_the_waiting(log, append, new_request) -> None:
    entry_id = str(uuid4())
    waiting = asyncio.ensure_future(
        log.GetEntry(contract.GetEntryRequest(entry_id=entry_id, max_wait=LONG), timeout=30)
    )
    for _ in range(5):
        await append()
    await append(entry_id)
    assert (await waiting).entry.entry_id == entry_id
