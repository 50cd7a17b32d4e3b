"""ExportEntries."""

import json
from collections.abc import AsyncIterator

import pytest
from proofloop.audit.v1 import log_pb2
from proofloop.audit.v1 import log_service_pb2 as contract
from proofloop.audit.v1.log_service_pb2_grpc import LogServiceStub
from proofloop_verifier.export import check_export
from proofloop_verifier.note import Checkpoint, Note

CLAIM = "0190a000-0000-7000-8000-000000000001"
OCSF = contract.ExportEntriesRequest.FORMAT_OCSF
JSONL = "application/jsonl"
MIB = 1024 * 1024


@pytest.fixture
async def auditor(as_person) -> AsyncIterator[LogServiceStub]:
    async with as_person("ann", "auditor") as stub:
        yield stub


@pytest.fixture
def pieces(auditor):
    """Exports what matches, and returns the pieces."""

    async def export(**wanted) -> list[bytes]:
        responses = [response async for response in auditor.ExportEntries(contract.ExportEntriesRequest(**wanted))]
        assert [response.body.content_type for response in responses] == [
            "application/jsonl",
            *[""] * (len(responses) - 1),
        ]
        return [response.body.data for response in responses]

    return export


@pytest.fixture
def exported(pieces):
    """Exports what matches, and returns the lines."""

    async def export(**wanted) -> list[bytes]:
        return b"".join(await pieces(**wanted)).splitlines()

    return export


@pytest.fixture
def checkpoint(log):
    async def get() -> Checkpoint:
        signed = (await log.GetCheckpoint(contract.GetCheckpointRequest())).checkpoint
        return Checkpoint.parse(Note.parse(signed.note.encode()).text)

    return get


async def test_a_whole_log_is_exported_as_a_copy_that_its_checkpoint_proves(
    append_many, append, exported, checkpoint
) -> None:
    await append_many(600, claim_id=CLAIM, details_json='{"amount": 12.50}')
    await append(reason='Änne\u2028 said "no"')
    signed = await checkpoint()
    lines = await exported(tree_size=signed.size)
    assert check_export(lines, signed).findings == ()
    assert [json.loads(line)["index"] for line in lines] == list(range(601))
    # The log has grown since, by the entry about the export.
    assert await exported(tree_size=signed.size) == lines
    assert len(await exported()) == 603


async def test_an_export_is_stable_while_the_log_grows(auditor, append_many, append) -> None:
    await append_many(1000, reason="r" * 2000)
    call = auditor.ExportEntries(contract.ExportEntriesRequest())
    first = await anext(aiter(call))
    await append(entity_id="late")
    rest = [response.body.data async for response in call]
    lines = b"".join([first.body.data, *rest]).splitlines()
    assert [json.loads(line)["index"] for line in lines] == list(range(1000))


