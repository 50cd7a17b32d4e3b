"""Prompts as a browser or `curl` sees them: REST and Server-Sent Events through the edge."""

import json
from collections.abc import AsyncIterator
from uuid import uuid4

import httpx
import pytest
from proofloop_local.state import StackState
from proofloop_local.token import make_token


@pytest.fixture
async def person(stack: StackState):
    """Returns a client that calls as a person."""
    clients: list[httpx.AsyncClient] = []

    def client(user: str, *roles: str) -> httpx.AsyncClient:
        token = make_token(stack.keys, user=user, tenant=stack.tenants[0], roles=roles)
        clients.append(httpx.AsyncClient(base_url=stack.edge, headers={"authorization": f"Bearer {token}"}, timeout=30))
        return clients[-1]

    yield client
    for opened in clients:
        await opened.aclose()


async def ask(reviewer: httpx.AsyncClient, path: str = "/api/v1/prompts", **fields) -> dict:
    body = {"requestId": str(uuid4()), "claimId": str(uuid4()), "question": "Why?", "freeTextAllowed": True} | fields
    response = await reviewer.post(path, json=body)
    assert response.status_code == 200, response.text
    return response.json()["prompt"]


def said(prompt: dict, **fields) -> dict:
    return {"requestId": str(uuid4()), "shownSha256": prompt["shownSha256"], "text": "Because."} | fields


async def messages(lines: AsyncIterator[str]) -> AsyncIterator[dict]:
    async for line in lines:
        if line.startswith("data: "):
            yield json.loads(line.removeprefix("data: "))


@pytest.mark.parametrize("create", ["/api/v1/prompts", "/api/v1/evidence/prompts"])
@pytest.mark.parametrize(
    "answer", ["/api/v1/prompts/{}:answer", "/api/v1/prompts/{}/answer", "/api/v1/evidence/prompts/{}/answer"]
)
async def test_every_path_creates_and_answers(person, create, answer):
    reviewer, ann = person("rita", "reviewer"), person("ann", "claimant")
    asked = await ask(reviewer, create, assigneeId="ann")
    response = await ann.post(answer.format(asked["promptId"]), json=said(asked))
    assert response.json()["prompt"]["state"] == "PROMPT_STATE_ANSWERED"
    found = await ann.get(f"/api/v1/prompts/{asked['promptId']}")
    assert found.json() == response.json()


async def test_a_claims_prompts_are_listed_on_both_paths(person):
    reviewer = person("rita", "reviewer")
    asked = await ask(reviewer, assigneeId="ann")
    for path in (f"/api/v1/prompts?claim_id={asked['claimId']}", f"/api/v1/evidence/prompts/{asked['claimId']}"):
        assert (await reviewer.get(path)).json()["prompts"] == [asked]


async def test_a_prompt_is_withdrawn_with_delete_or_cancel(person):
    reviewer = person("rita", "reviewer")
    one, other = await ask(reviewer, assigneeId="ann"), await ask(reviewer, assigneeId="ann")
    reason = {"requestId": str(uuid4()), "reason": "asked twice"}
    deleted = await reviewer.delete(f"/api/v1/evidence/prompts/{one['promptId']}", params=reason)
    cancelled = await reviewer.post(
        f"/api/v1/prompts/{other['promptId']}:cancel", json=reason | {"requestId": str(uuid4())}
    )
    for response in (deleted, cancelled):
        assert response.json()["prompt"]["state"] == "PROMPT_STATE_CANCELLED"


async def test_an_error_tells_its_reason_and_its_field(person):
    reviewer, ann = person("rita", "reviewer"), person("ann", "claimant")
    asked = await ask(reviewer, assigneeId="ann")
    response = await ann.post(f"/api/v1/prompts/{asked['promptId']}:answer", json=said(asked, optionId="none"))
    assert response.status_code == 400
    info, wrong = response.json()["details"]
    assert info["reason"] == "ERROR_REASON_OPTION_UNKNOWN"
    assert wrong["fieldViolations"][0]["field"] == "option_id"


async def test_a_prompt_arrives_and_is_answered_as_server_sent_events(person):
    user = f"watcher-{uuid4()}"
    reviewer, watcher = person("rita", "reviewer"), person(user, "claimant")
    async with watcher.stream("GET", "/api/v1/prompts:watch", params={"event_types": "prompt.*"}) as response:
        assert response.headers["content-type"] == "text/event-stream"
        stream = messages(response.aiter_lines())
        assert "heartbeat" in await anext(stream)
        asked = await ask(reviewer, assigneeId=user)
        created, delivered = await anext(stream), await anext(stream)
        await watcher.post(f"/api/v1/prompts/{asked['promptId']}:answer", json=said(asked))
        answered = await anext(stream)
        await stream.aclose()
    types = [message["event"]["type"] for message in (created, delivered, answered)]
    assert types == ["prompt.created", "prompt.delivered", "prompt.answered"]
    assert created["event"]["prompt"] == asked


async def test_a_stream_that_cannot_begin_is_an_error_and_no_stream(person):
    response = await person("ann", "claimant").get("/api/v1/prompts:watch?resume_token=none")
    assert response.status_code == 400
    assert response.json()["details"][0]["reason"] == "ERROR_REASON_RESUME_TOKEN_INVALID"
