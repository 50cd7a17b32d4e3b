"""The evidence loop, step by step: claim, evidence, prompt, export, packet, verification."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterable, AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import httpx
from google.api.httpbody_pb2 import HttpBody
from google.protobuf import json_format
from google.protobuf.timestamp_pb2 import Timestamp
from proofloop.audit.v1 import log_pb2, log_service_pb2
from proofloop.exports.v1 import workflows_pb2, workflows_service_pb2
from proofloop.packets.v1 import (
    claims_pb2,
    claims_service_pb2,
    evidence_pb2,
    evidence_service_pb2,
    packets_pb2,
    packets_service_pb2,
)
from proofloop.prompts.v1 import prompts_pb2, prompts_service_pb2
from proofloop_verifier.note import VerifierKey
from proofloop_verifier.packet import verify_packet
from proofloop_verifier.report import Report, Verdict

from proofloop_local.demo.cast import Person
from proofloop_local.demo.example import Example
from proofloop_local.errors import ServerError

Tell = Callable[[str, str], None]
"""Is told the step and, in a few words, what happened."""

_PIECE = 256 * 1024


@dataclass(frozen=True, slots=True)
class Played:
    """What a played loop leaves.

    Attributes:
        packet: The packet.
        file: Its file.
        report: What the verifier says of it.
        checkpoint: The log's signed checkpoint after the loop.
        entries: The claim's audit entries.
    """

    packet: packets_pb2.Packet
    file: Path
    report: Report
    checkpoint: log_pb2.Checkpoint
    entries: tuple[log_pb2.Entry, ...]


async def play(
    example: Example, *, claimant: Person, reviewer: Person, auditor: Person, output: Path, tell: Tell
) -> Played:
    """Play the loop; the packet is left in `output`."""
    claim = await _open_claim(example, claimant, tell)
    evidence = [await _upload(file, claim, claimant, tell) for file in example.evidence]
    await _ask(example, claim, reviewer, claimant, tell)
    await _export(example, claim, evidence, reviewer, tell)
    packet = await _seal(claim, reviewer, tell)
    file = await _download(packet, reviewer, output, tell)
    checkpoint = (await auditor.log.GetCheckpoint(log_service_pb2.GetCheckpointRequest())).checkpoint
    # The key comes from the log itself, not from the packet that it is to vouch for.
    report = await asyncio.to_thread(verify_packet, file, [VerifierKey.parse(checkpoint.verifier_key)])
    if report.verdict is not Verdict.VERIFIED:
        reason = report.first_failure.sentence if report.first_failure else report.verdict
        raise ServerError(f"The packet does not verify: {reason}", f"proofloop verify {file} tells more")
    tell("verify", f"{report.entries_proven} audit entries proven, {report.evidence_files} evidence files intact")
    return Played(packet, file, report, checkpoint, tuple([entry async for entry in _entries(claim, auditor)]))


async def _open_claim(example: Example, claimant: Person, tell: Tell) -> claims_pb2.Claim:
    request = claims_service_pb2.CreateClaimRequest(request_id=str(uuid4()))
    json_format.ParseDict(example.claim, request)
    claim = (await claimant.claims.CreateClaim(request)).claim
    tell("claim", f"{claim.title} ({claim.claim_id})")
    return claim


async def _upload(file: Path, claim: claims_pb2.Claim, claimant: Person, tell: Tell) -> evidence_pb2.Evidence:
    content = await asyncio.to_thread(file.read_bytes)

    async def pieces() -> AsyncIterator[evidence_service_pb2.UploadEvidenceRequest]:
        yield evidence_service_pb2.UploadEvidenceRequest(
            claim_id=claim.claim_id, file_name=file.name, request_id=str(uuid4())
        )
        for start in range(0, len(content), _PIECE):
            yield evidence_service_pb2.UploadEvidenceRequest(body=HttpBody(data=content[start : start + _PIECE]))

    evidence = (await claimant.evidence.UploadEvidence(pieces())).evidence
    if evidence.sha256 != hashlib.sha256(content).hexdigest():
        raise ServerError(f"{file.name} arrived changed", "This is a defect; please report it")
    tell("evidence", f"{evidence.file_name}, {evidence.media_type}, SHA-256 {evidence.sha256[:16]}…")
    return evidence


async def _ask(example: Example, claim: claims_pb2.Claim, reviewer: Person, claimant: Person, tell: Tell) -> None:
    """Ask the claimant, who hears of it live and answers."""
    watch = claimant.prompts.WatchPrompts(prompts_service_pb2.WatchPromptsRequest(event_types=["prompt.*"]))
    expire_time = Timestamp()
    expire_time.FromDatetime(datetime.now(UTC) + timedelta(days=7))
    options = [prompts_pb2.Option(id=option["option_id"], label=option["text"]) for option in example.prompt["options"]]
    asked = (
        await reviewer.prompts.CreatePrompt(
            prompts_service_pb2.CreatePromptRequest(
                request_id=str(uuid4()),
                claim_id=claim.claim_id,
                assignee_id=claimant.id,
                question=example.prompt["question"],
                options=options,
                free_text_allowed=True,
                priority=prompts_pb2.PRIORITY_HIGH,
                channel=prompts_pb2.CHANNEL_IN_APP,
                expire_time=expire_time,
            )
        )
    ).prompt
    tell("prompt", asked.question)
    shown = await _arrival(watch, asked.prompt_id)
    watch.cancel()
    answered = (
        await claimant.prompts.AnswerPrompt(
            prompts_service_pb2.AnswerPromptRequest(
                request_id=str(uuid4()),
                prompt_id=shown.prompt_id,
                shown_sha256=shown.shown_sha256,
                option_id=example.prompt["answer"]["option_id"],
                text=example.prompt["answer"]["text"],
            )
        )
    ).prompt
    labels = {option.id: option.label for option in answered.options}
    tell("answer", f"{labels[answered.answer.option_id]}. {answered.answer.text}")


async def _arrival(
    watch: AsyncIterable[prompts_service_pb2.WatchPromptsResponse], prompt_id: str
) -> prompts_pb2.Prompt:
    """The prompt as its assignee sees it, once the service has recorded that it reached them."""
    async for item in watch:
        if item.event.type == "prompt.delivered" and item.event.prompt.prompt_id == prompt_id:
            return item.event.prompt
    raise ServerError("The live stream ended before the prompt arrived", "Look at the log of the prompts service")


async def _export(
    example: Example, claim: claims_pb2.Claim, evidence: list[evidence_pb2.Evidence], reviewer: Person, tell: Tell
) -> None:
    """Record how an AI-made document came to be, in three stages."""
    initial, edited, final = (example.workflow[stage] for stage in ("initial", "modifications", "final"))
    document = next(item for item in evidence if item.file_name == example.workflow["document_name"])
    extracted = json.dumps(initial["extracted_data"])
    recorded = await reviewer.workflows.RecordInitialSummary(
        json_format.ParseDict(
            {
                "request_id": str(uuid4()),
                "claim_id": claim.claim_id,
                "document_id": document.evidence_id,
                "document_name": document.file_name,
                "source": initial["source"],
                "extracted_data_json": extracted,
                "ai_summary": initial["ai_summary"],
            },
            workflows_service_pb2.RecordInitialSummaryRequest(),
        )
    )
    workflow_id = recorded.workflow.workflow_id
    tell("export 1", "initial AI summary recorded")
    reviewed = await reviewer.workflows.RecordUserModifications(
        json_format.ParseDict(
            {
                "request_id": str(uuid4()),
                "workflow_id": workflow_id,
                "original_data_json": extracted,
                "modified_data_json": json.dumps(edited["modified_data"]),
                "preferences": edited["preferences"],
                "user_actions": edited["user_actions"],
            },
            workflows_service_pb2.RecordUserModificationsRequest(),
        )
    )
    changes = reviewed.workflow.user_modifications.changes
    tell("export 2", f"{len(changes)} changes by a person: " + ", ".join(change.path for change in changes))
    completed = await reviewer.workflows.GenerateDeliverable(
        json_format.ParseDict(
            {"request_id": str(uuid4()), "workflow_id": workflow_id, "final_summary": final["final_summary"]},
            workflows_service_pb2.GenerateDeliverableRequest(format=workflows_pb2.FORMAT_JSON),
        )
    )
    deliverable = completed.workflow.final_deliverable.deliverable
    tell("export 3", f"{deliverable.file_name}, SHA-256 {deliverable.sha256[:16]}…")


async def _seal(claim: claims_pb2.Claim, reviewer: Person, tell: Tell) -> packets_pb2.Packet:
    """Have a packet made, and follow its progress."""
    request = packets_service_pb2.GeneratePacketRequest(request_id=str(uuid4()), claim_id=claim.claim_id)
    packet = (await reviewer.packets.GeneratePacket(request)).packet
    watch = reviewer.packets.WatchPacket(packets_service_pb2.WatchPacketRequest(packet_id=packet.packet_id))
    async for item in watch:
        if not item.HasField("packet"):
            continue
        packet = item.packet
        step = packets_pb2.PacketStep.Name(packet.step).removeprefix("PACKET_STEP_").lower().replace("_", " ")
        tell("packet", f"{packet.progress_percent:3d} % {step}")
        if packet.state == packets_pb2.PACKET_STATE_COMPLETED:
            watch.cancel()
            return packet
        if packet.state == packets_pb2.PACKET_STATE_FAILED:
            raise ServerError(f"The packet failed: {packet.failure_reason}", "Look at the log of the packets service")
    raise ServerError("The progress stream ended before the packet was done", "Look at the log of the packets service")


async def _download(packet: packets_pb2.Packet, reviewer: Person, output: Path, tell: Tell) -> Path:
    """Fetch the packet by its signed URL, as whoever is handed the URL would."""
    request = packets_service_pb2.GetPacketUrlRequest(packet_id=packet.packet_id)
    url = (await reviewer.packets.GetPacketUrl(request)).url
    file = output / "packet.zip"
    async with httpx.AsyncClient() as client, client.stream("GET", url) as response:
        response.raise_for_status()
        with file.open("wb") as target:
            async for piece in response.aiter_bytes():
                await asyncio.to_thread(target.write, piece)
    tell("download", f"{file}, {packet.size:,} bytes")
    return file


async def _entries(claim: claims_pb2.Claim, auditor: Person) -> AsyncIterator[log_pb2.Entry]:
    request = log_service_pb2.ListEntriesRequest(claim_id=claim.claim_id)
    while True:
        page = await auditor.log.ListEntries(request)
        for entry in page.entries:
            yield entry
        if not page.next_page_token:
            return
        request.page_token = page.next_page_token
