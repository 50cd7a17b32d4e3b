"""The audit log survives kill -9, its own and its database's: what it acknowledged is there, once, and proven."""

import json
from itertools import pairwise
from uuid import uuid4

import grpc
import pytest
from proofloop.audit.v1 import log_pb2
from proofloop.audit.v1 import log_service_pb2 as contract
from proofloop.audit.v1.log_service_pb2_grpc import LogServiceStub
from proofloop_verifier import merkle
from proofloop_verifier.merkle import CompactRange

CALLERS = 16
CLAIMS = [str(uuid4()) for _ in range(3)]


@pytest.fixture
def appending():
    """Makes the operation of the load: an append to one of three claims."""

    def on(log: LogServiceStub):
        async def append(request_id: str) -> log_pb2.EntryReceipt:
            draft = log_pb2.EntryDraft(
                actor=log_pb2.Actor(type=log_pb2.ACTOR_TYPE_USER, id=f"user-{request_id[0]}"),
                action="prompt.answered",
                outcome=log_pb2.OUTCOME_SUCCESS,
                entity_type="prompt",
                entity_id=request_id,
                claim_id=CLAIMS[int(request_id[:8], 16) % len(CLAIMS)],
            )
            request = contract.AppendEntryRequest(request_id=request_id, draft=draft)
            return (await log.AppendEntry(request, wait_for_ready=True, timeout=60)).receipt

        return append

    return on


async def test_what_a_killed_service_acknowledged_is_there_exactly_once(
    stack_of, connected, under_load, appending, request
) -> None:
    deaths = request.config.getoption("deaths")
    async with stack_of("audit") as stack:
        service = stack.services["audit"]
        async with connected(stack, service.address) as channel:
            log = LogServiceStub(channel)
            checkpoints = []
            async with under_load(appending(log), CALLERS, patience=60 + 20 * deaths) as load:
                for _ in range(deaths):
                    await load.proceeds(100)
                    checkpoints.append(await checkpoint_of(log))
                    await service.kill()
                    await service.start()
                await load.proceeds(100)
            assert {refusal.status for refusal in load.refusals} <= {grpc.StatusCode.UNAVAILABLE}
            await assert_holds(log, load.acknowledged, checkpoints)


async def test_a_killed_database_is_unavailable_and_loses_nothing_that_was_acknowledged(
    stack_of, connected, under_load, appending
) -> None:
    async with stack_of("audit") as stack, connected(stack, stack.services["audit"].address) as channel:
        log = LogServiceStub(channel)
        append = appending(log)

        async def append_and_read(request_id: str) -> log_pb2.EntryReceipt:
            receipt = await append(request_id)
            request = contract.GetEntryRequest(entry_id=request_id)
            assert (await log.GetEntry(request, timeout=60)).entry.leaf_hash == receipt.leaf_hash
            return receipt

        checkpoints = []
        async with under_load(append_and_read, CALLERS) as load:
            for _ in range(2):
                await load.proceeds(100)
                checkpoints.append(await checkpoint_of(log))
                await stack.postgres.kill()
                await stack.postgres.start()
            await load.proceeds(100)
        assert load.refusals
        for refusal in load.refusals:
            assert (refusal.status, refusal.reason) == (
                grpc.StatusCode.UNAVAILABLE,
                "ERROR_REASON_DEPENDENCY_UNAVAILABLE",
            ), refusal
            assert refusal.retry_after is not None
            assert refusal.metadata["dependency"] == "postgresql"
        await assert_holds(log, load.acknowledged, checkpoints)


async def checkpoint_of(log: LogServiceStub) -> log_pb2.Checkpoint:
    return (await log.GetCheckpoint(contract.GetCheckpointRequest(), wait_for_ready=True, timeout=60)).checkpoint


async def assert_holds(log: LogServiceStub, acknowledged, checkpoints) -> None:
    """The log holds what was acknowledged and nothing else, once, unbroken, and every checkpoint ever given is true."""
    entries = await all_entries(log)
    assert [entry.index for entry in entries] == list(range(len(entries)))
    assert {entry.entry_id: (entry.index, entry.leaf_hash) for entry in entries} == {
        entry_id: (receipt.index, receipt.leaf_hash) for entry_id, receipt in acknowledged.items()
    }
    for claim_id in CLAIMS:
        chain = [entry for entry in entries if entry.claim_id == claim_id]
        assert [entry.claim_sequence for entry in chain] == list(range(len(chain)))
        for before, entry in pairwise(chain):
            assert json.loads(entry.leaf)["claim_previous"] == before.leaf_hash.hex()
    last = await checkpoint_of(log)
    assert last.tree_size == len(entries)
    for checkpoint in [*checkpoints, last]:
        leaves = [entry.leaf_hash for entry in entries[: checkpoint.tree_size]]
        assert CompactRange().extend(leaves).root() == checkpoint.root_hash
    for entry in entries[:: len(entries) // 50]:
        proof = (await log.GetInclusionProof(contract.GetInclusionProofRequest(entry_id=entry.entry_id))).proof
        merkle.verify_inclusion(entry.index, last.tree_size, entry.leaf_hash, proof.hashes, last.root_hash)


async def all_entries(log: LogServiceStub) -> list[log_pb2.Entry]:
    entries: list[log_pb2.Entry] = []
    request = contract.ListEntriesRequest(page_size=1000)
    while True:
        page = await log.ListEntries(request)
        entries += page.entries
        if not page.next_page_token:
            return entries
        request.page_token = page.next_page_token
