"""What is left of a person's entries when they are erased, and who they are when they come back."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from uuid import uuid4

import asyncpg
import pytest
from google.protobuf.duration_pb2 import Duration
from opentelemetry.sdk.trace import ReadableSpan
from proofloop.audit.v1 import log_pb2
from proofloop.audit.v1 import log_service_pb2 as contract
from proofloop.audit.v1.log_service_pb2_grpc import LogServiceStub
from proofloop_verifier import merkle

CLAIM = str(uuid4())

STANDS_STILL = """
    SELECT FROM pg_locks AS log JOIN pg_locks AS tree USING (pid)
    WHERE log.locktype = 'advisory' AND log.classid::bigint << 32 | log.objid::bigint = hashtextextended('acme', 0)
        AND log.granted AND NOT tree.granted AND tree.relation = 'log_subtree'::regclass
        AND tree.database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
IN_LINE = """
    SELECT FROM pg_locks
    WHERE locktype = 'advisory' AND classid::bigint << 32 | objid::bigint = hashtextextended('acme', 0)
        AND NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
WAITS = "SELECT FROM pg_locks WHERE NOT granted AND pid = $1"


def user(name: str) -> log_pb2.Actor:
    return log_pb2.Actor(type=log_pb2.ACTOR_TYPE_USER, id=name)


@pytest.fixture
def one_by_one(superuser_url, eventually):
    """Whoever gets the log's lock inside the block stands still where they look at the tree, which lets one pass."""
    hold = "BEGIN; LOCK TABLE log_subtree IN ACCESS EXCLUSIVE MODE"

    @asynccontextmanager
    async def stop() -> AsyncIterator[Callable[[], Awaitable[None]]]:
        async with (
            asyncpg.create_pool(superuser_url, min_size=2, max_size=2) as pool,
            pool.acquire() as holding,
            pool.acquire() as next_holding,
        ):
            await holding.execute(hold)

            async def let_one_pass() -> None:
                nonlocal holding, next_holding
                await eventually(lambda: holding.fetch(STANDS_STILL))
                await eventually(lambda: holding.fetch(IN_LINE))
                taking = asyncio.ensure_future(next_holding.execute(hold))
                await eventually(lambda: holding.fetch(WAITS, next_holding.get_server_pid()))
                await holding.execute("COMMIT")
                await taking
                holding, next_holding = next_holding, holding

            yield let_one_pass

    return stop


@pytest.fixture
async def receipts(append) -> list[log_pb2.EntryReceipt]:
    """An entry of ann, one of bob, and one more of ann."""
    personal = {"reason": "why", "ip_address": "203.0.113.7", "details_json": "{}", "claim_id": CLAIM}
    return [await append(actor=user(name), **personal) for name in ("ann", "bob", "ann")]


async def test_an_erased_persons_entries_are_still_there_without_their_personal_parts(
    erase, receipts, read_log
) -> None:
    erasure = await erase("ann")
    entries = await read_log()
    assert erasure.entry_count == 2
    for erased, receipt in ((entries[0], receipts[0]), (entries[2], receipts[2])):
        assert (erased.leaf_hash, merkle.leaf_hash(erased.leaf)) == (receipt.leaf_hash, receipt.leaf_hash)
        assert erased.action == "prompt.answered"
        assert not erased.HasField("actor")
        assert (erased.reason, erased.ip_address, erased.details_json) == ("", "", "")
        assert erased.personal_parts == [log_pb2.PersonalPart(pseudonym=erasure.pseudonym)]
    assert (entries[1].actor.id, entries[1].reason) == ("bob", "why")
    # Searching finds what the person is called no more.
    assert await read_log(actor_id="ann") == []
    assert len(await read_log(actor_id="bob")) == 1


async def test_the_log_says_who_erased_and_names_nobody_else(erase, receipts, read_log) -> None:
    erasure = await erase("ann")
    entry = (await read_log())[3]
    assert (entry.entry_id, entry.index, entry.leaf_hash) == (
        erasure.receipt.entry_id,
        erasure.receipt.index,
        erasure.receipt.leaf_hash,
    )
    assert (entry.action, entry.service, entry.outcome) == ("subject.erased", "audit", log_pb2.OUTCOME_SUCCESS)
    assert (entry.entity_type, entry.entity_id) == ("subject", erasure.pseudonym)
    assert (entry.actor, entry.reason) == (user("cora"), "asked to be forgotten")
    assert b"ann" not in entry.SerializeToString()