async def test_pieces_are_whole_lines_of_bounded_size(append_many, pieces) -> None:
    await append_many(20, details_json=json.dumps("d" * 60_000))
    found = await pieces()
    assert len(found) > 4
    assert all(len(piece) <= MIB // 4 and piece.endswith(b"\n") for piece in found)
    assert await pieces(action="nothing.such") == [b""]


async def test_filters_are_those_of_a_list(auditor, log, new_request, exported) -> None:
    requests = [
        new_request(
            session_id=["", "one"][number % 2],
            outcome=[log_pb2.OUTCOME_SUCCESS, log_pb2.OUTCOME_DENIED][number // 2 % 2],
            actor=log_pb2.Actor(type=log_pb2.ACTOR_TYPE_USER, id=["bob", "eve"][number // 4]),
            claim_id=[CLAIM, ""][number % 3 // 2],
        )
        for number in range(8)
    ]
    await log.AppendEntries(contract.AppendEntriesRequest(entries=requests))
    for wanted in (
        {"session_id": "one"},
        {"outcome": log_pb2.OUTCOME_DENIED},
        {"actor_id": "eve", "session_id": "one"},
        {"claim_id": CLAIM, "outcome": log_pb2.OUTCOME_SUCCESS},
        {"actor_id": "nobody"},
    ):
        listed = (await log.ListEntries(contract.ListEntriesRequest(**wanted))).entries
        assert [json.loads(line)["index"] for line in await exported(**wanted)] == [e.index for e in listed], wanted


async def test_an_export_is_an_entry_that_names_its_filters_and_not_their_values(exported, append, read_log) -> None:
    await append()
    await exported(actor_id="user-1", outcome=log_pb2.OUTCOME_SUCCESS, format=OCSF)
    [entry] = await read_log(action="log.exported")
    assert (entry.index, entry.service, entry.actor.id) == (1, "audit", "ann")
    assert (entry.entity_type, entry.entity_id) == ("log", "acme")
    assert json.loads(entry.details_json) == {"filters": ["actor_id", "outcome"], "format": "ocsf", "tree_size": 1}
    assert b"user-1" not in entry.leaf


async def test_an_erased_person_is_missing_from_an_export_that_can_still_be_proven(
    append, superuser, exported, checkpoint
) -> None:
    await append(details_json="{}")
    signed = await checkpoint()
    await superuser.execute("DELETE FROM subject")
    [line] = await exported(tree_size=1)
    assert json.loads(line)["personal"] == []
    assert check_export([line], signed).findings == ()
    [event] = map(json.loads, await exported(tree_size=1, format=OCSF))
    assert event["actor"]["user"] == {"uid": json.loads(line)["leaf"].split('"pseudonym":"')[1][:32]} | {
        "uid_alt": event["actor"]["user"]["uid"]
    }
    assert "details_json" not in event["unmapped"]


async def test_what_cannot_be_exported_is_refused_before_anything_is_written(
    as_person, auditor, log, append, refused, read_log
) -> None:
    await append()
    with refused("OUT_OF_RANGE", "TREE_SIZE_OUT_OF_RANGE") as refusal:
        await anext(aiter(auditor.ExportEntries(contract.ExportEntriesRequest(tree_size=2))))
    assert refusal[0].metadata == {"tree_size": "2", "log_size": "1"}
    reversed_range = contract.ExportEntriesRequest()
    reversed_range.start_time.FromJsonString("2026-01-02T00:00:00Z")
    reversed_range.end_time.FromJsonString("2026-01-01T00:00:00Z")
    with refused("INVALID_ARGUMENT", "INVALID_FIELD"):
        await anext(aiter(auditor.ExportEntries(reversed_range)))
    async with as_person("bob", "reviewer", "operator", "claimant") as other:
        for stub in (other, log):
            with refused("PERMISSION_DENIED", "ROLE_MISSING"):
                await anext(aiter(stub.ExportEntries(contract.ExportEntriesRequest())))
    assert await read_log(action="log.exported") == []


async def test_an_entry_is_an_ocsf_event(append, exported) -> None:
    receipt = await append(
        claim_id=CLAIM,
        outcome=log_pb2.OUTCOME_DENIED,
        reason="not theirs",
        ip_address="203.0.113.7",
        user_agent="Browser/1.0",
        session_id="session-1",
        correlation_id="correlation-1",
        trace_id="0af7651916cd43dd8448eb211c80319c",
        details_json='{"amount": 12.50}',
    )
    [event] = map(json.loads, await exported(format=OCSF))
    [line] = map(json.loads, await exported(tree_size=1))
    pseudonym = line["personal"][0]["pseudonym"]
    assert event.pop("raw_data") == line["leaf"]
    assert isinstance(event.pop("time"), int)
    assert isinstance(event["metadata"].pop("logged_time"), int)
    assert event["metadata"].pop("original_time").endswith("+00:00")
    assert event == {
        "activity_id": 99,
        "activity_name": "answered",
        "category_uid": 6,
        "category_name": "Application Activity",
        "class_uid": 6003,
        "class_name": "API Activity",
        "type_uid": 600399,
        "severity_id": 1,
        "severity": "Informational",
        "status_id": 2,
        "status": "Failure",
        "status_code": "denied",
        "status_detail": "not theirs",
        "metadata": {
            "version": "1.3.0",
            "product": {"name": "Proofloop", "vendor_name": "Proofloop"},
            "uid": receipt.entry_id,
            "sequence": 0,
            "event_code": "prompt.answered",
            "log_name": "audit",
            "log_provider": "packets",
            "tenant_uid": "acme",
            "correlation_uid": "correlation-1",
        },
        "actor": {
            "user": {"uid": "user-1", "uid_alt": pseudonym, "type_id": 1, "type": "User"},
            "session": {"uid": "session-1"},
        },
        "api": {"operation": "prompt.answered", "service": {"name": "packets"}},
        "src_endpoint": {"ip": "203.0.113.7"},
        "http_request": {"user_agent": "Browser/1.0"},
        "resources": [{"type": "prompt", "uid": "prompt-1"}],
        "unmapped": {
            "index": 0,
            "leaf_hash": receipt.leaf_hash.hex(),
            "claim_id": CLAIM,
            "claim_sequence": 0,
            "trace_id": "0af7651916cd43dd8448eb211c80319c",
            "details_json": '{"amount": 12.50}',
        },
    }
