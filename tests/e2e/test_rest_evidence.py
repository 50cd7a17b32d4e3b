"""Files go in and out as plain bodies, and a packet is made and fetched, over plain HTTP."""

import asyncio
import hashlib
import json
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

EVIDENCE = Path(__file__).parents[2] / "examples" / "fba-lost-inbound" / "evidence"
MIB = 1024 * 1024


async def upload(client: httpx.AsyncClient, claim_id: str, name: str, content: Any) -> httpx.Response:
    return await client.post(
        f"/api/v1/claims/{claim_id}/evidence",
        params={"file_name": name, "request_id": str(uuid4())},
        content=content,
        headers={"content-type": "application/x-www-form-urlencoded"},  # as `curl --data-binary` says by itself
    )


@pytest.mark.parametrize("name", sorted(file.name for file in EVIDENCE.iterdir()))
async def test_a_file_comes_back_as_it_went_in(as_claimant, new_claim, name) -> None:
    content = (EVIDENCE / name).read_bytes()
    claim_id = (await new_claim())["claimId"]
    response = await upload(as_claimant, claim_id, name, content)
    assert response.status_code == 200, response.text
    evidence = response.json()["evidence"]
    assert evidence["sha256"] == hashlib.sha256(content).hexdigest()
    assert evidence["fileName"] == name
    fetched = await as_claimant.get(f"/api/v1/evidence/{evidence['evidenceId']}/content")
    assert fetched.content == content
    assert fetched.headers["content-type"] == "application/octet-stream"
    listed = (await as_claimant.get(f"/api/v1/claims/{claim_id}/evidence")).json()["evidence"]
    assert [each["evidenceId"] for each in listed] == [evidence["evidenceId"]]


async def test_a_file_larger_than_the_edge_holds_is_streamed_through(as_claimant, new_claim) -> None:
    claim_id = (await new_claim())["claimId"]
    piece = bytes(range(256)) * 4096
    digest = hashlib.sha256(piece * 24).hexdigest()

    async def pieces():
        for _ in range(24):
            yield piece

    response = await upload(as_claimant, claim_id, "large.bin", pieces())
    assert response.status_code == 200, response.text
    evidence = response.json()["evidence"]
    assert (evidence["sha256"], evidence["size"]) == (digest, str(24 * MIB))
    seen = hashlib.sha256()
    async with as_claimant.stream("GET", f"/api/v1/evidence/{evidence['evidenceId']}/content") as fetched:
        async for part in fetched.aiter_bytes():
            seen.update(part)
    assert seen.hexdigest() == digest


async def test_a_packet_is_followed_live_fetched_by_its_url_and_verified(as_claimant, new_claim) -> None:
    claim_id = (await new_claim())["claimId"]
    await upload(as_claimant, claim_id, "note.txt", b"28 units were received.")
    asked = await as_claimant.post(
        f"/api/v1/evidence/proof-packets/{claim_id}/generate", json={"request_id": str(uuid4())}
    )
    assert asked.status_code == 200, asked.text
    packet_id = asked.json()["packet"]["packetId"]

    states = []
    async with (
        asyncio.timeout(120),
        as_claimant.stream("GET", f"/api/v1/packets/{packet_id}/watch") as watch,
    ):
        assert watch.headers["content-type"] == "text/event-stream"
        async for line in watch.aiter_lines():
            message = json.loads(line.removeprefix("data:")) if line else {}
            states += [message["packet"]["state"]] if "packet" in message else []
    assert states[-1] == "PACKET_STATE_COMPLETED"

    newest = (await as_claimant.get(f"/api/v1/evidence/proof-packets/{claim_id}/status")).json()["packet"]
    assert (newest["packetId"], newest["progressPercent"]) == (packet_id, 100)
    listed = (await as_claimant.get(f"/api/v1/claims/{claim_id}/packets")).json()["packets"]
    assert [each["packetId"] for each in listed] == [packet_id]

    by_id = (await as_claimant.get(f"/api/v1/packets/{packet_id}/url", params={"lifetime": "60s"})).json()
    by_claim = (await as_claimant.get(f"/api/v1/evidence/proof-packets/{claim_id}")).json()
    async with httpx.AsyncClient() as anybody:
        packet = (await anybody.get(by_id["url"])).content
        assert (await anybody.get(by_claim["url"])).content == packet
        assert (await anybody.get(by_id["url"].replace(packet_id, str(uuid4())))).status_code == 403
    assert hashlib.sha256(packet).hexdigest() == by_id["packet"]["sha256"]

    verdict = await as_claimant.post("/api/v1/packets:verify", content=packet)
    assert verdict.json()["verdict"] == "VERDICT_VERIFIED", verdict.text


async def test_the_audit_log_of_a_claim_is_read_under_both_its_paths(rest, as_claimant, new_claim, eventually) -> None:
    claim_id = (await new_claim())["claimId"]
    auditor = rest("auditor@example.com", "auditor")

    async def actions() -> list[str]:
        response = await auditor.get(f"/api/v1/evidence/audit-log/{claim_id}")
        # ProtoJSON leaves an empty list out, as it is until the event has come.
        return [entry["action"] for entry in response.json().get("entries", [])]

    assert await eventually(actions) == ["claim.created"]
    entries = (await auditor.get("/api/v1/audit/entries", params={"claim_id": claim_id})).json()["entries"]
    proof = (await auditor.get(f"/api/v1/audit/entries/{entries[0]['entryId']}/inclusion-proof")).json()["proof"]
    assert proof["index"] == entries[0]["index"]
    checkpoint = (await auditor.get("/api/v1/audit/checkpoint")).json()["checkpoint"]
    assert checkpoint["note"].startswith("proofloop.local/acme\n")


async def test_an_auditor_exports_the_log_as_a_plain_body(rest, as_claimant, new_claim, eventually) -> None:
    claim_id = (await new_claim())["claimId"]
    auditor = rest("auditor@example.com", "auditor")

    async def exported() -> list[dict[str, Any]]:
        response = await auditor.get("/api/v1/audit/entries:export", params={"claim_id": claim_id})
        assert response.status_code == 200, response.text
        assert response.headers["content-type"] == "application/jsonl"
        return [json.loads(line) for line in response.content.splitlines()]

    [line] = await eventually(exported)
    assert json.loads(line["leaf"])["claim_id"] == claim_id
    ocsf = await auditor.get("/api/v1/audit/entries:export", params={"claim_id": claim_id, "format": "FORMAT_OCSF"})
    assert json.loads(ocsf.content)["metadata"]["sequence"] == line["index"]
    refused = await as_claimant.get("/api/v1/audit/entries:export")
    assert refused.status_code == 403, refused.text
