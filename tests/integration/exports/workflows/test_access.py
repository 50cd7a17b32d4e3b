"""Who may record and see what."""

from uuid import uuid4

import grpc
from proofloop.exports.v1 import workflows_service_pb2 as contract

PERMISSION_DENIED = grpc.StatusCode.PERMISSION_DENIED
NOT_FOUND = grpc.StatusCode.NOT_FOUND


def calls(stub, requests, workflow_id):
    """One call of every method that names a workflow: four that record, two that read."""
    get = contract.GetWorkflowRequest(workflow_id=workflow_id)
    download = contract.DownloadDeliverableRequest(workflow_id=workflow_id)
    revision = requests.initial_summary(workflow_id=workflow_id, new_revision=True)
    return [
        lambda: stub.RecordInitialSummary(revision),
        lambda: stub.RecordUserModifications(requests.modifications(workflow_id)),
        lambda: stub.RecordFinalDeliverable(requests.external(workflow_id)),
        lambda: stub.GenerateDeliverable(requests.generate(workflow_id)),
        lambda: stub.GetWorkflow(get),
        lambda: anext(aiter(stub.DownloadDeliverable(download))),
    ]


async def test_an_unknown_workflow_is_not_found(workflows, requests, refused) -> None:
    unknown = str(uuid4())
    for call in calls(workflows, requests, unknown):
        info, _ = await refused(call(), NOT_FOUND, "WORKFLOW_NOT_FOUND")
        assert info.metadata["workflow_id"] == unknown


async def test_another_tenants_workflow_is_not_found(exports, connect, workflows, requests, refused) -> None:
    completed = await requests.completed(workflows)
    stranger = await connect(exports, "reviewer-1", "reviewer", tenant="globex")
    for call in calls(stranger, requests, completed.workflow_id):
        await refused(call(), NOT_FOUND, "WORKFLOW_NOT_FOUND")


async def test_another_claimants_workflow_is_refused(exports, connect, workflows, requests, refused) -> None:
    completed = await requests.completed(workflows)
    other = await connect(exports, "owner-2", "claimant")
    for call in calls(other, requests, completed.workflow_id):
        await refused(call(), PERMISSION_DENIED, "NOT_OWNER")


async def test_an_operator_is_refused(exports, connect, requests, refused) -> None:
    operator = await connect(exports, "operator-1", "operator")
    for call in calls(operator, requests, str(uuid4())):
        await refused(call(), PERMISSION_DENIED, "ROLE_MISSING")
    await refused(operator.ListWorkflows(contract.ListWorkflowsRequest()), PERMISSION_DENIED, "ROLE_MISSING")


async def test_an_auditor_records_nothing(exports, connect, requests, refused) -> None:
    auditor = await connect(exports, "auditor-1", "auditor")
    for call in calls(auditor, requests, str(uuid4()))[:4]:
        await refused(call(), PERMISSION_DENIED, "ROLE_MISSING")


async def test_an_auditor_reads_everything(exports, connect, workflows, requests) -> None:
    completed = await requests.completed(workflows)
    auditor = await connect(exports, "auditor-1", "auditor")
    *_, get, download = calls(auditor, requests, completed.workflow_id)
    assert (await get()).workflow == completed
    assert (await download()).body.data
    listed = (await auditor.ListWorkflows(contract.ListWorkflowsRequest())).workflows
    assert [workflow.workflow_id for workflow in listed] == [completed.workflow_id]


async def test_a_claimant_goes_the_whole_way_with_what_is_theirs(owner, requests) -> None:
    completed = await requests.completed(owner, owner_id="")
    assert completed.owner_id == "owner-1"
    assert {record.actor_id for record in completed.records} == {"owner-1"}


async def test_a_claimant_begins_nothing_for_others(owner, requests, refused) -> None:
    request = requests.initial_summary(owner_id="owner-2")
    await refused(owner.RecordInitialSummary(request), PERMISSION_DENIED, "NOT_OWNER")


async def test_a_claimant_lists_only_their_own(exports, connect, workflows, owner, requests, refused) -> None:
    own = await requests.begun(workflows)
    await requests.begun(workflows, owner_id="owner-2")
    listed = (await owner.ListWorkflows(contract.ListWorkflowsRequest())).workflows
    assert [workflow.workflow_id for workflow in listed] == [own.workflow_id]
    call = owner.ListWorkflows(contract.ListWorkflowsRequest(owner_id="owner-2"))
    await refused(call, PERMISSION_DENIED, "NOT_OWNER")


async def test_a_service_must_name_the_owner(exports, connect, requests, refused) -> None:
    service = await connect(exports)
    _, fields = await refused(
        service.RecordInitialSummary(requests.initial_summary(owner_id="")),
        grpc.StatusCode.INVALID_ARGUMENT,
        "INVALID_FIELD",
    )
    assert list(fields) == ["owner_id"]
    begun = await requests.begun(service)
    assert (begun.records[0].actor_type, begun.records[0].actor_id) == (2, "packets")
