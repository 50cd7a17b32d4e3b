"""RecordInitialSummary, RecordUserModifications, RecordFinalDeliverable, GetWorkflow."""

import asyncio
import functools
import hashlib
import json
from uuid import uuid4

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from proofloop.exports.v1 import workflows_pb2 as messages
from proofloop.exports.v1 import workflows_service_pb2 as contract
from proofloop_exports.workflows import domain

FAILED_PRECONDITION = grpc.StatusCode.FAILED_PRECONDITION
INVALID_ARGUMENT = grpc.StatusCode.INVALID_ARGUMENT


async def test_the_first_stage_begins_a_workflow(workflows, requests) -> None:
    request = requests.initial_summary()
    workflow = (await workflows.RecordInitialSummary(request)).workflow
    assert workflow.state == messages.WORKFLOW_STATE_AWAITING_USER_REVIEW
    assert (workflow.document_id, workflow.document_name) == ("evidence-1", "invoice 4711.pdf")
    assert (workflow.claim_id, workflow.owner_id) == (requests.claim_id, "owner-1")
    stage = workflow.initial_summary
    assert stage.extracted_data_json == request.extracted_data_json
    assert stage.extracted_data_sha256 == hashlib.sha256(request.extracted_data_json.encode()).hexdigest()
    assert stage.field_count == 8
    assert stage.source == request.source
    assert stage.ai_summary == request.ai_summary
    assert stage.record == workflow.records[0]
    assert (stage.record.actor_type, stage.record.actor_id) == (messages.ACTOR_TYPE_USER, "reviewer-1")
    assert (stage.record.revision, stage.record.based_on) == (1, "")
    assert workflow.last_event_id == stage.record.event_id
    assert workflow.create_time == workflow.update_time == stage.record.create_time


async def test_the_second_stage_records_the_computed_changes(workflows, requests) -> None:
    begun = await requests.begun(workflows)
    request = requests.modifications(begun.workflow_id)
    workflow = (await workflows.RecordUserModifications(request)).workflow
    stage = workflow.user_modifications
    assert workflow.state == messages.WORKFLOW_STATE_AWAITING_FINAL_PROCESSING
    assert stage.record.based_on == begun.initial_summary.record.record_id
    assert stage.patch_json == '[{"op":"replace","path":"/lines/0/received","value":28}]'
    assert list(stage.changes) == [
        messages.Change(kind=messages.CHANGE_KIND_MODIFICATION, path="/lines/0/received", old_json="40", new_json="28")
    ]
    assert stage.edits_per_minute == "1.50"
    assert (stage.original_data_json, stage.modified_data_json) == (
        request.original_data_json,
        request.modified_data_json,
    )
    assert stage.modified_data_sha256 == hashlib.sha256(request.modified_data_json.encode()).hexdigest()
    assert (stage.preferences, stage.user_actions) == (request.preferences, request.user_actions)


async def test_the_third_stage_records_a_deliverable_made_elsewhere(workflows, requests) -> None:
    reviewed = await requests.reviewed(workflows)
    workflow = (await workflows.RecordFinalDeliverable(requests.external(reviewed.workflow_id))).workflow
    stage = workflow.final_deliverable
    day = stage.record.create_time.ToDatetime().date()
    assert workflow.state == messages.WORKFLOW_STATE_COMPLETED
    assert stage.deliverable == messages.Deliverable(
        file_name=f"invoice-4711_detailed_{day}.pdf",
        format=messages.FORMAT_PDF,
        template=messages.TEMPLATE_DETAILED,
        media_type="application/pdf",
        size=48_211,
        sha256="ab" * 32,
        stored=False,
    )
    assert (stage.workflow_summary.ai_accuracy, stage.workflow_summary.final_quality) == ("0.8750", "0.9000")
    total = stage.record.create_time.ToDatetime() - workflow.create_time.ToDatetime()
    assert stage.workflow_summary.total_time.ToTimedelta() == total


