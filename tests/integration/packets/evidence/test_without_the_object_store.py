"""What happens to evidence while the object store is away."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from google.api.httpbody_pb2 import HttpBody
from proofloop.packets.v1 import evidence_service_pb2 as contract
from proofloop_local.servers.seaweedfs import SeaweedServer
from proofloop_runtime.errors import DependencyUnavailable
from pydantic import SecretStr


@pytest.fixture
async def away(tmp_path: Path) -> AsyncIterator[SeaweedServer]:
    """An object store of this test alone, which it may stop."""
    async with SeaweedServer(tmp_path / "away") as server:
        await server.create_bucket("packets")
        yield server


@pytest.fixture
async def ann(replica, connect, away: SeaweedServer):
    settings = {"s3_endpoint": away.endpoint, "s3_secret_key": SecretStr(away.secret_key)}
    async with replica(**settings) as service, connect(service, "ann", "claimant") as client:
        yield client


async def test_an_upload_is_refused_with_a_delay_and_leaves_no_record(ann, away, refused) -> None:
    claim = await ann.open_claim()
    await away.stop()
    with refused("UNAVAILABLE", "DEPENDENCY_UNAVAILABLE") as seen:
        await ann.upload(claim.claim_id, b"x")
    assert seen[0].metadata == {"dependency": "object_store"}
    assert seen[0].retry_after is not None
    listed = await ann.evidence.ListEvidence(contract.ListEvidenceRequest(claim_id=claim.claim_id))
    assert not listed.evidence


async def test_a_download_is_refused_until_it_is_back(ann, away, refused) -> None:
    claim = await ann.open_claim()
    evidence = await ann.upload(claim.claim_id, b"x")
    await away.stop()
    with refused("UNAVAILABLE", "DEPENDENCY_UNAVAILABLE"):
        await ann.download(evidence.evidence_id)
    await away.start()
    assert await once_available(lambda: ann.download(evidence.evidence_id)) == [
        HttpBody(content_type="application/octet-stream", data=b"x")
    ]


async def once_available(call):
    """Call again, as an UNAVAILABLE answer asks to, until there is another."""
    async with asyncio.timeout(60):
        while True:
            try:
                return await call()
            except DependencyUnavailable:
                await asyncio.sleep(0.2)
