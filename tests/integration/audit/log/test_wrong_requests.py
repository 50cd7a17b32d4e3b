"""Every field that can be wrong, of every request: INVALID_ARGUMENT, naming it."""

from uuid import uuid4

import grpc.aio
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from proofloop.audit.v1 import log_pb2
from proofloop.audit.v1 import log_service_pb2 as contract
from proofloop_runtime.testing import Refusal

NO_UUID = "not-a-uuid"
ENTRY = "0190a000-0000-7000-8000-00000000000a"

WRONG_DRAFTS = [
    ("event_time", Timestamp(seconds=10**15)),
    ("event_time", Timestamp(nanos=-1)),
    ("actor.type", log_pb2.Actor(id="user-1")),
    ("actor.type", log_pb2.Actor(type=7, id="user-1")),
    ("actor.id", log_pb2.Actor(type=log_pb2.ACTOR_TYPE_USER)),
    ("actor.id", log_pb2.Actor(type=log_pb2.ACTOR_TYPE_USER, id="u" * 257)),
    ("actor.id", log_pb2.Actor(type=log_pb2.ACTOR_TYPE_USER, id="u\0")),
    ("action", ""),
    ("action", "answered"),
    ("action", "Prompt.Answered"),
    ("action", "prompt.answered\n"),
    ("action", "prompt." + "a" * 128),
    ("outcome", 0),
    ("outcome", 4),
    ("entity_type", ""),
    ("entity_type", "Prompt"),
    ("entity_type", "p" * 65),
    ("entity_id", ""),
    ("entity_id", "p" * 257),
    ("entity_id", "p\0"),
    ("claim_id", NO_UUID),
    ("reason", "r" * 2001),
    ("ip_address", "somewhere"),
    ("user_agent", "b" * 513),
    ("session_id", "s" * 129),
    ("correlation_id", "c" * 129),
    ("trace_id", "0AF7651916CD43DD8448EB211C80319C"),
    ("trace_id", "0af7"),
    ("details_json", '"' + "d" * 65536 + '"'),
]

WRONG_REQUESTS = [
    ("AppendEntry", "draft", contract.AppendEntryRequest(request_id=str(uuid4()))),
    ("AppendEntries", "entries", contract.AppendEntriesRequest()),
    ("GetEntry", "entry_id", contract.GetEntryRequest()),
    ("GetEntry", "entry_id", contract.GetEntryRequest(entry_id=NO_UUID)),
    ("GetEntry", "max_wait", contract.GetEntryRequest(entry_id=ENTRY, max_wait=Duration(seconds=31))),
    ("GetEntry", "max_wait", contract.GetEntryRequest(entry_id=ENTRY, max_wait=Duration(seconds=-1))),
    ("ListEntries", "claim_id", contract.ListEntriesRequest(claim_id=NO_UUID)),
    ("ListEntries", "entity_type", contract.ListEntriesRequest(entity_type="e" * 65)),
    ("ListEntries", "entity_id", contract.ListEntriesRequest(entity_id="e" * 257)),
    ("ListEntries", "actor_id", contract.ListEntriesRequest(actor_id="a" * 257)),
    ("ListEntries", "action", contract.ListEntriesRequest(action="a" * 129)),
    ("ListEntries", "action", contract.ListEntriesRequest(action="a\0")),
    ("ListEntries", "start_time", contract.ListEntriesRequest(start_time=Timestamp(seconds=10**15))),
    ("ListEntries", "end_time", contract.ListEntriesRequest(end_time=Timestamp(seconds=-(10**15)))),
    ("ListEntries", "session_id", contract.ListEntriesRequest(session_id="s" * 129)),
    ("ListEntries", "outcome", contract.ListEntriesRequest(outcome=4)),
    ("ListEntries", "order", contract.ListEntriesRequest(order=9)),
    ("ListEntries", "page_size", contract.ListEntriesRequest(page_size=-1)),
    ("ListEntries", "page_size", contract.ListEntriesRequest(page_size=1001)),
    ("ListEntries", "page_token", contract.ListEntriesRequest(page_token="t" * 513)),
    ("ExportEntries", "claim_id", contract.ExportEntriesRequest(claim_id=NO_UUID)),
    ("ExportEntries", "entity_type", contract.ExportEntriesRequest(entity_type="e" * 65)),
    ("ExportEntries", "entity_id", contract.ExportEntriesRequest(entity_id="e" * 257)),
    ("ExportEntries", "actor_id", contract.ExportEntriesRequest(actor_id="a" * 257)),
    ("ExportEntries", "action", contract.ExportEntriesRequest(action="a" * 129)),
    ("ExportEntries", "session_id", contract.ExportEntriesRequest(session_id="s\0")),
    ("ExportEntries", "outcome", contract.ExportEntriesRequest(outcome=4)),
    ("ExportEntries", "end_time", contract.ExportEntriesRequest(end_time=Timestamp(seconds=-(10**15)))),
    ("ExportEntries", "tree_size", contract.ExportEntriesRequest(tree_size=-1)),
    ("ExportEntries", "format", contract.ExportEntriesRequest(format=3)),
    ("GetInclusionProof", "entry_id", contract.GetInclusionProofRequest()),
    ("GetInclusionProof", "tree_size", contract.GetInclusionProofRequest(entry_id=ENTRY, tree_size=-1)),
    ("GetConsistencyProof", "from_size", contract.GetConsistencyProofRequest()),
    ("GetConsistencyProof", "to_size", contract.GetConsistencyProofRequest(from_size=1, to_size=-1)),
]

