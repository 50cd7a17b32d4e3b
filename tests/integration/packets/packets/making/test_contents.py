"""From a claim to a packet that a stranger can verify."""

import hashlib
import json

import bagit
from proofloop.audit.v1 import log_service_pb2
from proofloop.audit.v1.log_service_pb2_grpc import LogServiceStub
from proofloop.packets.v1 import packets_pb2

from .conftest import answered_prompt, fetched, made, recorded_workflow, unzipped, verified

PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c49444154789c63f8ffff3f0005fe02fe0def46b8"
    "0000000049454e44ae426082"
)


async def test_a_packet_tells_all_that_the_services_know_and_verifies(
    ann, rita, audit, prompts, exports, token_for, tmp_path
) -> None:
    claim = await ann.open_claim()
    files = [("28 received.txt", b"28 units received"), ("label.png", PNG), ("label.png", PNG + b"\0")]
    evidence = [await ann.upload(claim.claim_id, content, name) for name, content in files]
    prompt = await answered_prompt(prompts, token_for, claim.claim_id)
    workflow = await recorded_workflow(exports, claim.claim_id, evidence[0].evidence_id)

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
    assert await entries_are_those_of_the_log(audit, held, packet)
    assert b"proofloop verify" in held["VERIFY.txt"]

    (tmp_path / "packet.zip").write_bytes(content)
    assert is_a_bag(tmp_path, held, packet.packet_id)


async def test_the_moment_a_packet_tells_of_is_before_it_is_gathered(ann, spans) -> None:
    """What happens meanwhile may be in it; what had happened by its moment is."""
    packet = await made(ann, (await ann.open_claim()).claim_id)
    assert packet.state == packets_pb2.PACKET_STATE_COMPLETED
    methods = ("proofloop.prompts.v1.PromptService/ListPrompts", "proofloop.exports.v1.WorkflowService/ListWorkflows")
    for method in methods:
        gathering = spans.named(method)
        assert gathering
        assert packet.cutoff_time.ToNanoseconds() <= min(span.start_time for span in gathering)


async def entries_are_those_of_the_log(audit, held: dict[str, bytes], packet: packets_pb2.Packet) -> bool:
    """The packet holds the claim's entries from 0 to its cut-off, and not the `packet.generated` that follows."""
    lines = [json.loads(line) for line in held["data/audit/entries.jsonl"].splitlines()]
    leaves = [json.loads(line["leaf"]) for line in lines]
    assert [leaf["claim_sequence"] for leaf in leaves] == list(range(len(leaves)))
    assert leaves[0]["action"] == "claim.created"
    assert leaves[-1]["action"] == "packet.cutoff"
    assert {"evidence.uploaded", "packet.requested", "prompt.answered"} < {leaf["action"] for leaf in leaves}
    async with audit.channel() as channel:
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
