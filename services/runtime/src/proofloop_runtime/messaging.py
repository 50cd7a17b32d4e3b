"""NATS: the connection, the streams of events and of dead letters, and wake-ups.

Streams use Limits retention, so that every consumer has its own position and events can be replayed.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import timedelta

import nats
import nats.errors
import nats.js.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.api import DiscardPolicy, RetentionPolicy, StorageType, StreamConfig

from proofloop_runtime.breaker import Breakers
from proofloop_runtime.errors import DependencyUnavailable
from proofloop_runtime.events import EVENTS

DEPENDENCY = "nats"
EVENT_STREAM = "PROOFLOOP_EVENTS"
DEAD_LETTER_STREAM = "PROOFLOOP_DEAD_LETTERS"
DEAD_LETTER_PREFIX = "proofloop.dead"
LIVE_PREFIX = "proofloop.live"
MESSAGE_ID = "Nats-Msg-Id"
"""Header by which JetStream drops what it was sent a moment ago."""
CONSUMER_HEADER = "proofloop-consumer"
ERROR_HEADER = "proofloop-error"
REASON_HEADER = "proofloop-reason"
"""What a dead letter says beside the event: who could not handle it, the error's type, its reason."""

_STREAM_AGE = timedelta(days=14)
_RETRY = 0.5
_CLOSE_WAIT = 2.0

log = logging.getLogger(__name__)


def is_unavailable(error: BaseException) -> bool:
    """Tell whether an error says that the broker, and not the message, is at fault."""
    return isinstance(
        error,
        OSError
        | TimeoutError
        | nats.errors.ConnectionClosedError
        | nats.errors.ConnectionReconnectingError
        | nats.errors.NoRespondersError
        | nats.errors.NoServersError
        | nats.errors.OutboundBufferLimitError
        | nats.errors.StaleConnectionError
        | nats.errors.TimeoutError
        | nats.js.errors.NoStreamResponseError
        | nats.js.errors.ServerError
        | nats.js.errors.ServiceUnavailableError,
    )


class Broker:
    """The connection of one process to NATS. It connects in the background and for ever tries again."""

    def __init__(self, url: str, service: str, breakers: Breakers) -> None:
        self._url = url
        self._service = service
        self._breaker = breakers.get(DEPENDENCY, is_unavailable)
        self._client = Client()
        self._making_streams: asyncio.Task[None] | None = None

    @property
    def client(self) -> Client:
        """The connection itself, for who takes messages."""
        return self._client

    @property
    def connected(self) -> bool:
        """Tell whether the connection stands."""
        return self._client.is_connected

    async def connect(self) -> None:
        """Connect, and make the streams that are missing. Waits until NATS is there."""

        async def on_error(error: Exception) -> None:
            log.warning("broker connection failed", extra={"error_type": type(error).__name__})

        async def on_reconnect() -> None:
            # In a task of its own: the client goes on only when its callback has returned.
            self._making_streams = asyncio.ensure_future(self._make_streams())

        await self._client.connect(
            self._url,
            name=f"proofloop-{self._service}",
            error_cb=on_error,
            reconnected_cb=on_reconnect,
            max_reconnect_attempts=-1,
            reconnect_time_wait=1,
            connect_timeout=2,
            allow_reconnect=True,
        )
        await self._make_streams()

    async def _make_streams(self) -> None:
        while True:
            try:
                await self._add_streams()
            except (nats.errors.Error, OSError) as error:
                log.warning("cannot make the streams yet", extra={"error_type": type(error).__name__})
                await asyncio.sleep(_RETRY)
            else:
                return

    async def _add_streams(self) -> None:
        jetstream = self._client.jetstream()
        for name, subject in ((EVENT_STREAM, EVENTS), (DEAD_LETTER_STREAM, f"{DEAD_LETTER_PREFIX}.>")):
            config = StreamConfig(
                name=name,
                subjects=[subject],
                retention=RetentionPolicy.LIMITS,
                discard=DiscardPolicy.OLD,
                storage=StorageType.FILE,
                max_age=_STREAM_AGE.total_seconds(),
                duplicate_window=120,
            )
            try:
                await jetstream.add_stream(config)
            except nats.js.errors.BadRequestError:
                # It is there with other settings: an operator's choice, or an earlier version's.
                log.info("the stream keeps its settings", extra={"stream": name})

    async def publish(self, subject: str, headers: Mapping[str, str], data: bytes) -> None:
        """Hand a message to the stream; returns when the server has it on disk.

        Raises:
            DependencyUnavailable: it has not, as far as is known; publish again with the same `Nats-Msg-Id`.
        """
        if not self.connected:
            # The client would keep it and send it later, past others that were sent again meanwhile.
            raise DependencyUnavailable(DEPENDENCY)
        try:
            with self._breaker.calling():
                await self._client.jetstream().publish(subject, data, timeout=5, headers=dict(headers))
        except Exception as error:
            if is_unavailable(error):
                raise DependencyUnavailable(DEPENDENCY) from error
            raise

    async def wake(self, subject: str) -> None:
        """Wake whoever listens on a subject. Nothing is promised: listeners also look by themselves."""
        if self._client.is_connected:
            with suppress(nats.errors.Error, OSError):
                await self._client.publish(subject)

    @asynccontextmanager
    async def listening(self, subject: str, callback: Callable[[], None]) -> AsyncIterator[None]:
        """Call back at each wake-up on a subject, inside the block."""

        async def on_message(_message: Msg) -> None:
            callback()

        subscription = await self._client.subscribe(subject, cb=on_message)
        try:
            yield
        finally:
            if not self._client.is_closed:
                await subscription.unsubscribe()

    async def close(self) -> None:
        """Close the connection; a server that reads no more is not waited for."""
        if self._making_streams is not None:
            self._making_streams.cancel()
        with suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_WAIT):
                await self._client.close()
