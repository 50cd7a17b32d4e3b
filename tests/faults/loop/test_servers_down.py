"""The evidence loop survives kill -9 of any server in its middle, and goes on without NATS.

What was acknowledged is there, exactly once.
"""

import asyncio
from collections import Counter
from uuid import uuid4

import pytest
from proofloop.audit.v1 import log_pb2
from proofloop.audit.v1.log_service_pb2 import AppendEntryRequest, GetCheckpointRequest, GetEntryRequest
from proofloop.audit.v1.log_service_pb2_grpc import LogServiceStub
from proofloop.exports.v1.workflows_pb2 import WORKFLOW_STATE_COMPLETED
from proofloop.exports.v1.workflows_service_pb2 import GetWorkflowRequest, ListWorkflowsRequest
from proofloop.packets.v1.claims_service_pb2 import ListClaimsRequest
from proofloop.packets.v1.evidence_service_pb2 import ListEvidenceRequest
from proofloop.packets.v1.packets_pb2 import PACKET_STATE_COMPLETED
from proofloop.packets.v1.packets_service_pb2 import ListPacketsRequest
from proofloop.prompts.v1.prompts_pb2 import PROMPT_STATE_ANSWERED
from proofloop.prompts.v1.prompts_service_pb2 import ListPromptsRequest
from proofloop_verifier.note import VerifierKey
from proofloop_verifier.packet import verify_packet
from proofloop_verifier.report import Verdict

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("faults")]

CALLERS = 3
ACTIONS = Counter(
    {
        "claim.created": 1,
        "evidence.uploaded": 3,
        "prompt.created": 1,
        "prompt.answered": 1,
        "workflow.summarized": 1,
        "workflow.reviewed": 1,
        "workflow.completed": 1,
        "packet.requested": 1,
        "packet.cutoff": 1,
        "packet.generated": 1,
    }
)
"""What the audit log must hold of a claim, and how often."""

MOMENTS = {
    "audit": ("packet",),
    "prompts": ("prompt",),
    "packets": ("evidence", "PACKET_STEP_CUT_OFF"),
    "exports": ("summary",),
    "nats": ("evidence",),
    "postgres": ("answer",),
}
"""Each server dies when the first caller has come so far, and the others are not there yet."""


@pytest.mark.parametrize("victim", MOMENTS)
async def test_what_was_acknowledged_is_there_once_and_the_loop_completes(
    stack, new_loop, progress, eventually, tmp_path, victim
):
    server = {"nats": stack.nats, "postgres": stack.postgres}.get(victim) or stack.services[victim]
    loops = [new_loop(progress) for _ in range(CALLERS)]
    async with asyncio.TaskGroup() as group:
        for loop in loops:
            group.create_task(loop.play())
        for moment in MOMENTS[victim]:
            await progress.reached[moment].wait()
            await server.kill()
            await server.start()

    owned = await loops[0].ask(loops[0].claimant.claims.ListClaims, ListClaimsRequest(owner_id=loops[0].claimant.id))
    assert {claim.claim_id for claim in owned.claims} == {loop.claim_id for loop in loops}
    assert len(owned.claims) == CALLERS
    for loop in loops:
        await loop.repeat()
        await everything_is_there_once(loop, eventually)
        await the_packet_verifies(loop, tmp_path)


async def everything_is_there_once(loop, eventually) -> None:
    claim_id = loop.claim_id
    evidence = (await loop.ask(loop.claimant.evidence.ListEvidence, ListEvidenceRequest(claim_id=claim_id))).evidence
    assert sorted(item.evidence_id for item in evidence) == sorted(loop.files)
    for evidence_id, content in loop.files.items():
        assert await loop.stored(evidence_id) == content
    (prompt,) = (await loop.ask(loop.reviewer.prompts.ListPrompts, ListPromptsRequest(claim_id=claim_id))).prompts
    assert (prompt.prompt_id, prompt.state) == (loop.prompt_id, PROMPT_STATE_ANSWERED)
    listed = await loop.ask(loop.reviewer.workflows.ListWorkflows, ListWorkflowsRequest(claim_id=claim_id))
    assert [item.workflow_id for item in listed.workflows] == [loop.workflow_id]
    request = GetWorkflowRequest(workflow_id=loop.workflow_id)
    workflow = (await loop.ask(loop.reviewer.workflows.GetWorkflow, request)).workflow
    assert (workflow.state, len(workflow.records)) == (WORKFLOW_STATE_COMPLETED, 3)
    (packet,) = (await loop.ask(loop.reviewer.packets.ListPackets, ListPacketsRequest(claim_id=claim_id))).packets
    assert (packet.packet_id, packet.state) == (loop.packet_id, PACKET_STATE_COMPLETED)

    async def logged():
        entries = await loop.entries()
        return entries if len(entries) >= ACTIONS.total() else None

    entries = await eventually(logged)
    assert Counter(entry.action for entry in entries) == ACTIONS
    assert sorted(entry.claim_sequence for entry in entries) == list(range(ACTIONS.total()))
    ids = {entry.entry_id for entry in entries}
    assert len(ids) == ACTIONS.total()
    assert {item.last_event_id for item in (*evidence, prompt, workflow, packet)} <= ids


