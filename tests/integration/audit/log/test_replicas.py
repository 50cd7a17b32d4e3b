"""Several replicas, restarts, and the claims' chains."""

import asyncio
from uuid import uuid4

from proofloop.audit.v1 import log_pb2
from proofloop.audit.v1 import log_service_pb2 as contract
from proofloop.audit.v1.log_service_pb2_grpc import LogServiceStub

CLAIMS = [str(uuid4()) for _ in range(3)]


async def test_two_replicas_append_to_one_log_without_gap_or_fork(replica, log, new_request, assert_whole) -> None:
    requests = [
        new_request(
            claim_id=CLAIMS[number % 4] if number % 4 < 3 else "",
            actor=log_pb2.Actor(type=log_pb2.ACTOR_TYPE_USER, id=f"user-{number % 5}"),
        )
        for number in range(500)
    ]
    todo = iter(requests)
    receipts: dict[str, log_pb2.EntryReceipt] = {}
    before: list[tuple[int, int]] = []

    async def caller(stub: LogServiceStub) -> None:
        last = -1
        for request in todo:
            receipt = (await stub.AppendEntry(request)).receipt
            receipts[request.request_id] = receipt
            before.append((last, receipt.index))
            last = receipt.index

    async with replica() as other, other.channel() as channel:
        await asyncio.gather(*(caller(stub) for stub in [log, LogServiceStub(channel)] * 16))
    entries = await assert_whole()
    assert {entry.entry_id: entry.index for entry in entries} == {
        entry_id: receipt.index for entry_id, receipt in receipts.items()
    }
    assert all(entries[receipt.index].leaf_hash == receipt.leaf_hash for receipt in receipts.values())
    # What a caller appended after an answer stands after what was answered.
    assert all(earlier < later for earlier, later in before)


async def test_the_chain_of_a_claim_goes_on_across_batches_and_restarts(replica, new_request, assert_whole) -> None:
    for _ in range(3):
        async with replica() as service, service.channel() as channel:
            log = LogServiceStub(channel)
            for claim_id in CLAIMS:
                await log.AppendEntry(new_request(claim_id=claim_id))
            batch = [new_request(claim_id=claim_id) for claim_id in CLAIMS * 2]
            await log.AppendEntries(contract.AppendEntriesRequest(entries=batch))
    entries = await assert_whole()
    for claim_id in CLAIMS:
        assert [entry.claim_sequence for entry in entries if entry.claim_id == claim_id] == list(range(9))


async def test_chains_of_different_claims_are_interleaved_within_one_batch(log, new_request, assert_whole) -> None:
    batch = [new_request(claim_id=claim_id) for claim_id in [*CLAIMS, "", *reversed(CLAIMS), CLAIMS[0]]]
    await log.AppendEntries(contract.AppendEntriesRequest(entries=batch))
    entries = await assert_whole()
    assert [entry.claim_sequence for entry in entries] == [0, 0, 0, 0, 1, 1, 1, 2]
    assert not entries[3].HasField("claim_sequence")


async def test_a_replica_that_was_passed_by_another_appends_after_it(replica, log, append, assert_whole) -> None:
    await append(claim_id=CLAIMS[0])
    async with replica() as other, other.channel() as channel:
        stub = LogServiceStub(channel)
        for _ in range(3):
            await append(claim_id=CLAIMS[0])
            await stub.AppendEntries(
                contract.AppendEntriesRequest(
                    entries=[
                        contract.AppendEntryRequest(request_id=str(uuid4()), draft=entry_like(claim_id))
                        for claim_id in CLAIMS[:2]
                    ]
                )
            )
    assert len(await assert_whole()) == 10


async def test_two_replicas_that_meet_an_actor_at_once_use_one_pseudonym(replica, new_request, superuser) -> None:
    async with replica() as one, replica() as two, one.channel() as first, two.channel() as second:
        stubs = LogServiceStub(first), LogServiceStub(second)
        requests = [
            new_request(actor=log_pb2.Actor(type=log_pb2.ACTOR_TYPE_USER, id=f"new-{number}"))
            for number in range(10)
            for _ in stubs
        ]
        await asyncio.gather(*(stub.AppendEntry(request) for stub, request in zip(stubs * 10, requests, strict=True)))
        entries = (await stubs[0].ListEntries(contract.ListEntriesRequest())).entries
    pseudonyms = {(entry.actor.id, entry.personal_parts[0].pseudonym) for entry in entries}
    assert len(entries) == 20
    assert len(pseudonyms) == len({pseudonym for _, pseudonym in pseudonyms}) == 10
    assert await superuser.fetchval("SELECT count(*) FROM subject") == 10


def entry_like(claim_id: str) -> log_pb2.EntryDraft:
    return log_pb2.EntryDraft(
        actor=log_pb2.Actor(type=log_pb2.ACTOR_TYPE_SERVICE, id="packets"),
        action="claim.created",
        outcome=log_pb2.OUTCOME_SUCCESS,
        entity_type="claim",
        entity_id=claim_id,
        claim_id=claim_id,
    )
