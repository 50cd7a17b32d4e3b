"""The whole stack: real servers, the four services, the edge."""

import asyncio
import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from proofloop_runtime.migrate import migrate

from proofloop_local import contracts
from proofloop_local.authority import TRUST_DOMAIN, Authority
from proofloop_local.errors import ServerError
from proofloop_local.keys import Keys, make_keys
from proofloop_local.receiver import Receiver
from proofloop_local.servers import Database, EnvoyServer, NatsServer, PostgresServer, SeaweedServer, Server, Upstream
from proofloop_local.servers.ports import require_free
from proofloop_local.service import SPOOL, ServiceServer
from proofloop_local.services import SERVICES, Service, Surroundings
from proofloop_local.state import ObjectStore, StackState, sole_stack
from proofloop_local.token import AUDIENCE, ISSUER

TENANTS = ("acme",)
TENANT = r"[a-z0-9-]{1,63}"


def ignore(_event: str) -> None:
    """Report to nobody."""


class Stack:
    """Brings the stack up in a data folder, and down again.

    Args:
        data: Where everything is kept.
        tenants: The tenants it serves.
        port: The edge's port; None for a free one that is kept.
        services: The services to run.
        log_level: Of the services.
        report: Is told each step, in a few words.

    Attributes:
        postgres, nats, objects, receiver: The servers.
        services: The services by name.
        edge: The edge, once the stack is up.
    """

    edge: EnvoyServer

    def __init__(
        self,
        data: Path,
        *,
        tenants: Sequence[str] = TENANTS,
        port: int | None = None,
        services: Sequence[Service] = SERVICES,
        log_level: str = "INFO",
        report: Callable[[str], None] = ignore,
    ) -> None:
        self.data = data.absolute()
        self.postgres = PostgresServer(self.data / "postgres")
        self.nats = NatsServer(self.data / "nats")
        self.objects = SeaweedServer(self.data / "objects")
        self.receiver = Receiver(self.data / "traces")
        self.services = {service.name: self._service(service) for service in services}
        self._tenants = tuple(tenants)
        self._log_origins = [f"{TRUST_DOMAIN}/{tenant}" for tenant in tenants]
        self._port = port
        self._log_level = log_level
        self._report = report
        self._authority = Authority(self.data / "authority")
        self._keys = Keys(self.data / "keys")
        self._databases: dict[str, Database] = {}
        self._migrating = asyncio.Lock()
        self._running = AsyncExitStack()

    async def start(self) -> None:
        """Bring everything up, and return once every service is ready.

        Raises ServerError; what was started is stopped again then.
        """
        wrong = [tenant for tenant in self._tenants if not re.fullmatch(TENANT, tenant)]
        if wrong:
            raise ServerError(f"{wrong[0]!r} is no name for a tenant", "Use lower-case letters, digits and hyphens")
        if self._port is not None:
            require_free(self._port)
        try:
            await self._start()
        except OSError as error:
            place = error.filename or self.data
            raise ServerError(
                f"{place} cannot be used ({error.strerror})", "Choose another folder, or make it yours again"
            ) from error

    async def stop(self) -> None:
        """Stop everything, the edge first, the databases last."""
        await self._running.aclose()

    def replica(self, name: str, instance: int = 1) -> ServiceServer:
        """Another process of a service, not started yet: its own address, the same data. Stop it before the stack."""
        return self._service(self.services[name].service, instance)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    @property
    def servers(self) -> list[Server]:
        """Everything that runs as a process of its own, in the order of the start."""
        return [self.postgres, self.nats, self.objects, *self.services.values(), self.edge]

    @property
    def state(self) -> StackState:
        """Where everything is."""
        return StackState(
            pid=os.getpid(),
            data=self.data,
            edge=self.edge.url,
            services={name: service.address for name, service in self.services.items()},
            tenants=self._tenants,
            databases={name: database.owner_url for name, database in self._databases.items()},
            nats=self.nats.url,
            objects=self._object_store(),
            otlp=self.receiver.endpoint,
        )

    async def _start(self) -> None:
        async with AsyncExitStack() as running:
            running.enter_context(sole_stack(self.data))
            self._authority.credentials("cli")
            self._report("starting PostgreSQL, NATS and SeaweedFS")
            await running.enter_async_context(self.receiver)
            running.push_async_callback(self._stop_parts)
            await self._start_parts()
            self._report("starting the edge")
            self.edge = self._make_edge()
            await running.enter_async_context(self.edge)
            self.state.write()
            self._running = running.pop_all()

    async def _start_parts(self) -> None:
        """Start the servers side by side, and each service as soon as what it needs is there."""
        try:
            async with asyncio.TaskGroup() as group:
                keys = group.create_task(asyncio.to_thread(make_keys, self._keys.folder, self._log_origins))
                objects = group.create_task(self._start_objects())
                nats = group.create_task(self.nats.start())
                await self.postgres.start()
                await nats
                await keys
                for service in self.services.values():
                    service.choose_ports()
                for service in self.services.values():
                    group.create_task(self._start_service(service, objects))
        except* ServerError as failures:
            # One cause in plain words; the rest follows from it.
            raise failures.exceptions[0] from None

    async def _stop_parts(self) -> None:
        """Stop the services side by side, then what they need."""
        await asyncio.gather(*(service.stop() for service in self.services.values()))
        await asyncio.gather(*(server.stop() for server in (self.postgres, self.nats, self.objects)))

    async def _start_objects(self) -> None:
        await self.objects.start()
        for service in self.services.values():
            if service.service.bucket:
                await self.objects.create_bucket(service.service.bucket)

    async def _start_service(self, service: ServiceServer, objects: asyncio.Task[None]) -> None:
        name = service.name
        database = await self.postgres.create_database(name, owner=f"{name}_owner", application=name)
        # Alembic keeps the migration that runs in a global.
        async with self._migrating:
            await migrate(service.service.module, database.owner_url, name)
        self._databases[name] = database
        if service.service.bucket:
            await objects
        self._report(f"starting {name}")
        await service.start()

    def _object_store(self) -> ObjectStore:
        server = self.objects
        return ObjectStore(server.endpoint, server.region, server.access_key, server.secret_key)

    def _service(self, service: Service, instance: int = 0) -> ServiceServer:
        folder = self.data / "services" / (f"{service.name}-{instance}" if instance else service.name)
        return ServiceServer(folder, service, partial(self._settings, service, folder / SPOOL, instance))

    def _settings(self, service: Service, spool: Path, instance: int) -> Mapping[str, str]:
        credentials = self._authority.credentials(service.name)
        around = Surroundings(
            keys=self._keys,
            objects=self._object_store(),
            addresses={name: other.address for name, other in self.services.items()},
            spool=spool,
        )
        return {
            "DATABASE_URL": self._databases[service.name].application_url,
            "NATS_URL": self.nats.url,
            "TLS_CERTIFICATE": str(credentials.certificate),
            "TLS_KEY": str(credentials.key),
            "TLS_AUTHORITY": str(credentials.authority),
            "TRUST_DOMAIN": TRUST_DOMAIN,
            "TOKEN_KEYS": str(self._keys.token_key_set),
            "TOKEN_ISSUER": ISSUER,
            "TOKEN_AUDIENCE": AUDIENCE,
            "TENANTS": json.dumps(self._tenants),
            "OTLP_ENDPOINT": self.receiver.endpoint,
            "LOG_LEVEL": self._log_level,
            "INSTANCE": str(instance),
            **service.settings(around),
        }

    def _make_edge(self) -> EnvoyServer:
        descriptors = contracts.descriptor_set()
        upstreams = [
            Upstream(name, service.port, tuple(contracts.services_of(descriptors, service.service.contract)))
            for name, service in self.services.items()
        ]
        credentials = self._authority.credentials("envoy")
        return EnvoyServer(
            self.data / "edge", upstreams=upstreams, descriptors=descriptors, credentials=credentials, port=self._port
        )
