"""The life of a service: settings → telemetry → database → broker → servicers → health, reflection → serve → drain.

`run` does this for every `Application` alike.
"""

import asyncio
import gc
import logging
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio
import uvloop
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2_grpc
from pydantic import ValidationError

from proofloop_runtime import contract, telemetry
from proofloop_runtime import logging as structured_logging
from proofloop_runtime.application import Application, Components, Ports, Runtime, SettingsT
from proofloop_runtime.breaker import Breakers
from proofloop_runtime.client import TlsFiles
from proofloop_runtime.consuming import Intake
from proofloop_runtime.database import Database
from proofloop_runtime.errors import ErrorCatalog
from proofloop_runtime.health import Health, Probe
from proofloop_runtime.housekeeping import Housekeeping
from proofloop_runtime.identity import Authenticator, TokenVerifier
from proofloop_runtime.interceptors.call import Guard
from proofloop_runtime.interceptors.deadline import Deadlines
from proofloop_runtime.interceptors.errors import Errors
from proofloop_runtime.interceptors.identity import Identity, access
from proofloop_runtime.interceptors.pipeline import Pipeline
from proofloop_runtime.interceptors.rate_limit import Rate, RateLimit
from proofloop_runtime.interceptors.tracing import Tracing
from proofloop_runtime.interceptors.validation import validation
from proofloop_runtime.messaging import Broker
from proofloop_runtime.migrate import is_recent_enough
from proofloop_runtime.outbox import OutboxRelay
from proofloop_runtime.refusals import Refusals
from proofloop_runtime.settings import ServiceSettings
from proofloop_runtime.tasks import cancel

MAX_MESSAGE = 4 * 1024 * 1024
"""Largest request, in bytes; gRPC refuses a larger one with RESOURCE_EXHAUSTED before it is read into memory."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Running:
    """A service that serves.

    Attributes:
        address: Of the mutual-TLS port.
        health_address: Of the health-only port.
        failed: Is done when a worker of the service has failed.
    """

    address: str
    health_address: str
    failed: asyncio.Future[None]


def run(application: Application[Any]) -> None:
    """Serve until SIGTERM or SIGINT, then drain.

    The process exits with 1 when a worker fails or the service cannot start, so that whoever runs it starts it anew.
    """
    try:
        settings = application.settings()
    except ValidationError as error:
        # Names the variables and what is wrong with them, never their values.
        sys.exit(f"{application.name}: {error}")
    structured_logging.configure(application.name, settings.instance, settings.log_level)
    exporters = telemetry.Telemetry(application.name, settings.instance, settings.otlp_endpoint)
    exporters.install()
    try:
        uvloop.run(_serve_until_signal(application, settings))
    # The last line of the log; Python's own report would show the values in the error's text.
    except Exception:
        log.critical("the service failed", exc_info=True)
        sys.exit(1)
    finally:
        exporters.shutdown()


async def _serve_until_signal(application: Application[Any], settings: ServiceSettings) -> None:
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(_log_unhandled)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        starting = asyncio.ensure_future(stack.enter_async_context(serve(application, settings)))
        stopping = asyncio.ensure_future(stop.wait())
        await asyncio.wait((starting, stopping), return_when=asyncio.FIRST_COMPLETED)
        if not starting.done():
            # It still waits for a dependency; nobody waits for it.
            starting.cancel()
            return
        running = starting.result()
        await asyncio.wait((stopping, running.failed), return_when=asyncio.FIRST_COMPLETED)
        if running.failed.done():
            running.failed.result()


def _log_unhandled(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log what nobody waited for; asyncio's own message would show the values in the error's text."""
    error = context.get("exception")
    log.error("unhandled in the background", exc_info=error, extra={"error_type": type(error).__name__})


@asynccontextmanager
async def serve(
    application: Application[SettingsT], settings: SettingsT, ports: Ports | None = None
) -> AsyncIterator[Running]:
    """Serve inside the block, and drain when it ends."""
    ports = ports or Ports()
    async with AsyncExitStack() as resources:
        runtime = await _assemble(application, settings, ports, resources)
        components = await application.bootstrap(runtime, settings)
        refusals = Refusals(runtime.database, settings.tenants, runtime.catalog, ports.clock)
        health = Health(_probes(application, runtime, components), runtime.breakers.states)
        server, address = _grpc_server(runtime, components, refusals, health)
        health_server, health_address = _health_server(settings, health)
        relay = OutboxRelay(runtime.database, runtime.broker, settings.tenants, application.name, ports.clock)
        failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        workers: list[Callable[[], Awaitable[None]]] = [
            relay.run,
            Housekeeping(runtime.database, settings.tenants, ports.clock).run,
            refusals.run,
            health.run,
            *components.workers,
            *(Intake(runtime.broker, consumer).run for consumer in components.consumers),
        ]
        tasks = [_supervise(worker, failed) for worker in workers]
        resources.push_async_callback(cancel, tasks)
        await health.probe()
        await server.start()
        await health_server.start()
        settle_garbage()
        log.info("serving", extra={"address": address, "health_address": health_address})
        try:
            yield Running(address, health_address, failed)
        finally:
            log.info("draining")
            await health.drain()
            runtime.draining.set()
            await server.stop(settings.drain.total_seconds())
            await health_server.stop(0)
            failed.cancel()


