"""Taking messages from a durable JetStream consumer, a batch ahead of whoever handles them."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.api import Header, StatusCode
from nats.js.errors import APIError

_EXPIRES = timedelta(seconds=5)
"""How long the server keeps a request for messages that are not there yet."""
_PATIENCE = timedelta(seconds=1)
"""How much later a request that the server said no more about is taken to be lost."""
_OVER = (StatusCode.NO_MESSAGES, StatusCode.REQUEST_TIMEOUT)


class Pull:
    """Asks for a batch at a time: for the next one when a batch is taken, so that it comes while that one is handled.

    The client's own `fetch` makes a task, a timer and a random name for each message: that costs more than to parse it.

    Args:
        client: The connection.
        stream: The stream.
        consumer: Durable name of the consumer.
        batch: Most messages on the way or untaken.
    """

    def __init__(self, client: Client, stream: str, consumer: str, batch: int) -> None:
        self._client = client
        self._subject = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}"
        self._request = json.dumps({"batch": batch, "expires": int(_EXPIRES.total_seconds() * 1e9)}).encode()
        self._batch = batch
        self._inbox = client.new_inbox()
        self._arrived: list[Msg] = []
        self._expected = 0
        """Messages that were asked for and may still come."""
        self._due = 0.0
        """When the request is over at the latest, by the event loop's clock."""
        self._failure: Msg | None = None
        self._news = asyncio.Event()

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Receive what is asked for inside the block, and hand back what nobody has taken."""
        subscription = await self._client.subscribe(self._inbox, cb=self._on_message)
        try:
            yield
        finally:
            with suppress(nats.errors.Error, OSError):
                await subscription.unsubscribe()
                for message in self._arrived:
                    await message.nak()

    async def take(self) -> list[Msg]:
        """Wait for messages; return those that have come, in order.

        Raises:
            nats.errors.Error: the consumer is gone, or the connection.
        """
        while True:
            taken, self._arrived = self._arrived[: self._batch], self._arrived[self._batch :]
            if not taken and self._failure is not None:
                APIError.from_msg(self._failure)
            if not self._arrived and (self._expected <= 0 or asyncio.get_running_loop().time() >= self._due):
                await self._ask()
            if taken:
                return taken
            await self._wait()

    async def _ask(self) -> None:
        self._expected = self._batch
        self._due = asyncio.get_running_loop().time() + (_EXPIRES + _PATIENCE).total_seconds()
        await self._client.publish(self._subject, self._request, reply=self._inbox)

    async def _wait(self) -> None:
        self._news.clear()
        try:
            async with asyncio.timeout_at(self._due):
                await self._news.wait()
        except TimeoutError:
            return

    async def _on_message(self, message: Msg) -> None:
        if message.reply:
            self._arrived.append(message)
            self._expected -= 1
        # What has nothing to reply to is no message of the stream: the server tells how the request ended.
        elif (message.headers or {}).get(Header.STATUS) in _OVER:
            self._expected = 0
        else:
            self._failure = message
        self._news.set()