async def test_everything_that_was_proven_before_an_erasure_is_proven_after_it(
    log, erase, receipts, assert_whole
) -> None:
    async def prove() -> tuple[log_pb2.Checkpoint, list[log_pb2.InclusionProof]]:
        signed = (await log.GetCheckpoint(contract.GetCheckpointRequest())).checkpoint
        requests = [
            contract.GetInclusionProofRequest(entry_id=each.entry_id, tree_size=signed.tree_size) for each in receipts
        ]
        return signed, [(await log.GetInclusionProof(request)).proof for request in requests]

    before, old = await prove()
    await erase("ann")
    after, new = await prove()
    for checkpoint, proofs in ((before, old), (after, new)):
        for receipt, proof in zip(receipts, proofs, strict=True):
            merkle.verify_inclusion(
                receipt.index, checkpoint.tree_size, receipt.leaf_hash, proof.hashes, checkpoint.root_hash
            )
    request = contract.GetConsistencyProofRequest(from_size=before.tree_size, to_size=after.tree_size)
    grown = (await log.GetConsistencyProof(request)).proof
    merkle.verify_consistency(before.tree_size, after.tree_size, before.root_hash, after.root_hash, grown.hashes)
    # The claim's chain too, which goes through the erased entries.
    assert len(await assert_whole()) == after.tree_size == 4


async def test_a_person_who_comes_back_is_another_one_on_every_replica(
    replica, log, erase, append, new_request, read_log
) -> None:
    """Whether a replica hears of the erasure by its next entry of the person, or by one of somebody else."""
    async with replica() as other, other.channel() as channel:
        elsewhere = LogServiceStub(channel)
        for name in ("ann", "bob", "dan"):
            await elsewhere.AppendEntry(new_request(actor=user(name)))
        first = await erase("ann")
        await elsewhere.AppendEntry(new_request(actor=user("ann")))
        second = await erase("bob")
        await elsewhere.AppendEntry(new_request(actor=user("dan")))
        await elsewhere.AppendEntry(new_request(actor=user("bob")))
        await append(actor=user("ann"))
    entries = [entry for entry in await read_log() if entry.action == "prompt.answered"]
    assert [entry.actor.id for entry in entries] == ["", "", "dan", "ann", "dan", "bob", "ann"]
    names = [entry.personal_parts[0].pseudonym for entry in entries]
    assert names[:2] == [first.pseudonym, second.pseudonym]
    assert (names[2], names[3]) == (names[4], names[6])
    assert len(set(names)) == 5


async def test_no_entry_after_an_erasure_is_under_the_destroyed_key(
    replica, log, officer, erase, new_request, assert_whole
) -> None:
    """Entries are under way on two replicas, and wait in both, while their author is erased again and again."""
    done = asyncio.Event()

    async def caller(stub: LogServiceStub, number: int) -> None:
        while not done.is_set():
            batch = [new_request(actor=user(name)) for name in ("ann", f"other-{number}")]
            await stub.AppendEntries(contract.AppendEntriesRequest(entries=batch))

    async with replica() as other, other.channel() as channel:
        callers = [asyncio.ensure_future(caller(stub, 0)) for stub in [log, LogServiceStub(channel)] * 8]
        erasures = [await erase("ann") for _ in range(12)]
        done.set()
        await asyncio.gather(*callers)
    entries = await assert_whole()
    erased_at = {erasure.pseudonym: erasure.receipt.index for erasure in erasures}
    theirs = [entry for entry in entries if entry.actor.id != "cora"]
    for entry in theirs:
        [part] = entry.personal_parts
        assert entry.index < erased_at.get(part.pseudonym, len(entries))
        assert bool(part.part) == (part.pseudonym not in erased_at)
    counted = {name: sum(entry.personal_parts[0].pseudonym == name for entry in theirs) for name in erased_at}
    assert counted == {erasure.pseudonym: erasure.entry_count for erasure in erasures}
    assert sum(count > 0 for count in counted.values()) > 1


async def test_a_batch_outlasts_any_number_of_erasures(
    nats, replica, log, erase, new_request, superuser, eventually, one_by_one, spans, assert_whole
) -> None:
    """The log's lock is given in the order in which it is asked for: before each attempt of the batch to an erasure."""

    async def batches() -> list[ReadableSpan]:
        return spans.named("audit.append")

    async with replica() as other, other.channel() as channel:
        # Those who are told of erasures would stand in the same line.
        await nats.stop()
        async with one_by_one() as let_one_pass:
            erasing = asyncio.ensure_future(erase("bob"))
            await eventually(lambda: superuser.fetch(STANDS_STILL))
            appending = asyncio.ensure_future(LogServiceStub(channel).AppendEntry(new_request(actor=user("ann"))))
            await let_one_pass()
            for _ in range(8):
                await erasing
                erasing = asyncio.ensure_future(erase("bob"))
                # The batch finds out that it has to begin again, and gets in line behind the erasure.
                await let_one_pass()
                await let_one_pass()
        await erasing
        assert (await appending).receipt.index == 9
        # The client would have repeated what failed.
        assert len(await eventually(batches)) == 1
    assert len(await assert_whole()) == 10