async def the_packet_verifies(loop, folder) -> None:
    file = await loop.download(folder)
    checkpoint = (await loop.ask(loop.auditor.log.GetCheckpoint, GetCheckpointRequest())).checkpoint
    report = await asyncio.to_thread(verify_packet, file, [VerifierKey.parse(checkpoint.verifier_key)])
    assert report.verdict is Verdict.VERIFIED, report.first_failure
    # All but what says that the packet is done, which cannot stand in it.
    assert report.entries_proven == ACTIONS.total() - 1
    assert report.evidence_files == len(loop.files)


ACTIONS_BEFORE_THE_PACKET = Counter({action: n for action, n in ACTIONS.items() if not action.startswith("packet.")})


async def test_what_is_acknowledged_while_nats_is_away_is_logged_once_when_it_is_back(
    stack, connected, new_loop, progress, eventually, request
):
    before, meanwhile = [], []
    away, over = asyncio.Event(), asyncio.Event()

    async def play_on() -> None:
        """Until the outage is over, and at least once from the beginning while it lasts."""
        loops = before
        while loops is before or not over.is_set():
            # What began while NATS was there may have been heard.
            loops = meanwhile if away.is_set() else before
            loops.append(loop := new_loop(progress))
            await loop.gather()

    async with connected(stack, stack.services["audit"].address) as channel:
        log = LogServiceStub(channel)
        async with asyncio.TaskGroup() as callers:
            for _ in range(CALLERS):
                callers.create_task(play_on())
            await progress.reached["evidence"].wait()
            await stack.nats.stop()
            away.set()
            receipts = await append_for(request.config.getoption("outage"), log)
            over.set()
        assert len(meanwhile) >= CALLERS
        assert not progress.refusals
        for loop in meanwhile:
            assert await loop.entries() == []
        await stack.nats.start()
        for loop in (*before, *meanwhile):
            await everything_is_logged_once(loop, eventually)
        for receipt in receipts:
            entry = (await log.GetEntry(GetEntryRequest(entry_id=receipt.entry_id))).entry
            assert (entry.index, entry.leaf_hash) == (receipt.index, receipt.leaf_hash)


async def append_for(seconds: int, log) -> list[log_pb2.EntryReceipt]:
    """Append one entry after the other for so long; each is acknowledged."""
    clock, receipts = asyncio.get_running_loop(), []
    end = clock.time() + seconds
    while clock.time() < end:
        draft = log_pb2.EntryDraft(
            actor=log_pb2.Actor(type=log_pb2.ACTOR_TYPE_USER, id="user-1"),
            action="prompt.answered",
            outcome=log_pb2.OUTCOME_SUCCESS,
            entity_type="prompt",
            entity_id="prompt-1",
        )
        request = AppendEntryRequest(request_id=str(uuid4()), draft=draft)
        receipts.append((await log.AppendEntry(request, timeout=10)).receipt)
    return receipts


async def everything_is_logged_once(loop, eventually) -> None:
    async def logged():
        entries = await loop.entries()
        return entries if len(entries) >= ACTIONS_BEFORE_THE_PACKET.total() else None

    entries = await eventually(logged)
    assert Counter(entry.action for entry in entries) == ACTIONS_BEFORE_THE_PACKET
    assert [entry.claim_sequence for entry in entries] == list(range(ACTIONS_BEFORE_THE_PACKET.total()))
    assert len({entry.entry_id for entry in entries}) == ACTIONS_BEFORE_THE_PACKET.total()
