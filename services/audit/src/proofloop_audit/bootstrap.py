"""Wires the audit service."""

from proofloop.audit.v1 import error_reason_pb2, log_service_pb2, sessions_service_pb2
from proofloop.audit.v1.log_service_pb2_grpc import add_LogServiceServicer_to_server
from proofloop.audit.v1.sessions_service_pb2_grpc import add_SessionServiceServicer_to_server
from proofloop_runtime.application import Application, Components, Runtime, Servicer
from proofloop_runtime.consuming import Consumer
from proofloop_runtime.database import DEPENDENCY, is_unavailable
from proofloop_runtime.erasure import ErasureInbox
from proofloop_runtime.objects import S3Objects
from proofloop_runtime.ports import FileKeyStore

from proofloop_audit.events import CONSUMER, EventLog
from proofloop_audit.log import publication
from proofloop_audit.log.checkpoints import CheckpointSigner, load_signing_key
from proofloop_audit.log.expiry import Expiry
from proofloop_audit.log.exporting import Exporter
from proofloop_audit.log.importing import Importer
from proofloop_audit.log.integrity import self_check
from proofloop_audit.log.integrity.checker import LogChecker
from proofloop_audit.log.integrity.self_check import SelfCheck
from proofloop_audit.log.periods import Periods
from proofloop_audit.log.publication import Publisher
from proofloop_audit.log.retention import Retention
from proofloop_audit.log.sealing import Sealer
from proofloop_audit.log.sequencer import Sequencer
from proofloop_audit.log.servicer import LogServicer
from proofloop_audit.log.subjects import Subjects
from proofloop_audit.sessions import forgetting
from proofloop_audit.sessions.expiry import SessionExpiry
from proofloop_audit.sessions.folding import Folding
from proofloop_audit.sessions.handlers import Book
from proofloop_audit.sessions.servicer import SessionServicer
from proofloop_audit.settings import AuditSettings


async def bootstrap(runtime: Runtime, settings: AuditSettings) -> Components:
    """Return what the audit service consists of."""
    keys = FileKeyStore.load(settings.master_key, runtime.randomness)
    sealer = Sealer(runtime.database, keys, runtime.randomness, Periods(settings.retention, runtime.clock))
    sequencer = Sequencer(
        runtime.database,
        sealer,
        runtime.breakers.get(DEPENDENCY, is_unavailable),
        settings.tenants,
        runtime.clock,
        settings.queue,
    )
    signer = CheckpointSigner(
        runtime.database,
        settings.log_domain,
        load_signing_key(settings.log_key),
        settings.tenants,
        runtime.clock,
        settings.checkpoint_every,
    )
    importer = Importer(sealer, sequencer, settings.queue, runtime.draining)
    exporter = Exporter(runtime.database, sealer, sequencer, runtime.ids, runtime.draining)
    subjects = Subjects(runtime.database, sealer, runtime.ids)
    log = LogServicer(
        runtime.database,
        sealer,
        sequencer,
        importer,
        exporter,
        signer,
        subjects,
        runtime.clock,
        settings.future_skew,
        runtime.catalog,
    )
    events = EventLog(sealer, sequencer, settings.tenants)
    sessions = SessionServicer(runtime.database, Book(runtime.ids, settings.future_skew))
    folding = Folding(runtime.database, settings.tenants)
    objects = None if settings.s3 is None else S3Objects(settings.s3, runtime.breakers)
    publisher = None
    if objects is not None:
        publisher = Publisher(runtime.database, objects, signer, settings.tenants, settings.publish_every)
    retention = Retention(
        runtime.database,
        settings.retention,
        [Expiry(runtime.database, sealer, runtime.ids).sweep, SessionExpiry(runtime.database, sealer).sweep],
        settings.retention_every,
    )
    checker = LogChecker(runtime.database, sealer, signer, objects)
    checking = SelfCheck(
        runtime.database,
        checker,
        settings.tenants,
        runtime.randomness,
        settings.self_check_every,
        settings.self_check_pause,
    )
    return Components(
        servicers=[
            Servicer(log_service_pb2.DESCRIPTOR.services_by_name["LogService"], add_LogServiceServicer_to_server, log),
            Servicer(
                sessions_service_pb2.DESCRIPTOR.services_by_name["SessionService"],
                add_SessionServiceServicer_to_server,
                sessions,
            ),
        ],
        consumers=[
            Consumer(CONSUMER, events.handle),
            ErasureInbox(runtime.database, runtime.service, forgetting.forget).consumer(),
        ],
        workers=[
            sequencer.run,
            signer.run,
            folding.run,
            checking.run,
            *([retention.run] if settings.retention else []),
            *([publisher.run] if publisher else []),
        ],
        probes={
            self_check.PROBE: checking.intact,
            **({publication.PROBE: publisher.intact} if publisher else {}),
        },
    )


application = Application(
    name="audit",
    package="proofloop_audit",
    settings=AuditSettings,
    reasons=error_reason_pb2.ErrorReason.DESCRIPTOR,
    bootstrap=bootstrap,
)
