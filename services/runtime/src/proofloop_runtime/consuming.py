"""Durable consumers of the event stream that act exactly once in effect.

A message that no delivery can help goes to the dead-letter stream with its reason.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar
from urllib.parse import quote

import nats.errors
import nats.js.errors
from nats.aio.msg import Msg
from nats.js.api import AckPolicy, ConsumerConfig

from proofloop_runtime import telemetry
from proofloop_runtime.errors import TRANSIENT, DependencyUnavailable
from proofloop_runtime.events import EVENTS, Envelope, MalformedEvent
from proofloop_runtime.messaging import (
    CONSUMER_HEADER,
    DEAD_LETTER_PREFIX,
    ERROR_HEADER,
    EVENT_STREAM,
    MESSAGE_ID,
    REASON_HEADER,
    Broker,
)
from proofloop_runtime.pulling import Pull

_ACK_WAIT = timedelta(seconds=10)
"""What a replica took and neither acknowledged nor handed back, because it died, goes to another after so long."""
_RETRY_DELAYS = tuple(timedelta(seconds=s) for s in (1, 5, 30, 120))
_MOST_DELIVERIES = 20
"""After so many, what fails without being unavailable is poison: about half an hour."""
_RETRY = 0.5
_LONGEST_REASON = 500

log = logging.getLogger(__name__)

Outcomes = Sequence[Exception | None]
"""For each event of a batch, None when its effect is committed, or why it is not."""
Handler = Callable[[Sequence[Envelope]], Awaitable[Outcomes | asyncio.Future[Outcomes]]]
"""Takes a batch; returns its outcomes, or a future of them once the order of its effects is settled.

While that future is waited for, the next batch is handed over. To a handler that returns outcomes, batches come one
after the other.
"""
AnswerT = TypeVar("AnswerT")


class PermanentFailure(Exception):
    """An event that no delivery can help; it goes to the dead-letter stream."""


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


class Intake:
    """One consumer's taking of events.

    Args:
        broker: The connection.
        consumer: Who takes.
    """

    def __init__(self, broker: Broker, consumer: Consumer) -> None:
        self._broker = broker
        self._consumer = consumer

    async def run(self) -> None:
        """Take events, for ever: take a batch, let the handler act, acknowledge what it committed."""
        while True:
            await self._ensure()
            pull = Pull(self._broker.client, EVENT_STREAM, self._consumer.name, self._consumer.batch)
            async with pull.listening(), asyncio.TaskGroup() as group:
                settling: asyncio.Task[None] | None = None
                while messages := await self._take(pull):
                    received = await self._read(messages)
                    answer = await self._hand_over([event for _, event in received])
                    # Two batches in hand at most: one is settled while the next one is handed over.
                    before, settling = settling, group.create_task(self._settle(received, answer))
                    if before is not None:
                        await asyncio.wait([before])

    async def _take(self, pull: Pull) -> list[Msg]:
        """Return the next messages; none when the server went away or lost the consumer, which is waited for then."""
        try:
            return await pull.take()
        except (nats.errors.Error, OSError) as error:
            log.warning("cannot fetch events", extra={"error_type": type(error).__name__})
            return []

    async def _ensure(self) -> None:
        """Make the durable position if there is none."""
        config = ConsumerConfig(
            name=self._consumer.name,
            durable_name=self._consumer.name,
            filter_subject=self._consumer.subject,
            ack_policy=AckPolicy.EXPLICIT,
            ack_wait=_ACK_WAIT.total_seconds(),
            max_ack_pending=4 * self._consumer.batch,
            max_deliver=-1,
        )
        jetstream = self._broker.client.jetstream()
        while True:
            try:
                try:
                    await jetstream.consumer_info(EVENT_STREAM, self._consumer.name)
                except nats.js.errors.NotFoundError:
                    await jetstream.add_consumer(EVENT_STREAM, config)
            except (nats.errors.Error, OSError) as error:
                log.warning("cannot subscribe yet", extra={"error_type": type(error).__name__})
                await asyncio.sleep(_RETRY)
            else:
                return

    async def _read(self, messages: Sequence[Msg]) -> list[tuple[Msg, Envelope]]:
        received = []
        for message in messages:
            try:
                received.append((message, Envelope.parse(message.headers, message.data)))
            except MalformedEvent as error:
                await self._bury(message, error)
        return received

    async def _hand_over(self, events: Sequence[Envelope]) -> Outcomes | asyncio.Future[Outcomes]:
        return await self._guarded(events, self._consumer.handler(events)) if events else []

    async def _outcomes(self, events: Sequence[Envelope], answer: Outcomes | asyncio.Future[Outcomes]) -> Outcomes:
        return await self._guarded(events, answer) if isinstance(answer, asyncio.Future) else answer

    async def _guarded(self, events: Sequence[Envelope], answer: Awaitable[AnswerT]) -> AnswerT | Outcomes:
        """Wait for what the handler says of events; if it raises, let it act on each of them alone."""
        try:
            return await answer
        # A handler that raises has a defect, or met an event that shows one: the others must not wait behind it.
        except Exception as error:
            if len(events) > 1:
                alone = [[event] for event in events]
                return [outcome for one in alone for outcome in await self._outcomes(one, await self._hand_over(one))]
            log.exception("event not handled", extra={"consumer": self._consumer.name, "event_id": events[0].event_id})
            return [error]

    async def _settle(
        self, received: Sequence[tuple[Msg, Envelope]], answer: Outcomes | asyncio.Future[Outcomes]
    ) -> None:
        """Acknowledge what is committed, and see to what is not."""
        outcomes = await self._outcomes([event for _, event in received], answer)
        for name, count in Counter(type(failure).__name__ if failure else "done" for failure in outcomes).items():
            telemetry.consumed.add(count, {"consumer": self._consumer.name, "outcome": name})
        for (message, event), failure in zip(received, outcomes, strict=True):
            if failure is None:
                await message.ack()
            elif isinstance(failure, PermanentFailure) or self._is_poison(message, failure):
                await self._bury(message, failure)
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

    @staticmethod
    def _is_poison(message: Msg, failure: Exception) -> bool:
        return message.metadata.num_delivered >= _MOST_DELIVERIES and not isinstance(failure, TRANSIENT)

    @staticmethod
    async def _later(message: Msg) -> None:
        delay = _RETRY_DELAYS[min(message.metadata.num_delivered, len(_RETRY_DELAYS)) - 1]
        await message.nak(delay=delay.total_seconds())

    async def _bury(self, message: Msg, error: Exception) -> None:
        """Move a message to the dead-letter stream; it is acknowledged only when it is safe there."""
        sequence = message.metadata.sequence.stream
        headers = {
            **(message.headers or {}),
            MESSAGE_ID: f"{self._consumer.name}-{sequence}",
            CONSUMER_HEADER: self._consumer.name,
            ERROR_HEADER: type(error).__name__,
        }
        if isinstance(error, PermanentFailure | MalformedEvent):
            headers[REASON_HEADER] = quote(str(error)[:_LONGEST_REASON], safe=" '(),:")
        log.error(
            "event moved to the dead letters", extra={"consumer": self._consumer.name, "stream_sequence": sequence}
        )
        try:
            await self._broker.publish(f"{DEAD_LETTER_PREFIX}.{message.subject}", headers, message.data)
        except DependencyUnavailable:
            await self._later(message)
        else:
            await message.ack()
