"""Packets services in this process, replicas of one database, one NATS and one bucket."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from google.api.httpbody_pb2 import HttpBody
from google.type.money_pb2 import Money
from proofloop.packets.v1 import claims_pb2, claims_service_pb2, evidence_pb2, evidence_service_pb2
from proofloop.packets.v1.claims_service_pb2_grpc import ClaimServiceStub
from proofloop.packets.v1.evidence_service_pb2_grpc import EvidenceServiceStub
from proofloop.packets.v1.packets_service_pb2_grpc import PacketServiceStub
from proofloop_local.keys import Keys
from proofloop_local.servers.nats import NatsServer
from proofloop_local.servers.postgres import Database
from proofloop_local.servers.seaweedfs import SeaweedServer
from proofloop_local.token import ISSUER
from proofloop_packets.bootstrap import CLAIMS, EVIDENCE, PACKETS, application
from proofloop_packets.settings import PacketsSettings
from proofloop_runtime.server import Running
from proofloop_runtime.testing import Certificates, Service, SpanRecorder, serving
from proofloop_verifier.note import VerifierKey

CONTRACTS = [CLAIMS, EVIDENCE, PACKETS]
NOWHERE = "127.0.0.1:1"
BUCKET = "packets"


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def bucket(object_store: SeaweedServer) -> SeaweedServer:
    await object_store.create_bucket(BUCKET)
    return object_store


@pytest.fixture
def log_keys(keys: Keys, tmp_path: Path) -> Path:
    """The verifier keys of both tenants' logs, one a line."""
    key = load_pem_private_key(keys.log_key.read_bytes(), password=None).public_key()
    file = tmp_path / "log.vkeys"
    file.write_text("".join(f"{VerifierKey.of(f'proofloop.local/{tenant}', key)}\n" for tenant in ("acme", "globex")))
    return file


@pytest.fixture
async def packets_database(new_database) -> Database:
    return await new_database("packets")


@pytest.fixture
def packets_settings(
    packets_database: Database,
    nats: NatsServer,
    bucket: SeaweedServer,
    keys: Keys,
    log_keys: Path,
    certificates: Callable[[str], Certificates],
    tmp_path: Path,
) -> PacketsSettings:
    files = certificates("packets")
    return PacketsSettings(
        database_url=packets_database.application_url,
        nats_url=nats.url,
        tls_certificate=files.certificate,
        tls_key=files.key,
        tls_authority=files.authority,
        token_keys=keys.token_key_set,
        token_issuer=ISSUER,
        tenants=("acme", "globex"),
        person_rate=10_000,
        drain=timedelta(seconds=2),
        audit_target=NOWHERE,
        prompts_target=NOWHERE,
        exports_target=NOWHERE,
        s3_endpoint=bucket.endpoint,
        s3_bucket=BUCKET,
        s3_region=bucket.region,
        s3_access_key=bucket.access_key,
        s3_secret_key=bucket.secret_key,
        signer_key=keys.packet_key,
        signer_certificate=keys.packet_certificates,
        log_keys=log_keys,
        spool=tmp_path,
    )


@pytest.fixture
def replica(packets_settings: PacketsSettings, certificates, spans: SpanRecorder):
    """Starts a replica, with other settings where a test needs them."""

    @asynccontextmanager
    async def start(**changes) -> AsyncIterator[Service]:
        settings = packets_settings.model_copy(update=changes)
        async with serving(application, settings, CONTRACTS, certificates) as service:
            yield service

    return start


@pytest.fixture
def elsewhere(certificates):
    """A replica that runs in another process."""

    def at(address: str) -> Service:
        running = Running(address, address, asyncio.get_running_loop().create_future())
        return Service("packets", running, CONTRACTS, certificates)

    return at


@pytest.fixture
async def packets(replica) -> AsyncIterator[Service]:
    async with replica() as service:
        yield service


@dataclass(frozen=True, slots=True)
class Client:
    """One caller's view of the service, with what callers do again and again."""

    claims: ClaimServiceStub
    evidence: EvidenceServiceStub
    packets: PacketServiceStub

    async def open_claim(self, **fields) -> claims_pb2.Claim:
        return (await self.claims.CreateClaim(opening(**fields))).claim

    async def upload(self, claim_id: str, content: bytes, name: str = "invoice.txt", **fields) -> evidence_pb2.Evidence:
        return (await self.evidence.UploadEvidence(uploading(claim_id, content, name, **fields))).evidence

    async def download(self, evidence_id: str) -> list[HttpBody]:
        request = evidence_service_pb2.DownloadEvidenceRequest(evidence_id=evidence_id)
        return [response.body async for response in self.evidence.DownloadEvidence(request)]


def opening(**fields) -> claims_service_pb2.CreateClaimRequest:
    facts = claims_pb2.ClaimFacts(
        narrative="40 units billed, 28 received",
        identifiers=[claims_pb2.Identifier(kind="shipment_id", value="FBA17Z")],
        amounts=[
            claims_pb2.NamedAmount(name="claimed", amount=Money(currency_code="USD", units=478, nanos=800_000_000))
        ],
    )
    defaults = {"request_id": str(uuid4()), "title": "Lost inbound", "kind": "fba_lost_inbound", "facts": facts}
    return claims_service_pb2.CreateClaimRequest(**defaults | fields)


async def uploading(
    claim_id: str, content: bytes, name: str = "invoice.txt", *, pieces: int = 1, request_id: str | None = None
) -> AsyncIterator[evidence_service_pb2.UploadEvidenceRequest]:
    request = evidence_service_pb2.UploadEvidenceRequest(
        claim_id=claim_id, file_name=name, request_id=request_id or str(uuid4())
    )
    step = -(-len(content) // pieces) or 1
    for start in range(0, max(len(content), 1), step):
        request.body.CopyFrom(HttpBody(data=content[start : start + step]))
        yield request
        request = evidence_service_pb2.UploadEvidenceRequest()


@pytest.fixture
def connect(token_for):
    """The service as a person calls it, or, without a person, as the prompts service does."""

    @asynccontextmanager
    async def call(service: Service, user: str | None, *roles: str, tenant: str = "acme"):
        peer, token = ("cli", token_for(user, *roles, tenant=tenant)) if user else ("prompts", None)
        async with service.channel(peer=peer, tenant=tenant, token=token) as channel:
            yield Client(ClaimServiceStub(channel), EvidenceServiceStub(channel), PacketServiceStub(channel))

    return call


@pytest.fixture
async def ann(connect, packets: Service) -> AsyncIterator[Client]:
    """The claimant ann."""
    async with connect(packets, "ann", "claimant") as client:
        yield client


@pytest.fixture
async def ben(connect, packets: Service) -> AsyncIterator[Client]:
    """Another claimant of ann's tenant."""
    async with connect(packets, "ben", "claimant") as client:
        yield client


@pytest.fixture
async def rita(connect, packets: Service) -> AsyncIterator[Client]:
    """A reviewer."""
    async with connect(packets, "rita", "reviewer") as client:
        yield client


@pytest.fixture
async def audrey(connect, packets: Service) -> AsyncIterator[Client]:
    """An auditor, who reads and changes nothing."""
    async with connect(packets, "audrey", "auditor") as client:
        yield client


@pytest.fixture
async def stranger(connect, packets: Service) -> AsyncIterator[Client]:
    """A reviewer of another tenant."""
    async with connect(packets, "rita", "reviewer", tenant="globex") as client:
        yield client


@pytest.fixture
async def service(connect, packets: Service) -> AsyncIterator[Client]:
    """Another service, in nobody's name."""
    async with connect(packets, None) as client:
        yield client
