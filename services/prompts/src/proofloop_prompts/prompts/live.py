"""Wake-ups for whoever watches a feed, over core NATS.

A wake-up carries nothing and promises nothing: a reader that misses one finds the event at its next look.
"""

import asyncio
from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager

from proofloop_runtime.messaging import LIVE_PREFIX, Broker

from proofloop_prompts.prompts.feed import Recipient


class Live:
    """Wakes the readers of feeds, on every replica."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._sending: set[asyncio.Task[None]] = set()

    def wake(self, tenant: str, recipients: Iterable[Recipient]) -> None:
        """Wake whoever watches one of these feeds; returns at once."""
        task = asyncio.ensure_future(self._send([_subject(tenant, recipient) for recipient in recipients]))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    def listening(
        self, tenant: str, recipient: Recipient, callback: Callable[[], None]
    ) -> AbstractAsyncContextManager[None]:
        """Call back at each wake-up for a feed, inside the block."""
        return self._broker.listening(_subject(tenant, recipient), callback)

    async def _send(self, subjects: list[str]) -> None:
        for subject in subjects:
            await self._broker.wake(subject)


def _subject(tenant: str, recipient: Recipient) -> str:
    return f"{LIVE_PREFIX}.{tenant}.{recipient.key}"