async def test_a_workflow_is_read_back_with_all_stages(workflows, requests) -> None:
    completed = await requests.completed(workflows)
    read = (await workflows.GetWorkflow(contract.GetWorkflowRequest(workflow_id=completed.workflow_id))).workflow
    assert read == completed
    assert [record.stage for record in read.records] == [1, 2, 3]


async def test_a_review_may_spell_the_original_differently(workflows, requests) -> None:
    begun = await requests.begun(workflows, extracted_data_json='{"b": 1.0, "a": "\\u00e9"}')
    request = requests.modifications(
        begun.workflow_id, original_data_json='{"a":"é","b":1.0}', modified_data_json='{"a":"é","b":1.0}'
    )
    workflow = (await workflows.RecordUserModifications(request)).workflow
    assert workflow.user_modifications.patch_json == "[]"


async def test_a_review_of_something_else_is_refused(workflows, requests, refused) -> None:
    begun = await requests.begun(workflows, extracted_data_json='{"total": 1.0}')
    request = requests.modifications(begun.workflow_id, original_data_json='{"total": 1}')
    info, fields = await refused(
        workflows.RecordUserModifications(request), FAILED_PRECONDITION, "ORIGINAL_DATA_DIFFERS"
    )
    assert info.metadata["path"] == "/total"
    assert list(fields) == ["original_data_json"]


async def test_the_deliverable_cannot_come_before_the_review(workflows, requests, refused) -> None:
    begun = await requests.begun(workflows)
    info, _ = await refused(
        workflows.RecordFinalDeliverable(requests.external(begun.workflow_id)),
        FAILED_PRECONDITION,
        "STAGE_OUT_OF_ORDER",
    )
    assert dict(info.metadata) == {"stage": "final_deliverable", "state": "awaiting_user_review"}
    await refused(
        workflows.GenerateDeliverable(requests.generate(begun.workflow_id)),
        FAILED_PRECONDITION,
        "STAGE_OUT_OF_ORDER",
    )


async def test_a_stage_is_repeated_only_as_a_revision_that_is_asked_for(workflows, requests, refused) -> None:
    completed = await requests.completed(workflows)
    workflow_id = completed.workflow_id
    await refused(
        workflows.RecordUserModifications(requests.modifications(workflow_id)),
        FAILED_PRECONDITION,
        "STAGE_ALREADY_RECORDED",
    )
    request = requests.modifications(
        workflow_id, new_revision=True, modified_data_json=requests.extracted, etag=completed.etag
    )
    revised = (await workflows.RecordUserModifications(request)).workflow
    assert revised.state == messages.WORKFLOW_STATE_AWAITING_FINAL_PROCESSING
    assert revised.user_modifications.record.revision == 2
    assert not revised.HasField("final_deliverable")
    assert list(revised.records)[:3] == list(completed.records)
    earlier = contract.GetWorkflowRequest(workflow_id=workflow_id, record_id=completed.records[2].record_id)
    assert (await workflows.GetWorkflow(earlier)).workflow == completed


async def test_the_first_stage_is_revised_under_its_subject(workflows, requests, refused) -> None:
    completed = await requests.completed(workflows)
    again = {"workflow_id": completed.workflow_id, "new_revision": True}
    for field, value in (("document_id", "other"), ("owner_id", "other"), ("claim_id", "")):
        call = workflows.RecordInitialSummary(requests.initial_summary(**again, **{field: value}))
        _, fields = await refused(call, FAILED_PRECONDITION, "SUBJECT_DIFFERS")
        assert list(fields) == [field]
    request = requests.initial_summary(**again, owner_id="", extracted_data_json="{}")
    revised = (await workflows.RecordInitialSummary(request)).workflow
    assert revised.state == messages.WORKFLOW_STATE_AWAITING_USER_REVIEW
    assert revised.owner_id == "owner-1"
    assert revised.initial_summary.record.revision == 2
    assert not revised.HasField("user_modifications")


