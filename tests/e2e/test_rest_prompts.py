"""A prompt is asked, seen live and answered over plain HTTP, as `curl` would."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import httpx


def question(claim_id: str, assignee: str) -> dict[str, Any]:
    return {
        "request_id": str(uuid4()),
        "claim_id": claim_id,
        "assignee_id": assignee,
        "question": "How many units were received?",
        "options": [{"id": "28", "label": "28 units"}, {"id": "40", "label": "40 units"}],
    }


def answer(prompt: dict[str, Any]) -> dict[str, Any]:
    return {"request_id": str(uuid4()), "shown_sha256": prompt["shownSha256"], "option_id": "28"}


async def messages(response: httpx.Response) -> AsyncIterator[dict[str, Any]]:
    """The data of Server-Sent Events (HTML standard, 9.2), one JSON message each."""
    async for line in response.aiter_lines():
        if line:
            field, _, value = line.partition(":")
            assert field == "data"
            yield json.loads(value)


async def created(client: httpx.AsyncClient, path: str, body: dict[str, Any]) -> dict[str, Any]:
    response = await client.post(path, json=body)
    assert response.status_code == 200, response.text
    return response.json()["prompt"]


async def test_a_prompt_is_created_and_answered(as_claimant, as_reviewer, claimant, new_claim) -> None:
    claim = await new_claim()
    prompt = await created(as_reviewer, "/api/v1/prompts", question(claim["claimId"], claimant))
    path = f"/api/v1/prompts/{prompt['promptId']}"
    shown = (await as_claimant.get(path)).json()["prompt"]
    assert shown["state"] == "PROMPT_STATE_DELIVERED"
    answered = await created(as_claimant, f"{path}:answer", answer(shown))
    assert answered["state"] == "PROMPT_STATE_ANSWERED"
    assert answered["answer"]["optionId"] == "28"


async def test_the_paths_that_older_clients_use_do_the_same(as_claimant, as_reviewer, claimant, new_claim) -> None:
    claim_id = (await new_claim())["claimId"]
    older = "/api/v1/evidence/prompts"
    first = await created(as_reviewer, older, question(claim_id, claimant))
    second = await created(as_reviewer, older, question(claim_id, claimant))
    answered = await created(as_claimant, f"{older}/{first['promptId']}/answer", answer(first))
    assert answered["state"] == "PROMPT_STATE_ANSWERED"
    withdrawn = await as_reviewer.delete(
        f"{older}/{second['promptId']}", params={"request_id": str(uuid4()), "reason": "asked twice"}
    )
    assert withdrawn.json()["prompt"]["state"] == "PROMPT_STATE_CANCELLED", withdrawn.text
    listed = (await as_claimant.get(f"{older}/{claim_id}")).json()["prompts"]
    assert [each["promptId"] for each in listed] == [first["promptId"], second["promptId"]]


async def test_a_prompt_arrives_as_a_server_sent_event_while_it_is_created(
    as_claimant, as_reviewer, claimant, new_claim
) -> None:
    claim_id = (await new_claim())["claimId"]
    watch = as_claimant.stream("GET", "/api/v1/prompts:watch", params={"event_types": "prompt.*"})
    async with asyncio.timeout(60), watch as response:
        assert response.status_code == 200
        assert response.headers["content-type"] == "text/event-stream"
        prompt = await created(as_reviewer, "/api/v1/prompts", question(claim_id, claimant))
        events = (message["event"] async for message in messages(response) if "event" in message)
        arrived = await anext(events)
        assert arrived["type"] == "prompt.created"
        assert arrived["prompt"]["promptId"] == prompt["promptId"]
        assert (await anext(events))["type"] == "prompt.delivered"
        await created(as_claimant, f"/api/v1/prompts/{prompt['promptId']}:answer", answer(arrived["prompt"]))
        assert (await anext(events))["type"] == "prompt.answered"


async def test_a_watch_resumes_behind_its_token_without_a_gap_or_a_repeat(
    as_claimant, as_reviewer, claimant, new_claim
) -> None:
    claim_id = (await new_claim())["claimId"]
    prompts = [
        (await created(as_reviewer, "/api/v1/prompts", question(claim_id, claimant)))["promptId"] for _ in range(2)
    ]
    seen, resume_token = [], ""
    async with asyncio.timeout(60):
        for _ in prompts:
            params = {"event_types": "prompt.created", "resume_token": resume_token}
            async with as_claimant.stream("GET", "/api/v1/prompts:watch", params=params) as response:
                first = await anext(message async for message in messages(response) if "event" in message)
                seen.append(first["event"]["prompt"]["promptId"])
                resume_token = first["resumeToken"]
    assert seen == prompts