WRONG_DETAILS = [
    "no JSON",
    "{} {}",
    '{"amount": NaN}',
    "-Infinity",
    '{"amount": 1, "amount": 2}',
    '{"a": {"amount": 1, "amoun\\u0074": 2}}',
    '"\\ud800"',
    '{"\\udfff": 1}',
    "[" * 65 + "]" * 65,
    "[" * 30_000,
]

RIGHT_DETAILS = [
    "null",
    "1" * 5000,
    "1.000000000000000000001e400",
    '"\\ud83d\\ude00 \\u0000"',
    "[" * 64 + "1" + "]" * 64,
    ' {"a": {"a": 1}} ',
    '"' + "d" * 65534 + '"',
]


async def refusal_of(call) -> Refusal:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return Refusal.of(caught.value)


async def test_a_wrong_field_of_a_draft_is_named(log, new_request) -> None:
    for path, value in WRONG_DRAFTS:
        wrong = new_request(**{path.partition(".")[0]: value})
        refusal = await refusal_of(log.AppendEntry(wrong))
        assert (refusal.status.name, refusal.reason) == ("INVALID_ARGUMENT", "ERROR_REASON_INVALID_FIELD"), path
        assert refusal.fields == (f"draft.{path}",)
        batch = contract.AppendEntriesRequest(entries=[new_request(), wrong])
        assert (await refusal_of(log.AppendEntries(batch))).fields == (f"entries[1].draft.{path}",)


async def test_a_request_id_must_be_a_uuid(log, new_request) -> None:
    assert (await refusal_of(log.AppendEntry(new_request(NO_UUID)))).fields == ("request_id",)
    batch = contract.AppendEntriesRequest(entries=[new_request(NO_UUID)])
    assert (await refusal_of(log.AppendEntries(batch))).fields == ("entries[0].request_id",)


async def test_a_wrong_field_of_any_request_is_named(log, as_person) -> None:
    async with as_person("ann", "auditor") as auditor:
        for method, field, request in WRONG_REQUESTS:
            call = getattr(auditor if method == "ExportEntries" else log, method)(request)
            refusal = await refusal_of(anext(aiter(call)) if method == "ExportEntries" else call)
            assert (refusal.status.name, refusal.reason) == ("INVALID_ARGUMENT", "ERROR_REASON_INVALID_FIELD"), field
            assert field in refusal.fields, method


async def test_all_wrong_fields_are_named_at_once(log, new_request) -> None:
    refusal = await refusal_of(log.AppendEntry(new_request(NO_UUID, action="", outcome=0)))
    assert set(refusal.fields) == {"request_id", "draft.action", "draft.outcome"}


async def test_ranges_must_run_forward(log) -> None:
    time = Timestamp(seconds=5)
    refusal = await refusal_of(log.ListEntries(contract.ListEntriesRequest(start_time=time, end_time=time)))
    assert (refusal.status.name, refusal.message) == (
        "INVALID_ARGUMENT",
        "the request: start_time must be before end_time",
    )
    request = contract.GetConsistencyProofRequest(from_size=2, to_size=1)
    assert "to_size must not be below from_size" in (await refusal_of(log.GetConsistencyProof(request))).message


async def test_details_that_two_readers_could_understand_differently_are_refused(log, new_request) -> None:
    for details in WRONG_DETAILS:
        wrong = new_request(details_json=details)
        refusal = await refusal_of(log.AppendEntry(wrong))
        assert (refusal.status.name, refusal.reason) == ("INVALID_ARGUMENT", "ERROR_REASON_DETAILS_NOT_JSON"), details
        assert refusal.fields == ("draft.details_json",)
        batch = contract.AppendEntriesRequest(entries=[new_request(), wrong])
        assert (await refusal_of(log.AppendEntries(batch))).fields == ("entries[1].draft.details_json",)


async def test_details_are_kept_byte_for_byte(log, append) -> None:
    for details in RIGHT_DETAILS:
        receipt = await append(details_json=details)
        entry = (await log.GetEntry(contract.GetEntryRequest(entry_id=receipt.entry_id))).entry
        assert entry.details_json == details


async def test_a_batch_has_at_most_a_thousand_entries(log, new_request) -> None:
    batch = contract.AppendEntriesRequest(entries=[new_request()] * 1001)
    assert (await refusal_of(log.AppendEntries(batch))).fields == ("entries",)


async def test_bytes_that_are_no_message_are_refused_as_the_callers_fault(audit, token_for) -> None:
    compliance = token_for("cora", "compliance")
    async with audit.channel() as service, audit.channel(peer="cli", token=compliance) as officer:
        for method in contract.DESCRIPTOR.services_by_name["LogService"].methods_by_name:
            path = f"/proofloop.audit.v1.LogService/{method}"
            # Whoever may not call the method at all is told that first.
            refusals = [await refusal_of(channel.unary_unary(path)(b"\xff\xff")) for channel in (service, officer)]
            [refusal, *_] = [each for each in refusals if each.reason != "ERROR_REASON_ROLE_MISSING"]
            assert (refusal.status.name, refusal.reason) == ("INVALID_ARGUMENT", "ERROR_REASON_MALFORMED_MESSAGE")
