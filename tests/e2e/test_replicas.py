"""Two processes of each service side by side on one database: the loop holds, and each takes over from the other."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
import pytest_asyncio
from google.protobuf.json_format import ParseDict
from proofloop.audit.v1.log_service_pb2 import ListEntriesRequest
from proofloop.exports.v1.workflows_service_pb2 import RecordInitialSummaryRequest
from proofloop.packets.v1.claims_service_pb2 import CreateClaimRequest
from proofloop.prompts.v1.prompts_pb2 import CHANNEL_IN_APP, Option
from proofloop.prompts.v1.prompts_service_pb2 import CreatePromptRequest
from proofloop_local.demo.cast import Person, person
from proofloop_local.demo.example import Example
from proofloop_local.demo.loop import Played, play
from proofloop_local.service import ServiceServer
from proofloop_local.stack import Stack
from proofloop_local.state import StackState
from proofloop_verifier.report import Verdict

pytestmark = pytest.mark.asyncio(loop_scope="session")

EXAMPLE = Example.read(Path(__file__).parents[2] / "examples" / "fba-lost-inbound")
LOGGED = Counter(
    {
        "claim.created": 1,
        "evidence.uploaded": 6,
        "prompt.created": 1,
        "prompt.delivered": 1,
        "prompt.answered": 1,
        "workflow.summarized": 1,
        "workflow.reviewed": 1,
        "workflow.completed": 1,
        "packet.requested": 1,
        "packet.cutoff": 1,
        "packet.generated": 1,
    }
)
"""What the audit log may hold of a played claim at the end."""

HAPPENED = ["claim.created", "prompt.created", "prompt.expired", "workflow.summarized"]


@dataclass(frozen=True, slots=True)
class Pair:
    """Both processes of every service.

    Attributes:
        first, second: By service.
        on_first, on_second: Where callers find either.
    """

    first: dict[str, ServiceServer]
    second: dict[str, ServiceServer]
    on_first: StackState
    on_second: StackState


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def pair(running_stack: Stack) -> AsyncIterator[Pair]:
    second = {name: running_stack.replica(name) for name in running_stack.services}
    async with AsyncExitStack() as exits:
        for replica in second.values():
            exits.push_async_callback(replica.stop)
        await asyncio.gather(*(replica.start() for replica in second.values()))
        addresses = {name: replica.address for name, replica in second.items()}
        state = running_stack.state
        yield Pair(running_stack.services, second, state, replace(state, services=addresses))


@pytest_asyncio.fixture(loop_scope="session")
async def playing(tmp_path: Path):
    """Plays the loop, the claimant calling one set of processes and the reviewer another."""
    async with AsyncExitStack() as exits:

        async def enter(state: StackState, role: str) -> Person:
            return await exits.enter_async_context(person(state, f"{uuid4()}@example.com", role))

        async def run(for_claimant: StackState, for_reviewer: StackState) -> Played:
            output = tmp_path / str(uuid4())
            output.mkdir()
            return await play(
                EXAMPLE,
                claimant=await enter(for_claimant, "claimant"),
                reviewer=await enter(for_reviewer, "reviewer"),
                auditor=await enter(for_claimant, "auditor"),
                output=output,
                tell=lambda _step, _what: None,
            )

        yield run


async def test_the_loop_holds_when_every_caller_meets_another_replica(pair, playing):
    crosswise = await asyncio.gather(playing(pair.on_first, pair.on_second), playing(pair.on_second, pair.on_first))
    for played in crosswise:
        it_is_whole(played)


@pytest.mark.parametrize("service", ["prompts", "packets", "exports", "audit"])
async def test_a_replica_takes_over_every_role_of_one_that_is_killed(
    pair, playing, eventually, healed, running_stack, service
):
    """The first process has led so far: it relayed, took events up, expired prompts, made packets."""
    left = replace(pair.on_first, services={**pair.on_first.services, service: pair.second[service].address})
    await pair.first[service].kill()
    try:
        await everything_that_happens_is_logged(left, eventually)
        if service == "packets":
            it_is_whole(await playing(left, left))
    finally:
        await pair.first[service].start()
        await healed(running_stack)


async def everything_that_happens_is_logged(state: StackState, eventually) -> None:
    """A claim, a prompt that expires by itself, an export: each service's events come to the audit log."""
    async with (
        person(state, "reviewer@example.com", "reviewer", "claimant") as reviewer,
        person(state, "auditor@example.com", "auditor") as auditor,
    ):
        request = CreateClaimRequest(request_id=str(uuid4()), title="A pallet came short", kind="lost_inbound")
        claim_id = (await reviewer.claims.CreateClaim(request)).claim.claim_id
        question = CreatePromptRequest(
            request_id=str(uuid4()),
            claim_id=claim_id,
            assignee_id="claimant@example.com",
            question="How many units came?",
            options=[Option(id="few", label="28"), Option(id="all", label="40")],
            channel=CHANNEL_IN_APP,
        )
        question.expire_time.FromDatetime(datetime.now(UTC) + timedelta(seconds=2))
        await reviewer.prompts.CreatePrompt(question)
        summary = {
            "request_id": str(uuid4()),
            "claim_id": claim_id,
            "document_id": str(uuid4()),
            "document_name": "invoice.pdf",
            "source": EXAMPLE.workflow["initial"]["source"],
            "extracted_data_json": "{}",
            "ai_summary": EXAMPLE.workflow["initial"]["ai_summary"],
        }
        await reviewer.workflows.RecordInitialSummary(ParseDict(summary, RecordInitialSummaryRequest()))

        async def logged() -> list[str] | None:
            page = await auditor.log.ListEntries(ListEntriesRequest(claim_id=claim_id))
            actions = sorted(entry.action for entry in page.entries)
            return actions if len(actions) >= len(HAPPENED) else None

        assert await eventually(logged) == HAPPENED


def it_is_whole(played: Played) -> None:
    assert played.report.verdict is Verdict.VERIFIED
    actions = Counter(entry.action for entry in played.entries)
    assert actions <= LOGGED
    sequences = sorted(entry.claim_sequence for entry in played.entries)
    assert sequences == list(range(len(sequences)))
