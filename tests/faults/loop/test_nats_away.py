"""The services go on while NATS is away: what they acknowledge then stands in the audit log once NATS is back, once."""

import asyncio
from collections import Counter
from uuid import uuid4

import pytest
from proofloop.audit.v1 import log_pb2
from proofloop.audit.v1.log_service_pb2 import AppendEntryRequest, GetEntryRequest
from proofloop.audit.v1.log_service_pb2_grpc import LogServiceStub

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("faults")]

CALLERS = 3
ACTIONS = Counter(
    {
        "claim.created": 1,
        "evidence.uploaded": 3,
        "prompt.created": 1,
        "prompt.answered": 1,
        "workflow.summarized": 1,
        "workflow.reviewed": 1,
        "workflow.completed": 1,
    }
)
"""What the audit log must hold of a claim before its packet, and how often."""


async def test_what_is_acknowledged_while_nats_is_away_is_logged_once_when_it_is_back(
    stack, connected, new_loop, progress, eventually, request
):
    before, meanwhile = [], []
    away, over = asyncio.Event(), asyncio.Event()

    async def play_on() -> None:
        """Until the outage is over, and at least once from the beginning while it lasts."""
        loops = before
        while loops is before or not over.is_set():
            # What began while NATS was there may have been heard.
            loops = meanwhile if away.is_set() else before
            loops.append(loop := new_loop(progress))
            await loop.gather()

    async with connected(stack, stack.services["audit"].address) as channel:
        log = LogServiceStub(channel)
        async with asyncio.TaskGroup() as callers:
            for _ in range(CALLERS):
                callers.create_task(play_on())
            await progress.reached["evidence"].wait()
            await stack.nats.stop()
            away.set()
            receipts = await append_for(request.config.getoption("outage"), log)
            over.set()
        assert len(meanwhile) >= CALLERS
        assert not progress.refusals
        for loop in meanwhile:
            assert await loop.entries() == []
        await stack.nats.start()
        for loop in (*before, *meanwhile):
            await everything_is_logged_once(loop, eventually)
        for receipt in receipts:
            entry = (await log.GetEntry(GetEntryRequest(entry_id=receipt.entry_id))).entry
            assert (entry.index, entry.leaf_hash) == (receipt.index, receipt.leaf_hash)


async def append_for(seconds: int, log) -> list[log_pb2.EntryReceipt]:
    """Append one entry after the other for so long; each is acknowledged."""
    clock, receipts = asyncio.get_running_loop(), []
    end = clock.time() + seconds
    while clock.time() < end:
        draft = log_pb2.EntryDraft(
            actor=log_pb2.Actor(type=log_pb2.ACTOR_TYPE_USER, id="user-1"),
            action="prompt.answered",
            outcome=log_pb2.OUTCOME_SUCCESS,
            entity_type="prompt",
            entity_id="prompt-1",
        )
        request = AppendEntryRequest(request_id=str(uuid4()), draft=draft)
        receipts.append((await log.AppendEntry(request, timeout=10)).receipt)
    return receipts


async def everything_is_logged_once(loop, eventually) -> None:
    async def logged():
        entries = await loop.entries()
        return entries if len(entries) >= ACTIONS.total() else None

    entries = await eventually(logged)
    assert Counter(entry.action for entry in entries) == ACTIONS
    assert [entry.claim_sequence for entry in entries] == list(range(ACTIONS.total()))
    assert len({entry.entry_id for entry in entries}) == ACTIONS.total()
