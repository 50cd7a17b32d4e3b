"""Wires the packets service."""

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509 import load_pem_x509_certificate
from proofloop.audit.v1 import log_service_pb2
from proofloop.audit.v1.log_service_pb2_grpc import LogServiceStub
from proofloop.exports.v1 import workflows_service_pb2
from proofloop.exports.v1.workflows_service_pb2_grpc import WorkflowServiceStub
from proofloop.packets.v1 import (
    claims_service_pb2,
    error_reason_pb2,
    evidence_service_pb2,
    packets_service_pb2,
)
from proofloop.packets.v1.claims_service_pb2_grpc import add_ClaimServiceServicer_to_server
from proofloop.packets.v1.evidence_service_pb2_grpc import add_EvidenceServiceServicer_to_server
from proofloop.packets.v1.packets_service_pb2_grpc import add_PacketServiceServicer_to_server
from proofloop.prompts.v1 import prompts_service_pb2
from proofloop.prompts.v1.prompts_service_pb2_grpc import PromptServiceStub
from proofloop_runtime.application import Application, Components, Runtime, Servicer
from proofloop_runtime.erasure import ErasureInbox
from proofloop_runtime.objects import S3Objects
from proofloop_runtime.wakeup import Wakeup

from proofloop_packets import forgetting
from proofloop_packets.claims.servicer import ClaimServicer
from proofloop_packets.evidence.domain import UploadLimits
from proofloop_packets.evidence.metadata import Limits
from proofloop_packets.evidence.servicer import EvidenceServicer
from proofloop_packets.packets.audit_log import AuditLog
from proofloop_packets.packets.delivery import Delivery
from proofloop_packets.packets.lease import Patience
from proofloop_packets.packets.making import Maker
from proofloop_packets.packets.sealing import Sealer
from proofloop_packets.packets.servicer import PacketServicer
from proofloop_packets.packets.signing import LocalSummarySigner
from proofloop_packets.packets.sources import Sources
from proofloop_packets.packets.verification import Verification, load_keys
from proofloop_packets.packets.watching import Changes
from proofloop_packets.packets.worker import PacketWorker
from proofloop_packets.settings import PacketsSettings
from proofloop_packets.spool import Spool

CLAIMS = claims_service_pb2.DESCRIPTOR.services_by_name["ClaimService"]
EVIDENCE = evidence_service_pb2.DESCRIPTOR.services_by_name["EvidenceService"]
PACKETS = packets_service_pb2.DESCRIPTOR.services_by_name["PacketService"]


async def bootstrap(runtime: Runtime, settings: PacketsSettings) -> Components:
    """Return what the packets service consists of."""
    database, ids = runtime.database, runtime.ids
    objects = S3Objects(settings.s3, runtime.breakers)
    spool = _spool(runtime, settings)
    wakeup = Wakeup(runtime.broker, "proofloop.wake.packets.worker")
    changes = Changes(runtime.broker, runtime.draining)
    sealer = Sealer(objects, spool, load_signer(settings.signer_key, settings.signer_certificate), Limits())
    worker = PacketWorker(
        database,
        runtime.clock,
        ids,
        settings.tenants,
        Patience(lease=settings.lease, attempts=settings.attempts),
        wakeup,
        changes.tell,
        _maker(runtime, settings, sealer).make,
        settings.packets_at_once,
    )
    limits = UploadLimits(settings.file_bytes, settings.claim_files, settings.claim_bytes)
    verification = Verification(
        spool, load_keys(settings.log_keys), settings.packet_bytes, asyncio.Semaphore(settings.packets_at_once)
    )
    packets = PacketServicer(database, ids, changes, Delivery(objects, runtime.clock, wakeup.notify), verification)
    evidence = EvidenceServicer(database, ids, objects, spool, limits, Limits())
    return Components(
        servicers=[
            Servicer(CLAIMS, add_ClaimServiceServicer_to_server, ClaimServicer(database, ids)),
            Servicer(EVIDENCE, add_EvidenceServiceServicer_to_server, evidence),
            Servicer(PACKETS, add_PacketServiceServicer_to_server, packets),
        ],
        consumers=[ErasureInbox(database, runtime.service, forgetting.forget).consumer()],
        workers=[worker.run],
        probes={"object_store": objects.ready},
    )


def load_signer(key: Path, certificate: Path) -> LocalSummarySigner:
    """Read the key that signs summaries, and its certificate, the first of its file.

    Raises:
        ValueError: the key is not RSA.
    """
    private_key = load_pem_private_key(key.read_bytes(), password=None)
    if not isinstance(private_key, RSAPrivateKey):
        raise ValueError(f"{key} holds no RSA key")  # noqa: TRY004 - the content of a file, not a type of ours
    return LocalSummarySigner(private_key, load_pem_x509_certificate(certificate.read_bytes()))


def _maker(runtime: Runtime, settings: PacketsSettings, sealer: Sealer) -> Maker:
    log_service = log_service_pb2.DESCRIPTOR.services_by_name["LogService"]
    prompt_service = prompts_service_pb2.DESCRIPTOR.services_by_name["PromptService"]
    workflow_service = workflows_service_pb2.DESCRIPTOR.services_by_name["WorkflowService"]
    log = LogServiceStub(runtime.channel("audit", settings.audit_target, [log_service]))
    prompts = PromptServiceStub(runtime.channel("prompts", settings.prompts_target, [prompt_service]))
    workflows = WorkflowServiceStub(runtime.channel("exports", settings.exports_target, [workflow_service]))
    return Maker(
        runtime.database,
        runtime.clock,
        AuditLog(log, settings.log_patience),
        Sources(prompts, workflows),
        sealer,
    )


def _spool(runtime: Runtime, settings: PacketsSettings) -> Spool:
    folder = TemporaryDirectory(prefix="proofloop-packets-", dir=settings.spool)
    runtime.resources.callback(folder.cleanup)
    return Spool(Path(folder.name))


application = Application(
    name="packets",
    package="proofloop_packets",
    settings=PacketsSettings,
    reasons=error_reason_pb2.ErrorReason.DESCRIPTOR,
    bootstrap=bootstrap,
)
