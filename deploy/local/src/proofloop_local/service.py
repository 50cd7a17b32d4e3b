"""A Proofloop service as a server of the stack."""

import asyncio
import os
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, ClassVar

import grpc.aio
from grpc_health.v1 import health_pb2, health_pb2_grpc

from proofloop_local.process import Child
from proofloop_local.servers.envoy_config import READINESS
from proofloop_local.servers.ports import LOOPBACK
from proofloop_local.servers.server import Server
from proofloop_local.services import Service

PROBE_SECONDS = 1
# Of a service's folder, for files in passing: what a killed predecessor left there goes at the next start.
SPOOL = "spool"


class ServiceServer(Server):
    """`python -m proofloop_<name>` with its settings in the environment.

    `environment` is asked before every start, with the prefix of the variables left out.
    """

    # It takes seconds to start, which asking more often would only prolong.
    poll_seconds: ClassVar[float] = 0.2

    def __init__(self, data: Path, service: Service, environment: Callable[[], Mapping[str, str]]) -> None:
        super().__init__(data, ["grpc", "health"])
        self.title = f"The {service.name} service"
        self.service = service
        self._environment = environment

    @property
    def name(self) -> str:
        """The service's name."""
        return self.service.name

    @property
    def port(self) -> int:
        """The mutual-TLS port."""
        return self._ports["grpc"]

    @property
    def address(self) -> str:
        """`127.0.0.1:port` of the mutual-TLS port."""
        return f"{LOOPBACK}:{self.port}"

    def choose_ports(self) -> None:
        """Settle its address before it starts, so that the others can be told; it stays until it is stopped."""
        self._ports.hold()

    async def _prepare(self) -> None:
        spool = self.data / SPOOL
        await asyncio.to_thread(shutil.rmtree, spool, ignore_errors=True)
        spool.mkdir()

    def _spawn(self, output: IO[bytes]) -> Child:
        prefix = self.service.name.upper()
        own = {
            **self._environment(),
            "LISTEN": self.address,
            "HEALTH_LISTEN": f"{LOOPBACK}:{self._ports['health']}",
        }
        # A service that starts a program of its own leaves nothing of gRPC in it.
        quiet = {"GRPC_ENABLE_FORK_SUPPORT": "0"}
        environment = os.environ | quiet | {f"{prefix}_{name}": value for name, value in own.items()}
        command = [sys.executable, "-m", self.service.module]
        return Child.spawn(command, output=output, environment=environment, death_signal=self.death_signal)

    async def _answers(self) -> bool:
        async with grpc.aio.insecure_channel(f"{LOOPBACK}:{self._ports['health']}") as channel:
            request = health_pb2.HealthCheckRequest(service=READINESS)
            try:
                response = await health_pb2_grpc.HealthStub(channel).Check(request, timeout=PROBE_SECONDS)
            except grpc.aio.AioRpcError:
                return False
        return bool(response.status == health_pb2.HealthCheckResponse.SERVING)
