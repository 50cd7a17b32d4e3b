"""A log of several people and claims, to be damaged where it is kept."""

import json
from uuid import uuid4

import pytest
from kept_logs import SIZE, Kept
from proofloop.audit.v1 import log_pb2
from proofloop.audit.v1 import log_service_pb2 as contract
from proofloop.audit.v1.log_service_pb2_grpc import LogServiceStub
from proofloop_verifier.note import Checkpoint, Note

CLAIMS = [f"0198a4f2-0000-7000-8000-00000000000{number}" for number in range(3)]


@pytest.fixture
async def kept(replica, publishing, superuser, new_request, token_for, eventually) -> Kept:
    """A log of 600 entries, of several people of whom one is erased, of claims and sessions, published as files."""
    log = Kept(publishing, superuser)
    async with replica(base=publishing) as service, service.channel() as channel:
        stub = LogServiceStub(channel)
        for begin, end in ((0, 100), (100, 300), (301, SIZE)):
            entries = [new_request(**about(index)) for index in range(begin, end)]
            await stub.AppendEntries(contract.AppendEntriesRequest(entries=entries))
            await stub.GetCheckpoint(contract.GetCheckpointRequest())
            if end == 300:
                async with service.channel(peer="cli", token=token_for("cora", "compliance")) as officer:
                    subject = log_pb2.Actor(type=log_pb2.ACTOR_TYPE_USER, id="ann")
                    request = contract.EraseSubjectRequest(request_id=str(uuid4()), subject=subject, reason="asked")
                    await LogServiceStub(officer).EraseSubject(request)

        async def published() -> bool:
            stored = await log.objects.read("acme/checkpoint")
            return stored is not None and Checkpoint.parse(Note.parse(stored.content).text).size == SIZE

        await eventually(published)
    await log.keep()
    return log


def about(index: int) -> dict[str, object]:
    """What the entry of an index says."""
    return {
        "actor": log_pb2.Actor(type=log_pb2.ACTOR_TYPE_USER, id=("ann", "bob", "cid")[index % 3 if index < 300 else 1]),
        "claim_id": CLAIMS[index % 3] if index % 4 else "",
        "session_id": f"session-{index}" if index % 5 == 0 else "",
        "entity_id": f"prompt-{index}",
        "reason": "why",
        "details_json": json.dumps({"number": index}),
    }
