"""The local stack's servers and services as processes that can be killed, and callers that do not give up."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import grpc
import grpc.aio
import pytest
from proofloop_local.authority import Authority
from proofloop_local.services import SERVICES
from proofloop_local.stack import Stack
from proofloop_runtime.identity import TENANT
from proofloop_runtime.testing import Certificates, Refusal

Operation = Callable[[str], Awaitable[Any]]


@pytest.fixture
def stack_of(tmp_path: Path):
    """Brings up a stack with the services that a test names: `stack.services[name].kill()`, `.start()`, and so on."""

    @asynccontextmanager
    async def start(*names: str) -> AsyncIterator[Stack]:
        services = [service for service in SERVICES if service.name in names]
        async with Stack(tmp_path / "stack", services=services, log_level="WARNING") as stack:
            yield stack

    return start


@pytest.fixture
def connected():
    """A channel to one process of a stack, called by the packets service for the tenant acme; it reconnects at once."""

    @asynccontextmanager
    async def connect(stack: Stack, address: str) -> AsyncIterator[grpc.aio.Channel]:
        files = Authority(stack.data / "authority").credentials("packets")
        tls = Certificates(files.certificate, files.key, files.authority).read()
        options = [
            ("grpc.initial_reconnect_backoff_ms", 50),
            ("grpc.min_reconnect_backoff_ms", 50),
            ("grpc.max_reconnect_backoff_ms", 100),
            ("grpc.enable_retries", 0),
        ]
        channel = grpc.aio.secure_channel(
            address, tls.channel_credentials(), options=options, interceptors=[_ForAcme()]
        )
        async with channel:
            yield channel

    return connect


class _ForAcme(grpc.aio.UnaryUnaryClientInterceptor):
    async def intercept_unary_unary(self, continuation, client_call_details, request):
        return await continuation(client_call_details._replace(metadata=((TENANT, "acme"),)), request)


class Load:
    """Callers in a loop, each repeating its operation under one request id until it is acknowledged.

    Attributes:
        acknowledged: What was answered, by request id.
        refusals: Every other answer.
    """

    def __init__(self, operation: Operation) -> None:
        self.acknowledged: dict[str, Any] = {}
        self.refusals: list[Refusal] = []
        self._operation = operation
        self._ending = False
        self._progress = asyncio.Condition()

    async def proceeds(self, count: int) -> None:
        """Wait until so many more operations were acknowledged."""
        target = len(self.acknowledged) + count
        async with self._progress:
            await self._progress.wait_for(lambda: len(self.acknowledged) >= target)

    async def run(self) -> None:
        while not self._ending:
            request_id = str(uuid4())
            self.acknowledged[request_id] = await self._until_acknowledged(request_id)
            async with self._progress:
                self._progress.notify_all()

    def end(self) -> None:
        """Let every caller finish what it has begun."""
        self._ending = True

    async def _until_acknowledged(self, request_id: str) -> Any:
        while True:
            try:
                return await self._operation(request_id)
            except grpc.aio.AioRpcError as error:
                self.refusals.append(Refusal.of(error))
                await asyncio.sleep(0.05)


@pytest.fixture
def under_load():
    """Runs callers during the block; after it, every operation they began is acknowledged. Patience is in seconds."""

    @asynccontextmanager
    async def calling(operation: Operation, callers: int, patience: float = 240) -> AsyncIterator[Load]:
        load = Load(operation)
        async with asyncio.timeout(patience), asyncio.TaskGroup() as group:
            for _ in range(callers):
                group.create_task(load.run())
            yield load
            load.end()

    return calling
