"""The whole stack, and people who call it, for tests from outside."""

import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from proofloop_local.stack import Stack
from proofloop_local.state import StackState
from proofloop_local.token import make_token

EXAMPLE = Path(__file__).parents[2] / "examples" / "fba-lost-inbound"
BIN = Path(sys.executable).parent

Rest = Callable[..., httpx.AsyncClient]
NewClaim = Callable[[], Awaitable[dict[str, Any]]]


@pytest.fixture
def stack(running_stack: Stack) -> StackState:
    """Where everything is."""
    return running_stack.state


@pytest.fixture
def program() -> Callable[[str], str]:
    """Gives the path of a program that was installed beside this Python."""
    return lambda name: str(BIN / name)


@pytest.fixture
def token(stack: StackState) -> Callable[..., str]:
    """Makes a person's token."""

    def make(user: str, *roles: str, tenant: str = "acme") -> str:
        return make_token(stack.keys, user=user, tenant=tenant, roles=roles)

    return make


@pytest.fixture
async def rest(stack: StackState, token: Callable[..., str]) -> AsyncIterator[Rest]:
    """Makes clients of the edge, each with a person's token."""
    clients: list[httpx.AsyncClient] = []

    def make(user: str, *roles: str, tenant: str = "acme") -> httpx.AsyncClient:
        headers = {"authorization": f"Bearer {token(user, *roles, tenant=tenant)}"}
        clients.append(httpx.AsyncClient(base_url=stack.edge, headers=headers, timeout=60))
        return clients[-1]

    yield make
    for client in clients:
        await client.aclose()


@pytest.fixture
def claimant() -> str:
    """A person whom no other test knows."""
    return f"claimant-{uuid4()}@example.com"


@pytest.fixture
def as_claimant(rest: Rest, claimant: str) -> httpx.AsyncClient:
    return rest(claimant, "claimant")


@pytest.fixture
def as_reviewer(rest: Rest) -> httpx.AsyncClient:
    return rest("reviewer@example.com", "reviewer")


@pytest.fixture
def new_claim(as_claimant: httpx.AsyncClient) -> NewClaim:
    """Opens a claim of the claimant over REST."""
    facts = json.loads((EXAMPLE / "claim.json").read_text())

    async def make() -> dict[str, Any]:
        response = await as_claimant.post("/api/v1/claims", json=facts | {"request_id": str(uuid4())})
        assert response.status_code == 200, response.text
        return response.json()["claim"]

    return make
