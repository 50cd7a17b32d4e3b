"""Liveness and readiness by the gRPC health protocol (grpc.health.v1), and the state of each dependency.

The empty service name is liveness: the process answers. `readiness` is SERVING while every dependency is there.
Each dependency is a service name of its own.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta

from grpc_health.v1 import health, health_pb2

from proofloop_runtime.breaker import CLOSED
from proofloop_runtime.errors import TRANSIENT

READINESS = "readiness"
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING

Probe = Callable[[], Awaitable[bool]]

log = logging.getLogger(__name__)


class Health:
    """Asks the dependencies how they are, and tells whoever asks us.

    Args:
        probes: What readiness needs.
        breakers: States of the breakers by dependency. One that is not probed shows by its breaker how it is, and does
            not make us unready: we answer what does not need it.
        interval: How often to ask.
    """

    def __init__(
        self,
        probes: Mapping[str, Probe],
        breakers: Callable[[], Mapping[str, str]] = dict,
        interval: timedelta = timedelta(seconds=2),
    ) -> None:
        self.servicer = health.aio.HealthServicer()  # type: ignore[attr-defined]  # unknown to grpc-stubs
        self._probes = probes
        self._breakers = breakers
        self._interval = interval
        self._draining = False
        self._known: dict[str, bool] = {}

    async def run(self) -> None:
        """Probe for ever."""
        while True:
            await self.probe()
            await asyncio.sleep(self._interval.total_seconds())

    async def probe(self) -> bool:
        """Ask every dependency once; return whether all are there."""
        answers = await asyncio.gather(*(self._ask(probe) for probe in self._probes.values()))
        for name, answer in zip(self._probes, answers, strict=True):
            if self._known.get(name) != answer:
                self._known[name] = answer
                log.log(
                    logging.INFO if answer else logging.WARNING,
                    "dependency changed",
                    extra={"dependency": name, "ready": answer},
                )
            await self.servicer.set(name, SERVING if answer else NOT_SERVING)
        for name, state in self._breakers().items():
            if name not in self._probes:
                await self.servicer.set(name, SERVING if state == CLOSED else NOT_SERVING)
        ready = all(answers) and not self._draining
        await self.servicer.set("", SERVING)
        await self.servicer.set(READINESS, SERVING if ready else NOT_SERVING)
        return ready

    async def drain(self) -> None:
        """Say to everyone that this replica takes no new calls."""
        self._draining = True
        await self.servicer.enter_graceful_shutdown()

    async def _ask(self, probe: Probe) -> bool:
        try:
            async with asyncio.timeout(2):
                return await probe()
        except (*TRANSIENT, OSError):
            return False
