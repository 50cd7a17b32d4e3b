"""What a service tells of itself, and what it is given: all that it is made of is wired between the two."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import grpc.aio
from google.protobuf.descriptor import EnumDescriptor, ServiceDescriptor

from proofloop_runtime.breaker import Breakers
from proofloop_runtime.client import TlsFiles, TokenSource, as_itself, open_channel
from proofloop_runtime.consuming import Consumer
from proofloop_runtime.database import Database
from proofloop_runtime.errors import ErrorCatalog
from proofloop_runtime.health import Probe
from proofloop_runtime.messaging import Broker
from proofloop_runtime.ports import Clock, Ids, Randomness, SystemClock, SystemIds, SystemRandomness
from proofloop_runtime.settings import ServiceSettings

SettingsT = TypeVar("SettingsT", bound=ServiceSettings)


@dataclass(frozen=True, slots=True)
class Servicer:
    """One gRPC service to serve.

    Attributes:
        descriptor: Its contract.
        register: `add_…_to_server` of its stubs.
        implementation: The servicer.
    """

    descriptor: ServiceDescriptor
    register: Callable[[Any, Any], None]
    implementation: object


@dataclass(frozen=True, slots=True)
class Components:
    """What a service consists of.

    Attributes:
        servicers: What it serves.
        consumers: What it does with events.
        workers: What it does by itself, each for as long as the service lives.
        probes: Dependencies of its own, by name.
    """

    servicers: Sequence[Servicer]
    consumers: Sequence[Consumer] = ()
    workers: Sequence[Callable[[], Awaitable[None]]] = ()
    probes: Mapping[str, Probe] = field(default_factory=dict)


@dataclass(slots=True)
class Runtime:
    """What the runtime gives to a service's bootstrap."""

    service: str
    settings: ServiceSettings
    catalog: ErrorCatalog
    clock: Clock
    ids: Ids
    randomness: Randomness
    breakers: Breakers
    database: Database
    broker: Broker
    draining: asyncio.Event
    resources: AsyncExitStack
    tls: TlsFiles

    def channel(
        self,
        dependency: str,
        target: str,
        services: Sequence[ServiceDescriptor],
        token: TokenSource = as_itself,
    ) -> grpc.aio.Channel:
        """Open a channel to another service; it closes with this one."""
        channel = open_channel(target, dependency, services, self.tls, self.breakers, token)
        self.resources.push_async_callback(channel.close, None)
        return channel


@dataclass(frozen=True, slots=True)
class Application(Generic[SettingsT]):
    """A service, before it lives.

    Attributes:
        name: Its name in certificates, subjects and telemetry.
        package: The Python package that holds its `migrations`.
        settings: Its settings class.
        reasons: Its `ErrorReason` enum.
        bootstrap: Wires its components.
    """

    name: str
    package: str
    settings: type[SettingsT]
    reasons: EnumDescriptor
    bootstrap: Callable[[Runtime, SettingsT], Awaitable[Components]]


@dataclass(frozen=True, slots=True)
class Ports:
    """What varies between production and tests."""

    clock: Clock = field(default_factory=SystemClock)
    ids: Ids = field(default_factory=SystemIds)
    randomness: Randomness = field(default_factory=SystemRandomness)
