"""The same service over REST, as the edge transcodes it from the contract."""

import json
from uuid import uuid4

import httpx
import pytest
from google.protobuf import json_format
from proofloop_local.authority import Credentials
from proofloop_local.contracts import descriptor_set, services_of
from proofloop_local.servers.envoy import EnvoyServer
from proofloop_local.servers.envoy_config import Upstream


@pytest.fixture
async def rest(exports, certificates, token_for, tmp_path):
    """A client of the edge with the token of a reviewer."""
    descriptors, files = descriptor_set(), certificates("envoy")
    port = int(exports.running.address.rpartition(":")[2])
    edge = EnvoyServer(
        tmp_path / "edge",
        upstreams=[Upstream("exports", port, tuple(services_of(descriptors, "proofloop.exports.v1")))],
        descriptors=descriptors,
        credentials=Credentials(certificate=files.certificate, key=files.key, authority=files.authority),
    )
    headers = {"authorization": f"Bearer {token_for('reviewer-1', 'reviewer')}"}
    async with edge, httpx.AsyncClient(base_url=edge.url, headers=headers, timeout=30) as client:
        yield client


def body(message, *in_path: str) -> dict[str, object]:
    fields = json_format.MessageToDict(message, preserving_proto_field_name=True)
    return {name: value for name, value in fields.items() if name not in in_path}


async def test_a_workflow_goes_all_the_way_over_rest(rest, requests) -> None:
    begun = await rest.post("/api/v1/exports", json=body(requests.initial_summary(document_name="Rechnung Köln.pdf")))
    assert begun.status_code == 200, begun.text
    workflow_id = begun.json()["workflow"]["workflowId"]
    path = f"/api/v1/exports/{workflow_id}"
    review = body(requests.modifications(workflow_id), "workflow_id")
    assert (await rest.post(f"{path}/modifications", json=review)).status_code == 200
    generate = body(requests.generate(workflow_id), "workflow_id")
    completed = (await rest.post(f"{path}/deliverable", json=generate)).json()["workflow"]
    assert completed["state"] == "WORKFLOW_STATE_COMPLETED"
    assert (await rest.get(path)).json()["workflow"] == completed

    file = await rest.get(f"{path}/deliverable")
    deliverable = completed["finalDeliverable"]["deliverable"]
    assert file.headers["content-type"] == deliverable["mediaType"]
    assert "filename*=UTF-8''Rechnung-K%C3%B6ln_ledger_" in file.headers["content-disposition"]
    assert file.text == "sku,billed,received\r\nA-100,40,28\r\nB-200,12,12\r\n"

    for listing in ("/api/v1/exports", "/api/v1/exports/history"):
        listed = (await rest.get(listing, params={"claim_id": requests.claim_id})).json()["workflows"]
        assert [workflow["workflowId"] for workflow in listed] == [workflow_id]


async def test_the_first_stage_is_revised_under_the_workflows_path(rest, requests) -> None:
    begun = (await rest.post("/api/v1/exports", json=body(requests.initial_summary()))).json()["workflow"]
    path = f"/api/v1/exports/{begun['workflowId']}/initial-summary"
    revision = body(requests.initial_summary(new_revision=True))
    answer = await rest.post(path, json=revision)
    assert answer.json()["workflow"]["initialSummary"]["record"]["revision"] == 2


async def test_a_deliverable_made_elsewhere_is_recorded(rest, requests) -> None:
    begun = (await rest.post("/api/v1/exports", json=body(requests.initial_summary()))).json()["workflow"]
    path = f"/api/v1/exports/{begun['workflowId']}"
    await rest.post(f"{path}/modifications", json=body(requests.modifications(""), "workflow_id"))
    answer = await rest.post(f"{path}/final-deliverable", json=body(requests.external(""), "workflow_id"))
    assert answer.json()["workflow"]["finalDeliverable"]["deliverable"]["mediaType"] == "application/pdf"
    refused = await rest.get(f"{path}/deliverable")
    assert refused.status_code == 400
    assert refused.json()["details"][0]["reason"] == "ERROR_REASON_DELIVERABLE_NOT_STORED"


async def test_an_error_names_its_reason(rest) -> None:
    answer = await rest.get(f"/api/v1/exports/{uuid4()}")
    assert answer.status_code == 404
    assert json.loads(answer.text)["details"][0]["reason"] == "ERROR_REASON_WORKFLOW_NOT_FOUND"
