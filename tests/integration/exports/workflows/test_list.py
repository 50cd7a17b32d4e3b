"""ListWorkflows."""

import grpc
from google.protobuf.timestamp_pb2 import Timestamp
from proofloop.exports.v1 import workflows_pb2 as messages
from proofloop.exports.v1 import workflows_service_pb2 as contract

OTHER_CLAIM = "0198a4f2-0000-7000-8000-000000000002"


async def listed(stub, **filters) -> list[str]:
    response = await stub.ListWorkflows(contract.ListWorkflowsRequest(**filters))
    return [workflow.workflow_id for workflow in response.workflows]


async def test_workflows_are_listed_newest_first_without_their_stages(workflows, requests) -> None:
    one, other = await requests.begun(workflows), await requests.completed(workflows)
    response = await workflows.ListWorkflows(contract.ListWorkflowsRequest())
    assert [workflow.workflow_id for workflow in response.workflows] == [other.workflow_id, one.workflow_id]
    for field in ("initial_summary", "user_modifications", "final_deliverable", "records"):
        other.ClearField(field)
    assert response.workflows[0] == other


async def test_every_filter_narrows_the_list(workflows, requests) -> None:
    plain = await requests.begun(workflows)
    claim = await requests.begun(workflows, claim_id=OTHER_CLAIM)
    document = await requests.begun(workflows, document_id="outside/4711")
    owner = await requests.begun(workflows, owner_id="owner-2")
    reviewed = await requests.reviewed(workflows)
    assert await listed(workflows, claim_id=OTHER_CLAIM) == [claim.workflow_id]
    assert await listed(workflows, document_id="outside/4711") == [document.workflow_id]
    assert await listed(workflows, owner_id="owner-2") == [owner.workflow_id]
    assert await listed(workflows, state=messages.WORKFLOW_STATE_AWAITING_FINAL_PROCESSING) == [reviewed.workflow_id]
    assert await listed(workflows, end_time=claim.create_time) == [plain.workflow_id]
    assert await listed(workflows, start_time=reviewed.create_time) == [reviewed.workflow_id]
    assert await listed(workflows, claim_id=OTHER_CLAIM, owner_id="owner-2") == []


async def test_pages_stay_as_they_are_while_workflows_are_begun(workflows, requests) -> None:
    ids = [(await requests.begun(workflows)).workflow_id for _ in range(5)]
    pages, token = [], ""
    while True:
        request = contract.ListWorkflowsRequest(page_size=2, page_token=token)
        response = await workflows.ListWorkflows(request)
        pages.append([workflow.workflow_id for workflow in response.workflows])
        await requests.begun(workflows)
        token = response.next_page_token
        if not token:
            break
    assert pages == [ids[:2:-1], ids[2:0:-1], ids[:1]]


async def test_a_token_of_another_list_is_refused(workflows, requests, refused) -> None:
    for _ in range(2):
        await requests.begun(workflows)
    token = (await workflows.ListWorkflows(contract.ListWorkflowsRequest(page_size=1))).next_page_token
    for request in (
        contract.ListWorkflowsRequest(page_token=token, owner_id="owner-1"),
        contract.ListWorkflowsRequest(page_token="x" + token),
    ):
        _, fields = await refused(
            workflows.ListWorkflows(request), grpc.StatusCode.INVALID_ARGUMENT, "PAGE_TOKEN_INVALID"
        )
        assert list(fields) == ["page_token"]


async def test_a_wrong_filter_is_refused(workflows, refused) -> None:
    for request in (
        contract.ListWorkflowsRequest(start_time=Timestamp(seconds=2), end_time=Timestamp(seconds=1)),
        contract.ListWorkflowsRequest(page_size=1001),
        contract.ListWorkflowsRequest(state=99),
        contract.ListWorkflowsRequest(claim_id="claim"),
    ):
        await refused(workflows.ListWorkflows(request), grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")
