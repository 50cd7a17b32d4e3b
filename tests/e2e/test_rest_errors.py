"""What a caller over plain HTTP is told when something is wrong: status, code, message, details."""

import asyncio
import json
from uuid import uuid4

import httpx
import pytest

UNKNOWN = "01981c00-0000-7000-8000-000000000000"


def details(response: httpx.Response, kind: str) -> dict:
    found = [detail for detail in response.json()["details"] if detail["@type"].endswith(f"/google.rpc.{kind}")]
    assert len(found) == 1, response.text
    return found[0]


def reason(response: httpx.Response) -> str:
    assert response.headers["content-type"] == "application/json"
    assert set(response.json()) == {"code", "message", "details"}
    assert response.json()["message"]
    return details(response, "ErrorInfo")["reason"].removeprefix("ERROR_REASON_")


async def test_wrong_fields_are_named_one_by_one(as_reviewer) -> None:
    response = await as_reviewer.post("/api/v1/prompts", json={"request_id": "x", "claim_id": "y", "question": "?"})
    assert (response.status_code, response.json()["code"]) == (400, 3)
    assert reason(response) == "INVALID_FIELD"
    fields = {violation.get("field") for violation in details(response, "BadRequest")["fieldViolations"]}
    assert {"request_id", "claim_id", "assignee_id"} <= fields


@pytest.mark.parametrize(
    "path",
    [
        f"/api/v1/prompts/{UNKNOWN}",
        f"/api/v1/claims/{UNKNOWN}",
        f"/api/v1/evidence/{UNKNOWN}",
        f"/api/v1/evidence/{UNKNOWN}/content",
        f"/api/v1/packets/{UNKNOWN}",
        f"/api/v1/packets/{UNKNOWN}/url",
        f"/api/v1/packets/{UNKNOWN}/watch",
        f"/api/v1/exports/{UNKNOWN}",
        f"/api/v1/exports/{UNKNOWN}/deliverable",
        f"/api/v1/audit/entries/{UNKNOWN}",
    ],
)
async def test_what_is_not_there_is_404_with_the_reason(as_reviewer, path) -> None:
    response = await as_reviewer.get(path)
    assert (response.status_code, response.json()["code"]) == (404, 5), response.text
    assert reason(response).endswith("_NOT_FOUND")


async def test_another_tenants_claim_is_not_there(rest, new_claim) -> None:
    claim_id = (await new_claim())["claimId"]
    response = await rest("reviewer@example.com", "reviewer", tenant="globex").get(f"/api/v1/claims/{claim_id}")
    assert response.status_code == 404
    assert reason(response) == "CLAIM_NOT_FOUND"


async def test_a_wrong_role_is_403(as_claimant) -> None:
    response = await as_claimant.get("/api/v1/audit/entries")
    assert (response.status_code, response.json()["code"]) == (403, 7)
    assert reason(response) == "ROLE_MISSING"


@pytest.mark.parametrize("headers", [{}, {"authorization": "Bearer no.such.token"}])
async def test_no_token_is_401(stack, headers) -> None:
    async with httpx.AsyncClient(base_url=stack.edge, headers=headers) as nobody:
        response = await nobody.get("/api/v1/claims")
    assert (response.status_code, response.json()["code"]) == (401, 16)


async def test_a_request_id_used_for_something_else_is_400(as_claimant, new_claim) -> None:
    claim_id = (await new_claim())["claimId"]
    request_id = str(uuid4())
    path = f"/api/v1/claims/{claim_id}/evidence"
    params = {"file_name": "a.txt", "request_id": request_id}
    first = await as_claimant.post(path, params=params, content=b"one")
    assert first.status_code == 200, first.text
    assert (await as_claimant.post(path, params=params, content=b"one")).json() == first.json()
    response = await as_claimant.post(path, params=params, content=b"two")
    assert (response.status_code, response.json()["code"]) == (400, 9)
    assert reason(response) == "REQUEST_ID_REUSED"


@pytest.mark.parametrize("path", ["/", "/api/v1/nothing", "/api/v2/prompts", "/api/v1/prompts/a/b/c/d"])
async def test_a_path_that_no_contract_names_is_404(as_reviewer, path) -> None:
    response = await as_reviewer.get(path)
    assert (response.status_code, response.json()["code"]) == (404, 5)


@pytest.mark.parametrize("body", [b"{", b'"text"', b'{"question": 1e}', b"\xff\xfe"])
async def test_a_body_that_is_no_json_of_the_contract_is_400(as_reviewer, body) -> None:
    response = await as_reviewer.post("/api/v1/prompts", content=body, headers={"content-type": "application/json"})
    assert response.status_code == 400, response.text
    assert response.json()["code"] == 3


async def test_a_json_body_beyond_the_limit_is_refused_before_all_of_it_is_sent(stack, token) -> None:
    """The edge answers at its limit: this caller announces 1 GiB, and never sends it."""
    host, _, port = stack.edge.removeprefix("http://").rpartition(":")
    async with asyncio.timeout(60):
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(
            b"POST /api/v1/prompts HTTP/1.1\r\nhost: edge\r\ncontent-type: application/json\r\n"
            b"authorization: Bearer " + token("reviewer@example.com", "reviewer").encode() + b"\r\n"
            b"content-length: 1073741824\r\n\r\n" + b" " * (5 * 1024 * 1024)
        )
        status = await reader.readline()
        writer.close()
    assert status.split()[1] == b"413"


async def test_the_request_id_of_a_call_is_returned(as_reviewer) -> None:
    response = await as_reviewer.get("/api/v1/claims", headers={"x-request-id": "support-4711"})
    assert response.headers["x-request-id"] == "support-4711"
    assert json.loads(response.text).get("claims") is not None
