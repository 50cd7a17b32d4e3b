"""The whole loop in this process: audit, prompts and exports, and as many packets services as a test starts."""

import io
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from uuid import uuid4

import httpx
import pytest
from google.api.httpbody_pb2 import HttpBody
from proofloop.audit.v1 import log_service_pb2
from proofloop.exports.v1 import workflows_service_pb2
from proofloop.packets.v1 import packets_pb2
from proofloop.packets.v1 import packets_service_pb2 as contract
from proofloop.prompts.v1 import prompts_service_pb2
from proofloop_audit.bootstrap import application as audit_application
from proofloop_audit.settings import AuditSettings
from proofloop_exports.bootstrap import application as exports_application
from proofloop_exports.settings import ExportsSettings
from proofloop_local.keys import Keys
from proofloop_local.servers.nats import NatsServer
from proofloop_local.servers.seaweedfs import SeaweedServer
from proofloop_local.token import ISSUER
from proofloop_packets.settings import PacketsSettings
from proofloop_prompts.bootstrap import application as prompts_application
from proofloop_prompts.settings import PromptsSettings
from proofloop_runtime.testing import Certificates, Service, SpanRecorder, serving

LOG = log_service_pb2.DESCRIPTOR.services_by_name["LogService"]
PROMPTS = prompts_service_pb2.DESCRIPTOR.services_by_name["PromptService"]
WORKFLOWS = workflows_service_pb2.DESCRIPTOR.services_by_name["WorkflowService"]


@dataclass(frozen=True, slots=True)
class Others:
    """The services that a packet asks."""

    audit: Service
    prompts: Service
    exports: Service

    @property
    def targets(self) -> dict[str, str]:
        return {
            "audit_target": self.audit.running.address,
            "prompts_target": self.prompts.running.address,
            "exports_target": self.exports.running.address,
        }


@pytest.fixture
async def common(nats: NatsServer, keys: Keys, certificates: Callable[[str], Certificates], new_database):
    """The settings that all services have."""

    async def of(name: str) -> dict:
        files = certificates(name)
        return {
            "database_url": (await new_database(name)).application_url,
            "nats_url": nats.url,
            "tls_certificate": files.certificate,
            "tls_key": files.key,
            "tls_authority": files.authority,
            "token_keys": keys.token_key_set,
            "token_issuer": ISSUER,
            "tenants": ("acme", "globex"),
        }

    return of


@pytest.fixture
async def audit_settings(common, keys: Keys) -> AuditSettings:
    return AuditSettings(
        **await common("audit"), log_domain="proofloop.local", log_key=keys.log_key, master_key=keys.master_key
    )


@pytest.fixture
async def others(common, audit_settings, bucket: SeaweedServer, certificates, spans: SpanRecorder):
    prompts_settings = PromptsSettings(**await common("prompts"))
    exports_settings = ExportsSettings(
        **await common("exports"),
        s3_endpoint=bucket.endpoint,
        s3_bucket="packets",
        s3_access_key=bucket.access_key,
        s3_secret_key=bucket.secret_key,
    )
    async with (
        serving(audit_application, audit_settings, [LOG], certificates) as audit,
        serving(prompts_application, prompts_settings, [PROMPTS], certificates) as prompts,
        serving(exports_application, exports_settings, [WORKFLOWS], certificates) as exports,
    ):
        yield Others(audit, prompts, exports)


@pytest.fixture
def packets_settings(packets_settings: PacketsSettings, others: Others) -> PacketsSettings:
    """As everywhere, with the other services where they are."""
    return packets_settings.model_copy(update=others.targets | {"attempts": 3})


def request_id() -> str:
    return str(uuid4())


async def watched(client, packet_id: str) -> list[packets_pb2.Packet]:
    """Every state of a packet that a watcher sees."""
    request = contract.WatchPacketRequest(packet_id=packet_id)
    return [message.packet async for message in client.packets.WatchPacket(request) if message.HasField("packet")]


async def asked(client, claim_id: str) -> packets_pb2.Packet:
    """Ask for a packet."""
    request = contract.GeneratePacketRequest(request_id=request_id(), claim_id=claim_id)
    return (await client.packets.GeneratePacket(request)).packet


async def made(client, claim_id: str) -> packets_pb2.Packet:
    """Ask for a packet and wait for it."""
    return (await watched(client, (await asked(client, claim_id)).packet_id))[-1]


async def fetched(client, packet_id: str) -> bytes:
    """Fetch a packet by its signed URL."""
    url = (await client.packets.GetPacketUrl(contract.GetPacketUrlRequest(packet_id=packet_id))).url
    async with httpx.AsyncClient() as browser:
        response = await browser.get(url)
    response.raise_for_status()
    return response.content


async def verified(client, content: bytes) -> contract.VerifyPacketResponse:
    """Have bytes checked as a packet."""

    async def pieces():
        for start in range(0, max(len(content), 1), 100_000):
            yield contract.VerifyPacketRequest(body=HttpBody(data=content[start : start + 100_000]))

    return await client.packets.VerifyPacket(pieces())


def unzipped(content: bytes) -> dict[str, bytes]:
    """The files of a packet by their path inside its folder."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}