async def test_a_revision_without_its_workflow_and_a_workflow_without_revision_are_refused(
    workflows, requests, refused
) -> None:
    for fields in ({"new_revision": True}, {"workflow_id": str(uuid4())}):
        call = workflows.RecordInitialSummary(requests.initial_summary(**fields))
        await refused(call, INVALID_ARGUMENT, "INVALID_FIELD")


async def test_ids_mean_the_same_in_either_case(workflows, requests) -> None:
    begun = await requests.begun(workflows, claim_id=requests.claim_id.upper())
    assert begun.claim_id == requests.claim_id
    again = {"workflow_id": begun.workflow_id.upper(), "new_revision": True}
    await workflows.RecordInitialSummary(requests.initial_summary(**again))
    record_id = begun.records[0].record_id.upper()
    earlier = contract.GetWorkflowRequest(workflow_id=begun.workflow_id, record_id=record_id)
    assert (await workflows.GetWorkflow(earlier)).workflow == begun


async def test_a_stale_etag_is_refused(workflows, requests, refused) -> None:
    begun = await requests.begun(workflows)
    await workflows.RecordUserModifications(requests.modifications(begun.workflow_id, etag=begun.etag))
    request = requests.modifications(begun.workflow_id, new_revision=True, etag=begun.etag)
    await refused(workflows.RecordUserModifications(request), grpc.StatusCode.ABORTED, "ETAG_STALE")


async def test_of_those_who_record_a_stage_at_once_one_does(exports, replica, connect, requests, refused) -> None:
    one, other = [await connect(service, "reviewer-1", "reviewer") for service in (exports, replica)]
    begun = await requests.begun(one)

    async def record(stub) -> bool:
        call = stub.RecordUserModifications(requests.modifications(begun.workflow_id))
        try:
            await call
        except grpc.aio.AioRpcError:
            await refused(call, FAILED_PRECONDITION, "STAGE_ALREADY_RECORDED")
            return False
        return True

    assert sorted(await asyncio.gather(*map(record, (one, other, one, other)))) == [False, False, False, True]
    read = (await other.GetWorkflow(contract.GetWorkflowRequest(workflow_id=begun.workflow_id))).workflow
    assert [record.stage for record in read.records] == [1, 2]


async def test_a_full_workflow_takes_no_more_records(workflows, requests, refused, monkeypatch) -> None:
    begun = await requests.begun(workflows)
    monkeypatch.setattr(domain, "MAX_RECORDS", 1)
    call = workflows.RecordUserModifications(requests.modifications(begun.workflow_id))
    await refused(call, FAILED_PRECONDITION, "TOO_MANY_REVISIONS")


@pytest.mark.parametrize("method", ["initial_summary", "modifications", "generate", "external"])
async def test_a_repeated_call_gets_the_first_answer(method, exports, replica, connect, requests, refused) -> None:
    one, other = [await connect(service, "reviewer-1", "reviewer") for service in (exports, replica)]
    request = {
        "initial_summary": lambda: requests.initial_summary(),
        "modifications": lambda: requests.modifications(workflow.workflow_id),
        "generate": lambda: requests.generate(workflow.workflow_id),
        "external": lambda: requests.external(workflow.workflow_id),
    }
    call = {
        "initial_summary": "RecordInitialSummary",
        "modifications": "RecordUserModifications",
        "generate": "GenerateDeliverable",
        "external": "RecordFinalDeliverable",
    }[method]
    workflow = await (requests.begun(one) if method == "modifications" else requests.reviewed(one))
    message = request[method]()
    answers = await asyncio.gather(*(getattr(stub, call)(message) for stub in (one, other, one, other)))
    assert all(answer == answers[0] for answer in answers)
    assert await getattr(other, call)(message) == answers[0]
    different = type(message)()
    different.CopyFrom(message)
    if method == "modifications":
        different.preferences.instructions = "Something else."
    else:
        (different.ai_summary if method == "initial_summary" else different.final_summary).text = "Something else."
    await refused(getattr(one, call)(different), FAILED_PRECONDITION, "REQUEST_ID_REUSED")


