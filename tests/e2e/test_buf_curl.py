"""A caller with nothing but `buf` and a certificate calls every service by reflection."""

import asyncio
import json
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest

CONTRACTS = {
    "audit": {"proofloop.audit.v1.LogService"},
    "prompts": {"proofloop.prompts.v1.PromptService"},
    "packets": {f"proofloop.packets.v1.{noun}Service" for noun in ("Claim", "Evidence", "Packet")},
    "exports": {"proofloop.exports.v1.WorkflowService"},
}


@pytest.fixture
def buf_curl(stack, program) -> Callable[..., Any]:
    """Runs `buf curl` against a service; gives what it prints."""
    client = stack.client

    async def run(service: str, path: str, *options: str) -> str:
        process = await asyncio.create_subprocess_exec(
            *(program("buf"), "curl", "--protocol", "grpc"),
            *("--cacert", client.authority, "--cert", client.certificate, "--key", client.key),
            *(*options, f"https://{stack.services[service]}{path}"),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        output, errors = await process.communicate()
        assert process.returncode == 0, errors.decode()
        return output.decode()

    return run


async def test_a_prompt_is_created_and_answered(buf_curl, token, claimant, new_claim) -> None:
    async def call(user: str, role: str, method: str, **fields: Any) -> dict[str, Any]:
        bearer = ("--header", f"authorization: Bearer {token(user, role)}")
        path = f"/proofloop.prompts.v1.PromptService/{method}"
        return json.loads(await buf_curl("prompts", path, *bearer, "--data", json.dumps(fields)))["prompt"]

    prompt = await call(
        *("reviewer@example.com", "reviewer", "CreatePrompt"),
        request_id=str(uuid4()),
        claim_id=(await new_claim())["claimId"],
        assignee_id=claimant,
        question="How many units were received?",
        free_text_allowed=True,
    )
    answered = await call(
        *(claimant, "claimant", "AnswerPrompt"),
        request_id=str(uuid4()),
        prompt_id=prompt["promptId"],
        shown_sha256=prompt["shownSha256"],
        text="28, in 7 cartons.",
    )
    assert answered["state"] == "PROMPT_STATE_ANSWERED"
    assert answered["answer"]["text"] == "28, in 7 cartons."


@pytest.mark.parametrize("service", CONTRACTS)
async def test_a_service_tells_what_it_offers(buf_curl, token, service) -> None:
    header = f"authorization: Bearer {token('anybody@example.com', 'auditor')}"
    listed = await buf_curl(service, "", "--list-services", "--reflect-header", header)
    assert CONTRACTS[service] <= set(listed.split())
