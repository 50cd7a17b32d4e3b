"""NATS: the event stream, durable consumers that act exactly once in effect, and wake-ups.

Streams use Limits retention, so that every consumer has its own position and events can be replayed. A message that no
delivery can help goes to the dead-letter stream with its reason.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import quote

import nats
import nats.errors
import nats.js.errors
from nats.aio.msg import Msg
from nats.js.api import AckPolicy, ConsumerConfig, DiscardPolicy, RetentionPolicy, StorageType, StreamConfig

from proofloop_runtime import telemetry
from proofloop_runtime.breaker import Breakers
from proofloop_runtime.errors import TRANSIENT, DependencyUnavailable
from proofloop_runtime.events import EVENTS, Envelope, MalformedEvent
from proofloop_runtime.nats_client import Client
from proofloop_runtime.pulling import Pull

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
_RETRY_DELAYS = tuple(timedelta(seconds=s) for s in (1, 5, 30, 120))
_MOST_DELIVERIES = 20
"""After so many, what fails without being unavailable is poison: about half an hour."""
_RETRY = 0.5
_CLOSE_WAIT = 2.0
_LONGEST_REASON = 500

log = logging.getLogger(__name__)

Handler = Callable[[Sequence[Envelope]], Awaitable[Sequence[Exception | None]]]
"""Takes a batch; returns, for each event, None when its effect is committed, or why it is not."""


class PermanentFailure(Exception):
    """An event that no delivery can help; it goes to the dead-letter stream."""


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


@dataclass(frozen=True, slots=True)
class Consumer:
    """A durable position in the event stream.

    Attributes:
        name: Durable name; replicas of a service share it and thereby the work.
        handler: What to do with a batch.
        subject: Which events.
        batch: Most events handed over at once.
    """

    name: str
    handler: Handler
    subject: str = EVENTS
    batch: int = 200


class Broker:
    """The connection of one process to NATS. It connects in the background and for ever tries again."""

    def __init__(self, url: str, service: str, breakers: Breakers) -> None:
        self._url = url
        self._service = service
        self._breaker = breakers.get(DEPENDENCY, is_unavailable)
        self._client = Client()
        self._making_streams: asyncio.Task[None] | None = None

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

    async def consume(self, consumer: Consumer) -> None:
        """Take events, for ever: take a batch, let the handler act, acknowledge what it committed."""
        while True:
            await self._ensure(consumer)
            pull = Pull(self._client, EVENT_STREAM, consumer.name, consumer.batch)
            async with pull.listening():
                while messages := await self._take(pull):
                    await self._handle(consumer, messages)

    async def _take(self, pull: Pull) -> list[Msg]:
        """Return the next messages; none when the server went away or lost the consumer, which is waited for then."""
        try:
            return await pull.take()
        except (nats.errors.Error, OSError) as error:
            log.warning("cannot fetch events", extra={"error_type": type(error).__name__})
            return []

    async def _ensure(self, consumer: Consumer) -> None:
        """Make the durable position if there is none."""
        config = ConsumerConfig(
            name=consumer.name,
            durable_name=consumer.name,
            filter_subject=consumer.subject,
            ack_policy=AckPolicy.EXPLICIT,
            ack_wait=30,
            max_ack_pending=4 * consumer.batch,
            max_deliver=-1,
        )
        jetstream = self._client.jetstream()
        while True:
            try:
                try:
                    await jetstream.consumer_info(EVENT_STREAM, consumer.name)
                except nats.js.errors.NotFoundError:
                    await jetstream.add_consumer(EVENT_STREAM, config)
            except (nats.errors.Error, OSError) as error:
                log.warning("cannot subscribe yet", extra={"error_type": type(error).__name__})
                await asyncio.sleep(_RETRY)
            else:
                return

    async def _handle(self, consumer: Consumer, messages: Sequence[Msg]) -> None:
        events: list[tuple[Msg, Envelope]] = []
        for message in messages:
            try:
                events.append((message, Envelope.parse(message.headers, message.data)))
            except MalformedEvent as error:
                await self._bury(consumer, message, error)
        if not events:
            return
        outcomes = await self._outcomes(consumer, [event for _, event in events])
        for name, count in Counter(type(failure).__name__ if failure else "done" for failure in outcomes).items():
            telemetry.consumed.add(count, {"consumer": consumer.name, "outcome": name})
        for (message, event), failure in zip(events, outcomes, strict=True):
            if failure is None:
                await message.ack()
            elif isinstance(failure, PermanentFailure) or self._is_poison(message, failure):
                await self._bury(consumer, message, failure)
            else:
                delivered = message.metadata.num_delivered
                log.warning(
                    "event not handled yet",
                    extra={
                        "event_id": event.event_id,
                        "error_type": type(failure).__name__,
                        "delivered": delivered,
                    },
                )
                await self._later(message)

    async def _outcomes(self, consumer: Consumer, events: Sequence[Envelope]) -> Sequence[Exception | None]:
        try:
            return await consumer.handler(events)
        # A handler that raises has a defect, or met an event that shows one: the others must not wait behind it.
        except Exception as error:
            if len(events) > 1:
                return [outcome for event in events for outcome in await self._outcomes(consumer, [event])]
            log.exception("event not handled", extra={"consumer": consumer.name, "event_id": events[0].event_id})
            return [error]

    @staticmethod
    def _is_poison(message: Msg, failure: Exception) -> bool:
        return message.metadata.num_delivered >= _MOST_DELIVERIES and not isinstance(failure, TRANSIENT)

    @staticmethod
    async def _later(message: Msg) -> None:
        delay = _RETRY_DELAYS[min(message.metadata.num_delivered, len(_RETRY_DELAYS)) - 1]
        await message.nak(delay=delay.total_seconds())

    async def _bury(self, consumer: Consumer, message: Msg, error: Exception) -> None:
        """Move a message to the dead-letter stream; it is acknowledged only when it is safe there."""
        sequence = message.metadata.sequence.stream
        headers = {
            **(message.headers or {}),
            MESSAGE_ID: f"{consumer.name}-{sequence}",
            CONSUMER_HEADER: consumer.name,
            ERROR_HEADER: type(error).__name__,
        }
        if isinstance(error, PermanentFailure | MalformedEvent):
            headers[REASON_HEADER] = quote(str(error)[:_LONGEST_REASON], safe=" '(),:")
        log.error("event moved to the dead letters", extra={"consumer": consumer.name, "stream_sequence": sequence})
        try:
            await self.publish(f"{DEAD_LETTER_PREFIX}.{message.subject}", headers, message.data)
        except DependencyUnavailable:
            await self._later(message)
        else:
            await message.ack()

    async def close(self) -> None:
        """Close the connection; a server that reads no more is not waited for."""
        if self._making_streams is not None:
            self._making_streams.cancel()
        with suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_WAIT):
                await self._client.close()
