"""Fetching sealed packets, watching them being made, checking changed ones."""

import io
import zipfile
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import httpx
from google.protobuf.duration_pb2 import Duration
from proofloop.packets.v1 import packets_pb2
from proofloop.packets.v1 import packets_service_pb2 as contract

from .conftest import asked, fetched, made, verified, watched


async def test_a_watcher_sees_the_packet_grow_to_its_end(ann, spans) -> None:
    claim = await ann.open_claim()
    packet = await asked(ann, claim.claim_id)
    seen = await watched(ann, packet.packet_id)
    progress = [each.progress_percent for each in seen]
    assert progress == sorted(progress)
    assert (seen[-1].state, progress[-1]) == (packets_pb2.PACKET_STATE_COMPLETED, 100)
    assert await watched(ann, packet.packet_id) == [seen[-1]]
    [asking] = [span for span in spans.named("proofloop.packets.v1.PacketService/GeneratePacket") if is_server(span)]
    [making] = spans.named("packets.make")
    assert making.context.trace_id == asking.context.trace_id
    steps = [span.name for span in spans.finished() if span.name.startswith("packets.step.")]
    assert steps == [f"packets.step.{step}" for step in ("snapshot", "cut_off", "proofs", "summary", "seal")]


def is_server(span) -> bool:
    return span.kind.name == "SERVER"


async def test_a_url_fetches_the_packet_for_a_time_and_only_it(ann) -> None:
    claim = await ann.open_claim()
    packet = await made(ann, claim.claim_id)
    lifetime = Duration(seconds=3600)
    answer = await ann.packets.GetPacketUrl(contract.GetPacketUrlRequest(claim_id=claim.claim_id, lifetime=lifetime))
    assert answer.packet.packet_id == packet.packet_id
    assert parse_qs(urlsplit(answer.url).query)["X-Amz-Expires"] == ["3600"]
    assert timedelta(minutes=59) < answer.expire_time.ToDatetime() - packet.end_time.ToDatetime()
    async with httpx.AsyncClient() as browser:
        response = await browser.get(answer.url)
        assert response.headers["content-type"] == "application/zip"
        assert packet.file_name in response.headers["content-disposition"]
        assert len(response.content) == packet.size
        tampered = await browser.get(answer.url.replace(packet.packet_id, claim.claim_id))
        assert tampered.status_code == 403


async def test_one_changed_byte_is_named(ann) -> None:
    claim = await ann.open_claim()
    await ann.upload(claim.claim_id, b"28 units received", "receipt.txt")
    packet = await made(ann, claim.claim_id)
    content = await fetched(ann, packet.packet_id)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        at = content.index(
            b"28 units received", archive.getinfo(f"{packet.packet_id}/data/evidence/receipt.txt").header_offset
        )
    report = await verified(ann, content[:at] + b"4" + content[at + 1 :])
    assert report.verdict == packets_pb2.VERDICT_FAILED
    assert "receipt.txt" in report.findings[0].subject


async def test_a_packet_of_another_log_proves_nothing_here(ann, replica, connect, tmp_path) -> None:
    claim = await ann.open_claim()
    content = await fetched(ann, (await made(ann, claim.claim_id)).packet_id)
    nobodys = tmp_path / "nobodys.vkeys"
    nobodys.touch()
    async with replica(log_keys=nobodys) as elsewhere, connect(elsewhere, "ann", "claimant") as distrustful:
        report = await verified(distrustful, content)
    assert report.verdict == packets_pb2.VERDICT_CONSISTENT_UNKNOWN_KEY
    assert report.key_fingerprint
    assert not report.findings
