"""A service in this process, on free ports, against real servers."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc.aio
from google.protobuf.descriptor import ServiceDescriptor

from proofloop_runtime.application import Application, Ports, SettingsT
from proofloop_runtime.breaker import Breakers
from proofloop_runtime.client import TlsFiles, open_channel
from proofloop_runtime.identity import TENANT
from proofloop_runtime.ports import SystemClock
from proofloop_runtime.server import Running, serve


@dataclass(frozen=True, slots=True)
class Certificates:
    """PEM files of one party."""

    certificate: Path
    key: Path
    authority: Path

    def read(self) -> TlsFiles:
        """Return their contents."""
        return TlsFiles(self.certificate.read_bytes(), self.key.read_bytes(), self.authority.read_bytes())


@dataclass(frozen=True, slots=True)
class Service:
    """A service that serves, and ways to call it.

    Attributes:
        name: Its name.
        running: Its addresses.
        contracts: What it serves.
        certificates: Gives the files of any party.
    """

    name: str
    running: Running
    contracts: Sequence[ServiceDescriptor]
    certificates: Callable[[str], Certificates]

    @asynccontextmanager
    async def channel(
        self, peer: str = "packets", tenant: str | None = "acme", token: str | None = None
    ) -> AsyncIterator[grpc.aio.Channel]:
        """Open a channel as a service of this name, or with a person's token."""
        headers = () if tenant is None else ((TENANT, tenant),)
        channel = open_channel(
            self.running.address,
            self.name,
            self.contracts,
            self.certificates(peer).read(),
            Breakers(SystemClock()),
            lambda: token,
            headers=headers,
        )
        async with channel:
            yield channel


@asynccontextmanager
async def serving(
    application: Application[SettingsT],
    settings: SettingsT,
    contracts: Sequence[ServiceDescriptor],
    certificates: Callable[[str], Certificates],
    ports: Ports | None = None,
) -> AsyncIterator[Service]:
    """Serve inside the block."""
    async with serve(application, settings, ports) as running:
        yield Service(application.name, running, contracts, certificates)