BAD_DOCUMENTS = [
    ("{", "not_json", None),
    ('{"a": NaN}', "not_json", None),
    ('{"a": [{"b": 1, "b": 2}]}', "duplicate_member", "/a/0/b"),
    ('{"a": "\\ud800"}', "lone_surrogate", "/a"),
    ("[" * 65 + "]" * 65, "too_deep", None),
    ("17", "not_a_container", None),
]


@pytest.mark.parametrize("field", ["extracted_data_json", "original_data_json", "modified_data_json"])
async def test_a_bad_document_is_refused(field, workflows, requests, refused) -> None:
    for document, problem, path in BAD_DOCUMENTS:
        if field == "extracted_data_json":
            call = workflows.RecordInitialSummary(requests.initial_summary(**{field: document}))
        else:
            call = workflows.RecordUserModifications(requests.modifications(str(uuid4()), **{field: document}))
        info, fields = await refused(call, INVALID_ARGUMENT, "DOCUMENT_INVALID")
        assert list(fields) == [field]
        assert (info.metadata["problem"], info.metadata.get("path")) == (problem, path)


async def test_a_document_over_the_limit_is_refused_and_one_at_the_limit_is_taken(workflows, requests, refused) -> None:
    largest = '["' + "x" * (524_288 - 4) + '"]'
    await workflows.RecordInitialSummary(requests.initial_summary(extracted_data_json=largest))
    call = workflows.RecordInitialSummary(requests.initial_summary(extracted_data_json=largest + " "))
    _, fields = await refused(call, INVALID_ARGUMENT, "INVALID_FIELD")
    assert list(fields) == ["extracted_data_json"]


async def test_the_largest_workflow_fits_one_answer(workflows, requests) -> None:
    def document(value: int) -> str:
        row = json.dumps({"k" * 20: value, "m" * 20: value, "n" * 20: "é" * 20}, ensure_ascii=False)
        return "[" + ",".join([row] * ((524_288 - 2) // (len(row.encode()) + 1))) + "]"

    begun = await requests.begun(workflows, extracted_data_json=document(1))
    request = requests.modifications(begun.workflow_id, original_data_json=document(1), modified_data_json=document(2))
    await workflows.RecordUserModifications(request)
    workflow = (await workflows.RecordFinalDeliverable(requests.external(begun.workflow_id))).workflow
    assert workflow.ByteSize() < 4 * 1024 * 1024


WRONG_FIELDS = [
    ("", "request_id", ""),
    ("", "document_name", ""),
    ("", "claim_id", "claim-1"),
    ("source", "confidence", "1.01"),
    ("ai_summary", "text", " \n"),
    ("ai_summary.ai_metadata", "model", ""),
    ("ai_summary.ai_metadata", "template_version", ""),
    ("ai_summary.ai_metadata", "generate_time", None),
    ("ai_summary.ai_metadata", "generate_time", Timestamp(seconds=1 << 60)),
    ("ai_summary.ai_metadata", "generate_time", Timestamp(nanos=-5)),
    ("ai_summary.ai_metadata", "duration", Duration(nanos=1 << 30)),
    ("ai_summary.ai_metadata", "duration", Duration(seconds=-1)),
]


async def test_a_wrong_field_is_named(workflows, requests, refused) -> None:
    for message, field, value in WRONG_FIELDS:
        request = requests.initial_summary()
        holder = functools.reduce(getattr, message.split("."), request) if message else request
        holder.ClearField(field)
        if isinstance(value, str):
            setattr(holder, field, value)
        elif value is not None:
            getattr(holder, field).CopyFrom(value)
        _, fields = await refused(workflows.RecordInitialSummary(request), INVALID_ARGUMENT, "INVALID_FIELD")
        assert list(fields) == [f"{message}.{field}" if message else field]


async def test_no_time_worked_gives_no_rate(workflows, requests) -> None:
    begun = await requests.begun(workflows)
    actions = messages.UserActions(fields_edited=0, duration=Duration())
    request = requests.modifications(begun.workflow_id, user_actions=actions)
    assert (await workflows.RecordUserModifications(request)).workflow.user_modifications.edits_per_minute == ""
