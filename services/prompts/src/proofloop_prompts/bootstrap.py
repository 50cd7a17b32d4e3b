"""Wires the prompts service."""

from proofloop.prompts.v1 import error_reason_pb2, prompts_service_pb2
from proofloop.prompts.v1.prompts_service_pb2_grpc import add_PromptServiceServicer_to_server
from proofloop_runtime.application import Application, Components, Runtime, Servicer
from proofloop_runtime.erasure import ErasureInbox
from proofloop_runtime.wakeup import Wakeup

from proofloop_prompts.prompts import forgetting
from proofloop_prompts.prompts.expiry import Expiry
from proofloop_prompts.prompts.inbox import FeedInbox
from proofloop_prompts.prompts.journal import Journal
from proofloop_prompts.prompts.live import Live
from proofloop_prompts.prompts.retention import Retention
from proofloop_prompts.prompts.servicer import Limits, PromptServicer
from proofloop_prompts.prompts.streams import Streams
from proofloop_prompts.prompts.watch import Watch
from proofloop_prompts.settings import PromptsSettings


async def bootstrap(runtime: Runtime, settings: PromptsSettings) -> Components:
    """Return what the prompts service consists of."""
    database = runtime.database
    live = Live(runtime.broker)
    journal = Journal(runtime.ids, live)
    expiry = Expiry(
        database,
        journal,
        Wakeup(runtime.broker, "proofloop.wake.prompts.expiry"),
        runtime.clock,
        settings.tenants,
        look=settings.expiry_look,
        batch=settings.expiry_batch,
    )
    watch = Watch(
        database,
        journal,
        live,
        runtime.draining,
        heartbeat=settings.heartbeat,
        poll=settings.watch_poll,
    )
    streams = Streams(per_caller=settings.streams_per_caller, total=settings.streams)
    limits = Limits(lifetime=settings.lifetime, stall=settings.watch_stall)
    prompts = PromptServicer(database, journal, expiry, watch, streams, runtime.clock, limits)
    retention = Retention(database, runtime.clock, settings.tenants, settings.feed_retention)
    service = prompts_service_pb2.DESCRIPTOR.services_by_name["PromptService"]
    return Components(
        servicers=[Servicer(service, add_PromptServiceServicer_to_server, prompts)],
        consumers=[
            FeedInbox(database, journal).consumer(),
            ErasureInbox(database, runtime.service, forgetting.forget).consumer(),
        ],
        workers=[expiry.run, retention.run],
    )


application = Application(
    name="prompts",
    package="proofloop_prompts",
    settings=PromptsSettings,
    reasons=error_reason_pb2.ErrorReason.DESCRIPTOR,
    bootstrap=bootstrap,
)
