"""The whole loop in this process: audit, prompts and exports, and as many packets services as a test starts."""

import io
import zipfile
from collections.abc import AsyncIterator, Callable
from uuid import uuid4

import httpx
import pytest
from google.api.httpbody_pb2 import HttpBody
from proofloop.audit.v1 import log_service_pb2
from proofloop.exports.v1 import workflows_pb2, workflows_service_pb2
from proofloop.exports.v1.workflows_service_pb2_grpc import WorkflowServiceStub
from proofloop.packets.v1 import packets_pb2
from proofloop.packets.v1 import packets_service_pb2 as contract
from proofloop.prompts.v1 import prompts_pb2, prompts_service_pb2
from proofloop.prompts.v1.prompts_service_pb2_grpc import PromptServiceStub
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
async def audit(audit_settings: AuditSettings, certificates, spans: SpanRecorder) -> AsyncIterator[Service]:
    async with serving(audit_application, audit_settings, [LOG], certificates) as service:
        yield service


@pytest.fixture
async def prompts(common, certificates, spans: SpanRecorder) -> AsyncIterator[Service]:
    settings = PromptsSettings(**await common("prompts"))
    async with serving(prompts_application, settings, [PROMPTS], certificates) as service:
        yield service


@pytest.fixture
async def exports(common, bucket: SeaweedServer, certificates, spans: SpanRecorder) -> AsyncIterator[Service]:
    settings = ExportsSettings(
        **await common("exports"),
        s3_endpoint=bucket.endpoint,
        s3_bucket="packets",
        s3_access_key=bucket.access_key,
        s3_secret_key=bucket.secret_key,
    )
    async with serving(exports_application, settings, [WORKFLOWS], certificates) as service:
        yield service


@pytest.fixture
def targets(audit: Service, prompts: Service, exports: Service) -> dict[str, str]:
    """Where a packet finds the services that it asks, as settings name them."""
    return {
        "audit_target": audit.running.address,
        "prompts_target": prompts.running.address,
        "exports_target": exports.running.address,
    }


@pytest.fixture
def packets_settings(packets_settings: PacketsSettings, targets: dict[str, str]) -> PacketsSettings:
    """As everywhere, with the other services where they are."""
    return packets_settings.model_copy(update=targets | {"attempts": 3})


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


async def answered_prompt(prompts: Service, token_for, claim_id: str) -> prompts_pb2.Prompt:
    """Ask ann about a claim, and answer as ann."""
    async with (
        prompts.channel(peer="exports") as ours,
        prompts.channel(peer="cli", token=token_for("ann", "claimant")) as theirs,
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


async def recorded_workflow(exports: Service, claim_id: str, document_id: str, **revision) -> workflows_pb2.Workflow:
    """Record stage 1 of a workflow, or with `workflow_id` and `new_revision` stage 1 anew."""
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
        **revision,
    )
    async with exports.channel(peer="prompts") as channel:
        return (await WorkflowServiceStub(channel).RecordInitialSummary(request)).workflow
