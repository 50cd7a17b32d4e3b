"""The evidence loop survives kill -9 of any server in its middle: what was acknowledged is there, exactly once."""

import asyncio
from collections import Counter

import pytest
from proofloop.audit.v1.log_service_pb2 import GetCheckpointRequest
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
