"""Wake-ups: a worker that finds nothing to do sleeps until somebody says that there is, or a while has passed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from proofloop_runtime.messaging import Broker


class Wakeup:
    """Wakes the workers of all replicas. A lost wake-up costs time, never correctness.

    Args:
        broker: Carries the wake-up to the other replicas.
        subject: The NATS subject.
    """

    def __init__(self, broker: Broker, subject: str) -> None:
        self._broker = broker
        self._subject = subject
        self._event = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    def notify(self) -> None:
        """Wake up every replica's worker, ours at once."""
        self._event.set()
        task = asyncio.ensure_future(self._broker.wake(self._subject))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Hear other replicas' wake-ups inside the block."""
        async with self._broker.listening(self._subject, self._event.set):
            yield

    async def wait(self, most: timedelta) -> None:
        """Return at the next wake-up, or at once if one came since the last wait, or after `most`."""
        try:
            async with asyncio.timeout(most.total_seconds()):
                await self._event.wait()
        except TimeoutError:
            return
        finally:
            self._event.clear()