async def test_an_erasure_is_one_entry_however_often_it_is_asked_for_and_told(
    nats, replica, log, officer, erasing, append, read_log, nats_client, eventually
) -> None:
    """It is in the log before anybody was told, and stays one when the others are told by another replica, later."""
    await append(actor=user("ann"))
    await nats.stop()
    request = erasing("ann")
    answers = await asyncio.gather(*(officer.EraseSubject(request) for _ in range(4)))
    assert len({answer.SerializeToString() for answer in answers}) == 1
    assert [entry.action for entry in await read_log()] == ["prompt.answered", "subject.erased"]
    await nats.start()
    events = await nats_client.jetstream().subscribe("proofloop.event.acme.audit.subject.erased", ordered_consumer=True)
    told = await events.next_msg(timeout=30)
    assert told.headers["ce-id"] == answers[0].receipt.entry_id
    # Told again, under another id for the server's own de-duplication.
    await nats_client.jetstream().publish(told.subject, told.data, headers=told.headers | {"Nats-Msg-Id": "again"})
    # The log takes events in order: once this one is there, the erasure has been passed over.
    follower = str(uuid4())
    await nats_client.jetstream().publish(
        "proofloop.event.acme.audit.caller.refused",
        b"{}",
        headers=told.headers
        | {"Nats-Msg-Id": follower, "ce-id": follower, "ce-type": "another", "ce-action": "caller.refused"},
    )
    await log.GetEntry(contract.GetEntryRequest(entry_id=follower, max_wait=Duration(seconds=25)), timeout=30)
    assert [entry.action for entry in await read_log()] == ["prompt.answered", "subject.erased", "caller.refused"]
    assert (await nats_client.jetstream().stream_info("PROOFLOOP_DEAD_LETTERS")).state.messages == 0


async def test_a_person_whom_the_log_does_not_know_is_erased_all_the_same(erase, append, read_log, refused) -> None:
    await append(actor=user("bob"))
    first, again = await erase("ann"), await erase("ann")
    assert (first.entry_count, again.entry_count) == (0, 0)
    assert first.pseudonym != again.pseudonym
    assert [entry.action for entry in await read_log()] == ["prompt.answered", "subject.erased", "subject.erased"]
    # What was asked once under an id is not asked again for somebody else.
    request_id = str(uuid4())
    await erase("ann", request_id=request_id)
    with refused("FAILED_PRECONDITION", "REQUEST_ID_REUSED"):
        await erase("bob", request_id=request_id)
    assert len(await read_log(actor_id="bob")) == 1


async def test_whoever_erases_is_told_which_packets_name_the_person(erase, append) -> None:
    claims = [str(uuid4()) for _ in range(4)]
    packet = {"action": "packet.generated", "entity_type": "packet", "actor": user("bob")}
    await append(claim_id=claims[0], entity_id="before", **packet)
    for claim_id in claims[:3]:
        await append(claim_id=claim_id, actor=user("ann"))
    for claim_id, packet_id in ((claims[0], "one"), (claims[3], "of others"), (claims[1], "two"), (claims[0], "three")):
        await append(claim_id=claim_id, entity_id=packet_id, **packet)
    await append(claim_id=claims[2], entity_id="failed", **packet | {"action": "packet.failed"})
    erasure = await erase("ann")
    assert (list(erasure.packet_ids), erasure.more_packets) == (["three", "two", "one"], False)


async def test_nobody_but_compliance_erases_and_nobody_else_learns_whom_the_log_knew(
    as_person, log, erase, erasing, append, refused, read_log
) -> None:
    await append(actor=user("ann"))
    async with as_person("rita", "claimant", "reviewer", "auditor", "operator") as others:
        seen = []
        for stub in (others, log):
            for name in ("ann", "nobody"):
                with refused("PERMISSION_DENIED", "ROLE_MISSING") as refusal:
                    await stub.EraseSubject(erasing(name))
                seen += refusal
    assert len({(each.message, str(each.metadata)) for each in seen}) == 1
    assert len(await read_log(actor_id="ann")) == 1


async def test_a_request_that_is_wrong_erases_nobody(erase, erasing, append, refused, read_log) -> None:
    service = log_pb2.Actor(type=log_pb2.ACTOR_TYPE_SERVICE, id="packets")
    for field, fields in (
        ("request_id", {"request_id": "17"}),
        ("subject", {"subject": None}),
        ("subject.id", {"subject": user("")}),
        ("", {"subject": service}),
        ("reason", {"reason": ""}),
        ("reason", {"reason": "r" * 2001}),
    ):
        with refused("INVALID_ARGUMENT", "INVALID_FIELD") as refusals:
            await erase("ann", **fields)
        assert refusals[0].metadata.get("field", "") == field, fields
    assert await read_log() == []


async def test_the_application_may_add_to_the_log_and_never_change_it(audit_database) -> None:
    connection = await asyncpg.connect(audit_database.application_url, server_settings={"app.tenants": "acme"})
    try:
        for statement in (
            "DELETE FROM log_entry",
            "UPDATE log_entry SET leaf = leaf",
            "TRUNCATE log_entry",
            "DELETE FROM log_subtree",
            "UPDATE log_subtree SET root = root",
            "DELETE FROM log_checkpoint",
            "UPDATE log_checkpoint SET note = note",
            "UPDATE subject SET pseudonym = pseudonym",
            "DELETE FROM legal_hold",
            "UPDATE legal_hold SET scope = scope",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)
    finally:
        await connection.close()
