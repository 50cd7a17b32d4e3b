"""What the service publishes, traces, and does when something it needs is down."""

import hashlib
import json

import grpc
import nats
import pytest
from proofloop.exports.v1 import workflows_service_pb2 as contract
from proofloop_exports.bootstrap import application
from proofloop_runtime.testing import serving

CONTRACTS = [contract.DESCRIPTOR.services_by_name["WorkflowService"]]
Published = list[tuple[dict[str, str], dict[str, object]]]


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@pytest.fixture
async def published(exports, nats_url):
    """Gives the next events of the tenant acme: attributes and data."""
    client = await nats.connect(nats_url)
    subscription = await client.jetstream().subscribe("proofloop.event.acme.>", ordered_consumer=True)

    async def take(count: int) -> Published:
        messages = [await subscription.next_msg(timeout=20) for _ in range(count)]
        return [(message.headers, json.loads(message.data)) for message in messages]

    yield take
    await client.close()


@pytest.fixture
def nats_url(exports_settings) -> str:
    return exports_settings.nats_url.get_secret_value()


async def test_every_stage_is_published_with_its_hashes(workflows, requests, published) -> None:
    workflow = await requests.completed(workflows)
    events = await published(3)
    records = list(workflow.records)
    for (attributes, data), record, verb in zip(events, records, ("summarized", "reviewed", "completed"), strict=True):
        assert attributes["ce-id"] == attributes["Nats-Msg-Id"] == record.event_id
        assert attributes["ce-type"] == f"proofloop.exports.v1.Workflow{verb.title()}"
        assert attributes["ce-action"] == f"workflow.{verb}"
        assert attributes["ce-claimid"] == workflow.claim_id
        assert (attributes["ce-entitytype"], attributes["ce-subject"]) == ("workflow", workflow.workflow_id)
        assert (attributes["ce-actortype"], attributes["ce-actorid"]) == ("user", "reviewer-1")
        assert (data["workflowId"], data["recordId"]) == (workflow.workflow_id, record.record_id)
        assert (data["revision"], data["ownerId"]) == (1, "owner-1")
    summarized, reviewed, completed = (data for _, data in events)
    assert summarized["extractedDataSha256"] == sha256(requests.extracted)
    assert summarized["summarySha256"] == sha256(workflow.initial_summary.ai_summary.text)
    assert summarized["templateVersion"] == completed["templateVersion"] == "invoice_summary@3"
    assert reviewed["modifiedDataSha256"] == sha256(requests.modified)
    assert reviewed["patchSha256"] == sha256(workflow.user_modifications.patch_json)
    assert (reviewed["changeCount"], reviewed["basedOn"]) == (1, records[0].record_id)
    assert completed["sha256"] == workflow.final_deliverable.deliverable.sha256
    assert completed["fileName"] == workflow.final_deliverable.deliverable.file_name


async def test_a_refused_stage_publishes_nothing(workflows, requests, refused, published) -> None:
    begun = await requests.begun(workflows)
    await refused(
        workflows.GenerateDeliverable(requests.generate(begun.workflow_id)),
        grpc.StatusCode.FAILED_PRECONDITION,
        "STAGE_OUT_OF_ORDER",
    )
    again = await requests.begun(workflows)
    assert [attributes["ce-subject"] for attributes, _ in await published(2)] == [
        begun.workflow_id,
        again.workflow_id,
    ]


async def test_comparing_and_rendering_stand_in_the_trace_of_their_call(workflows, requests, spans) -> None:
    completed = await requests.completed(workflows)
    for name, method in (
        ("exports.compare", "RecordUserModifications"),
        ("exports.render", "GenerateDeliverable"),
        ("objects.put", "GenerateDeliverable"),
    ):
        (span,) = spans.named(name)
        call = spans.parent_of(span)
        assert call.name == f"proofloop.exports.v1.WorkflowService/{method}"
        assert call.attributes["exports.workflow.id"] == completed.workflow_id


async def test_without_the_object_store_nothing_is_half_done(
    exports_settings, certificates, workflows, requests, refused, connect, exports, closed_port
) -> None:
    reviewed = await requests.reviewed(workflows)
    request = requests.generate(reviewed.workflow_id)
    settings = exports_settings.model_copy(update={"s3_endpoint": f"http://127.0.0.1:{closed_port}"})
    async with serving(application, settings, CONTRACTS, certificates) as cut_off:
        stub = await connect(cut_off, "reviewer-1", "reviewer")
        info, _ = await refused(
            stub.GenerateDeliverable(request), grpc.StatusCode.UNAVAILABLE, "DEPENDENCY_UNAVAILABLE"
        )
        assert info.metadata["dependency"] == "object_store"
        read = await stub.GetWorkflow(contract.GetWorkflowRequest(workflow_id=reviewed.workflow_id))
        assert read.workflow == reviewed
    completed = (await workflows.GenerateDeliverable(request)).workflow
    assert completed.final_deliverable.deliverable.stored
