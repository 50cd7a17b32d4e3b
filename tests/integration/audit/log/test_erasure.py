"""What is left of an entry when its subject's key is gone."""

import asyncpg
import pytest
from proofloop.audit.v1 import log_pb2
from proofloop.audit.v1 import log_service_pb2 as contract
from proofloop.audit.v1.log_service_pb2_grpc import LogServiceStub
from proofloop_verifier import merkle


@pytest.fixture
async def receipts(append, superuser) -> list[log_pb2.EntryReceipt]:
    """An entry of an erased subject, and one of another."""
    made = []
    for name in ("ann", "bob"):
        actor = log_pb2.Actor(type=log_pb2.ACTOR_TYPE_USER, id=name)
        made.append(await append(actor=actor, reason="why", ip_address="203.0.113.7", details_json="{}"))
        if name == "ann":
            await superuser.execute("DELETE FROM subject")
    return made


async def test_an_erased_subjects_entry_is_still_there_without_its_personal_part(log, receipts) -> None:
    erased, kept = (await log.ListEntries(contract.ListEntriesRequest())).entries
    assert (erased.leaf_hash, merkle.leaf_hash(erased.leaf)) == (receipts[0].leaf_hash, receipts[0].leaf_hash)
    assert erased.action == "prompt.answered"
    assert not erased.HasField("actor")
    assert (erased.reason, erased.ip_address, erased.details_json) == ("", "", "")
    [part] = erased.personal_parts
    assert len(part.pseudonym) == 32
    assert (part.salt, part.part) == (b"", "")
    assert (kept.actor.id, kept.reason) == ("bob", "why")


async def test_an_erased_subjects_entry_is_still_proven(log, receipts) -> None:
    checkpoint = (await log.GetCheckpoint(contract.GetCheckpointRequest())).checkpoint
    for receipt in receipts:
        proof = (await log.GetInclusionProof(contract.GetInclusionProofRequest(entry_id=receipt.entry_id))).proof
        merkle.verify_inclusion(receipt.index, 2, receipt.leaf_hash, proof.hashes, checkpoint.root_hash)


async def test_an_erased_subject_cannot_be_searched_for(receipts, read_log) -> None:
    assert await read_log(actor_id="ann") == []
    assert len(await read_log(actor_id="bob")) == 1


async def test_a_subject_that_comes_back_gets_another_pseudonym(replica, receipts, new_request, read_log) -> None:
    async with replica() as service, service.channel() as channel:
        actor = log_pb2.Actor(type=log_pb2.ACTOR_TYPE_USER, id="ann")
        await LogServiceStub(channel).AppendEntry(new_request(actor=actor))
    before, _, after = await read_log()
    assert after.actor.id == "ann"
    assert before.personal_parts[0].pseudonym != after.personal_parts[0].pseudonym


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
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)
    finally:
        await connection.close()