async def _assemble(
    application: Application[Any], settings: ServiceSettings, ports: Ports, resources: AsyncExitStack
) -> Runtime:
    def breaker_changed(dependency: str, state: str) -> None:
        log.warning("breaker changed", extra={"dependency": dependency, "state": state})
        telemetry.breaker_changes.add(1, {telemetry.DEPENDENCY: dependency, telemetry.BREAKER_STATE: state})

    breakers = Breakers(ports.clock, changed=breaker_changed)
    database = Database(
        settings.database_url.get_secret_value(),
        application.name,
        ports.clock,
        breakers,
        settings.database_pool,
    )
    resources.push_async_callback(database.close)
    broker = Broker(settings.nats_url.get_secret_value(), application.name, breakers)
    await broker.connect()
    resources.push_async_callback(broker.close)
    tls = TlsFiles(
        settings.tls_certificate.read_bytes(),
        settings.tls_key.read_bytes(),
        settings.tls_authority.read_bytes(),
    )
    return Runtime(
        service=application.name,
        settings=settings,
        catalog=ErrorCatalog(f"{application.name}.proofloop", application.reasons),
        clock=ports.clock,
        ids=ports.ids,
        randomness=ports.randomness,
        breakers=breakers,
        database=database,
        broker=broker,
        draining=asyncio.Event(),
        resources=resources,
        tls=tls,
    )


def _grpc_server(
    runtime: Runtime, components: Components, refusals: Refusals, health: Health
) -> tuple[grpc.aio.Server, str]:
    settings = runtime.settings
    services = [servicer.descriptor for servicer in components.servicers]
    tokens = TokenVerifier.load(settings.token_keys, settings.token_issuer, settings.token_audience)
    authenticator = Authenticator(
        settings.trust_domain,
        tokens,
        settings.service_peers,
        settings.token_peers,
        frozenset(settings.tenants),
    )
    guards: list[Guard] = [
        Identity(authenticator, settings.edge_peers),
        RateLimit(
            Rate(settings.person_rate, int(2 * settings.person_rate) + 1),
            Rate(settings.service_rate, int(2 * settings.service_rate) + 1),
            time.monotonic,
        ),
        access,
        validation,
    ]
    loop = asyncio.get_running_loop()
    pipeline = Pipeline(
        contract.read(services),
        Tracing(loop),
        Errors(runtime.catalog, runtime.ids, refusals.record),
        Deadlines(settings.default_deadline, settings.longest_deadline, loop),
        guards,
    )
    server = grpc.aio.server(
        options=[
            ("grpc.max_receive_message_length", MAX_MESSAGE),
            ("grpc.so_reuseport", 0),
            # A peer that vanished without a word is found out by pings, and its streams end.
            ("grpc.keepalive_time_ms", 30_000),
            ("grpc.keepalive_timeout_ms", 10_000),
            # Our own clients ping as often, also on a stream that is quiet for long.
            ("grpc.http2.min_ping_interval_without_data_ms", 20_000),
        ],
    )
    server.add_generic_rpc_handlers((pipeline,))
    for servicer in components.servicers:
        servicer.register(servicer.implementation, pipeline)
    health_pb2_grpc.add_HealthServicer_to_server(health.servicer, pipeline)
    names = [service.full_name for service in (*services, health_pb2.DESCRIPTOR.services_by_name["Health"])]
    reflector = reflection.aio.ReflectionServicer(  # type: ignore[attr-defined]  # unknown to grpc-stubs
        [*names, reflection.SERVICE_NAME]
    )
    reflection_pb2_grpc.add_ServerReflectionServicer_to_server(reflector, pipeline)
    return server, _bind(server, settings.listen, runtime.tls.server_credentials())


def _health_server(settings: ServiceSettings, health: Health) -> tuple[grpc.aio.Server, str]:
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    health_pb2_grpc.add_HealthServicer_to_server(health.servicer, server)
    return server, _bind(server, settings.health_listen, None)


def _bind(server: grpc.aio.Server, address: str, credentials: grpc.ServerCredentials | None) -> str:
    host = address.rpartition(":")[0]
    port = server.add_secure_port(address, credentials) if credentials else server.add_insecure_port(address)
    return f"{host}:{port}"


def _probes(application: Application[Any], runtime: Runtime, components: Components) -> dict[str, Probe]:
    async def postgresql() -> bool:
        return is_recent_enough(application.package, await runtime.database.revision())

    async def nats() -> bool:
        return runtime.broker.connected

    return {"postgresql": postgresql, "nats": nats, **components.probes}


def settle_garbage() -> None:
    """Keep what was loaded at start out of every garbage collection, and collect less often.

    A service holds half a million objects of libraries that never die; walking them at each full collection costs
    more than the calls themselves.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def _supervise(worker: Callable[[], Awaitable[None]], failed: "asyncio.Future[None]") -> "asyncio.Task[None]":
    """Run a worker; its failure is the service's failure, for a service without it would only seem to work."""

    async def work() -> None:
        await worker()

    def on_done(task: "asyncio.Task[None]") -> None:
        if task.cancelled():
            return
        error = task.exception() or RuntimeError("a worker returned")
        log.critical("a worker failed", exc_info=error)
        if not failed.done():
            failed.set_exception(error)

    task = asyncio.ensure_future(work())
    task.add_done_callback(on_done)
    return task
