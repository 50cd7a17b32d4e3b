"""From a claim to a packet that a stranger can verify."""

import hashlib
import json

import bagit
from proofloop.audit.v1 import log_service_pb2
from proofloop.audit.v1.log_service_pb2_grpc import LogServiceStub
from proofloop.exports.v1 import workflows_pb2, workflows_service_pb2
from proofloop.exports.v1.workflows_service_pb2_grpc import WorkflowServiceStub
from proofloop.packets.v1 import packets_pb2
from proofloop.prompts.v1 import prompts_pb2, prompts_service_pb2
from proofloop.prompts.v1.prompts_service_pb2_grpc import PromptServiceStub

from .conftest import fetched, made, request_id, unzipped, verified

PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c49444154789c63f8ffff3f0005fe02fe0def46b8"
    "0000000049454e44ae426082"
)


async def test_a_packet_tells_all_that_the_services_know_and_verifies(ann, rita, others, token_for, tmp_path) -> None:
    claim = await ann.open_claim()
    files = [("28 received.txt", b"28 units received"), ("label.png", PNG), ("label.png", PNG + b"\0")]
    evidence = [await ann.upload(claim.claim_id, content, name) for name, content in files]
    prompt = await answered_prompt(others, token_for, claim.claim_id)
    workflow = await recorded_workflow(others, claim.claim_id, evidence[0].evidence_id)

    packet = await made(ann, claim.claim_id)

    assert (packet.failure_reason, packet.state) == ("", packets_pb2.PACKET_STATE_COMPLETED)
    assert (packet.progress_percent, packet.step) == (100, packets_pb2.PACKET_STEP_DONE)
    content = await fetched(ann, packet.packet_id)
    assert (len(content), hashlib.sha256(content).hexdigest()) == (packet.size, packet.sha256)
    report = await verified(rita, content)
    assert [finding.sentence for finding in report.findings] == []
    assert report.verdict == packets_pb2.VERDICT_VERIFIED
    assert (report.packet_id, report.sha256, report.evidence_files) == (packet.packet_id, packet.sha256, 3)

    held = unzipped(content)
    told = json.loads(held["data/packet.json"])
    assert [item["path"] for item in told["evidence"]] == [
        "evidence/28 received.txt",
        "evidence/label.png",
        "evidence/label (2).png",
    ]
    assert [held[f"data/{item['path']}"] for item in told["evidence"]] == [content for _, content in files]
    assert [part["prompt_id"] for part in told["prompts"]] == [prompt.prompt_id]
    assert told["prompts"][0]["answer"]["option_ids"] == ["yes"]
    assert told["prompts"][0]["answer"]["answered_by"] == "ann"
    assert [part["workflow_id"] for part in told["exports"]] == [workflow.workflow_id]
    assert told["exports"][0]["state"] == "awaiting_user_review"
    assert told["claim"]["facts"]["amounts"][0]["amount"] == {"amount": "478.80", "currency": "USD"}
    assert await entries_are_those_of_the_log(others, held, packet)
    assert b"proofloop verify" in held["VERIFY.txt"]

    (tmp_path / "packet.zip").write_bytes(content)
    assert is_a_bag(tmp_path, held, packet.packet_id)


async def entries_are_those_of_the_log(others, held: dict[str, bytes], packet: packets_pb2.Packet) -> bool:
    """The packet holds the claim's entries from 0 to its cut-off, and not the `packet.generated` that follows."""
    lines = [json.loads(line) for line in held["data/audit/entries.jsonl"].splitlines()]
    leaves = [json.loads(line["leaf"]) for line in lines]
    assert [leaf["claim_sequence"] for leaf in leaves] == list(range(len(leaves)))
    assert leaves[0]["action"] == "claim.created"
    assert leaves[-1]["action"] == "packet.cutoff"
    assert {"evidence.uploaded", "packet.requested", "prompt.answered"} < {leaf["action"] for leaf in leaves}
    async with others.audit.channel() as channel:
        log = LogServiceStub(channel)
        await log.GetEntry(log_service_pb2.GetEntryRequest(entry_id=packet.last_event_id, max_wait={"seconds": 20}))
        listed = await log.ListEntries(log_service_pb2.ListEntriesRequest(claim_id=packet.claim_id))
    assert [entry.leaf.decode() for entry in listed.entries[: len(lines)]] == [line["leaf"] for line in lines]
    assert listed.entries[len(lines)].action == "packet.generated"
    return True


def is_a_bag(folder, held: dict[str, bytes], packet_id: str) -> bool:
    """The independent checker of the Library of Congress agrees."""
    for name, content in held.items():
        path = folder / packet_id / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return bagit.Bag(str(folder / packet_id)).validate()


async def answered_prompt(others, token_for, claim_id: str) -> prompts_pb2.Prompt:
    async with (
        others.prompts.channel(peer="exports") as ours,
        others.prompts.channel(peer="cli", token=token_for("ann", "claimant")) as theirs,
    ):
        create = prompts_service_pb2.CreatePromptRequest(
            request_id=request_id(),
            claim_id=claim_id,
            assignee_id="ann",
            question="Were 28 units received?",
            options=[prompts_pb2.Option(id="yes", label="Yes"), prompts_pb2.Option(id="no", label="No")],
        )
        prompt = (await PromptServiceStub(ours).CreatePrompt(create)).prompt
        answer = prompts_service_pb2.AnswerPromptRequest(
            request_id=request_id(), prompt_id=prompt.prompt_id, shown_sha256=prompt.shown_sha256, option_id="yes"
        )
        return (await PromptServiceStub(theirs).AnswerPrompt(answer)).prompt


async def recorded_workflow(others, claim_id: str, document_id: str) -> workflows_pb2.Workflow:
    summary = {
        "text": "40 units were billed.",
        "ai_metadata": {
            "model": "extractive-1",
            "template_version": "invoice@1",
            "generate_time": {"seconds": 1_767_225_600},
            "duration": {"nanos": 5_000_000},
            "confidence": "0.93",
        },
    }
    request = workflows_service_pb2.RecordInitialSummaryRequest(
        request_id=request_id(),
        document_id=document_id,
        document_name="invoice.pdf",
        claim_id=claim_id,
        owner_id="ann",
        source={"document_type": "invoice", "extraction_method": "pdf_text", "confidence": "0.9"},
        extracted_data_json='{"billed": 40}',
        ai_summary=summary,
    )
    async with others.exports.channel(peer="prompts") as channel:
        return (await WorkflowServiceStub(channel).RecordInitialSummary(request)).workflow
