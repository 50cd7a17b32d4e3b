"""Following a packet while it is made: woken by changes, and looking by itself when nothing wakes it."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from datetime import timedelta

from proofloop_runtime.errors import Draining
from proofloop_runtime.messaging import LIVE_PREFIX, Broker
from proofloop_runtime.wakeup import Wakeup

from proofloop_packets.packets.domain import Packet

POLL = timedelta(seconds=1)
"""How late a change is seen at most whose wake-up was lost."""
HEARTBEAT = timedelta(seconds=15)


class Changes:
    """Tells the replicas' watchers that a packet has changed. A lost word costs time, never a change."""

    def __init__(self, broker: Broker, draining: asyncio.Event) -> None:
        self._broker = broker
        self._draining = draining
        self._telling: set[asyncio.Task[None]] = set()

    def tell(self, tenant: str, packet_id: str) -> None:
        """Say that a packet has changed; does not wait."""
        task = asyncio.ensure_future(self._broker.wake(_subject(tenant, packet_id)))
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def follow(
        self, tenant: str, packet_id: str, read: Callable[[], Awaitable[Packet]]
    ) -> AsyncGenerator[Packet | None]:
        """Yield the packet as it is now, then after every change, until it is final; None is a heartbeat.

        Changes that follow each other fast may come as one.

        Raises:
            Draining: this replica shuts down.
        """
        wakeup = Wakeup(self._broker, _subject(tenant, packet_id))
        loop = asyncio.get_running_loop()
        seen, spoken = 0, loop.time()
        async with wakeup.listening():
            while True:
                packet = await read()
                if packet.version != seen:
                    seen, spoken = packet.version, loop.time()
                    yield packet
                    if packet.state.final:
                        return
                elif loop.time() - spoken >= HEARTBEAT.total_seconds():
                    spoken = loop.time()
                    yield None
                if self._draining.is_set():
                    raise Draining("this replica is shutting down; watch again", retry_after=POLL)
                await wakeup.wait(POLL)


def _subject(tenant: str, packet_id: str) -> str:
    return f"{LIVE_PREFIX}.{tenant}.packet-{packet_id}"
