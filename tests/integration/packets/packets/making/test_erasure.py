"""Packets of an erased person: those that were made before, and those that are made afterwards."""

import json
from uuid import uuid4

import asyncpg
from leftovers import tables_that_say
from proofloop.audit.v1 import log_pb2, log_service_pb2
from proofloop.audit.v1.log_service_pb2_grpc import LogServiceStub
from proofloop.packets.v1 import evidence_service_pb2, packets_pb2

from .conftest import fetched, made, unzipped, verified

ANN = "ann@example.com"
MAIL = f"From: Ann <{ANN.upper()}>\r\nTo: ben@example.com\r\nSubject: Count\r\n\r\n28 units.\r\n".encode()


async def test_a_packet_from_before_an_erasure_still_verifies_and_a_later_one_has_no_word_of_the_person(
    packets, connect, rita, audit, token_for, postgres, packets_database, eventually
) -> None:
    async with connect(packets, ANN, "claimant") as ann:
        claim = await ann.open_claim()
        file = await ann.upload(claim.claim_id, MAIL, "thread.eml")
        before = await made(ann, claim.claim_id)
        content = await fetched(ann, before.packet_id)
    assert ANN.encode() in unzipped(content)["data/packet.json"]

    async with audit.channel(peer="cli", token=token_for("cora", "compliance")) as channel:
        request = log_service_pb2.EraseSubjectRequest(
            request_id=str(uuid4()), subject=log_pb2.Actor(type=log_pb2.ACTOR_TYPE_USER, id=ANN), reason="asked to"
        )
        erasure = await LogServiceStub(channel).EraseSubject(request)
    assert list(erasure.packet_ids) == [before.packet_id]

    connection = await asyncpg.connect(f"{postgres.superuser_url.rpartition('/')[0]}/{packets_database.name}")

    async def nothing_is_left() -> bool:
        return not [text for text in (ANN, ANN.upper()) if await tables_that_say(connection, text)]

    await eventually(nothing_is_left)
    await connection.close()

    assert await fetched(rita, before.packet_id) == content
    assert (await verified(rita, content)).verdict == packets_pb2.VERDICT_VERIFIED

    after = await made(rita, claim.claim_id)
    later = await fetched(rita, after.packet_id)
    assert (await verified(rita, later)).verdict == packets_pb2.VERDICT_VERIFIED
    held = unzipped(later)
    assert held["data/evidence/thread.eml"] == MAIL
    assert ANN.encode() not in held["data/packet.json"]
    # What a service says of a person in the details of its own entry is not under the person's key.
    parts = [
        json.loads(personal["part"])
        for line in held["data/audit/entries.jsonl"].splitlines()
        for personal in json.loads(line)["personal"]
    ]
    assert {part["actor_id"] for part in parts} == {"packets", "rita"}
    request = evidence_service_pb2.GetEvidenceRequest(evidence_id=file.evidence_id)
    seen = (await rita.evidence.GetEvidence(request)).evidence
    assert (seen.uploaded_by, seen.metadata["sender"], seen.sha256) == ("", "", file.sha256)
    assert (seen.metadata["subject"], list(seen.metadata["recipients"])) == ("Count", ["ben@example.com"])
