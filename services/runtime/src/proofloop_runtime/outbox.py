"""The relay from the outbox to the broker.

One replica at a time relays: the one that holds an advisory lock on a connection of its own. It publishes in the
order of the outbox and marks what the broker has on disk. Events of one claim or entity wait for each other, so that
their order holds even when the broker dies in the middle; the others are under way together. What it publishes twice,
because it died in between, the broker drops by `Nats-Msg-Id`, and consumers by their inbox.
"""

import asyncio
import logging
from collections.abc import Iterable, Sequence
from datetime import timedelta

import sqlalchemy as sa
from opentelemetry.trace import SpanKind

from proofloop_runtime import schema, telemetry
from proofloop_runtime.database import Database, UnitOfWork
from proofloop_runtime.errors import TRANSIENT, DependencyUnavailable
from proofloop_runtime.leader import Leader
from proofloop_runtime.messaging import DEPENDENCY, Broker
from proofloop_runtime.ports import Clock
from proofloop_runtime.wakeup import Wakeup

_BATCH = 200

log = logging.getLogger(__name__)


class OutboxRelay:
    """Publishes what stands in the outbox."""

    def __init__(
        self,
        database: Database,
        broker: Broker,
        tenants: Sequence[str],
        service: str,
        clock: Clock,
    ) -> None:
        self._database = database
        self._broker = broker
        self._tenants = tuple(tenants)
        self._clock = clock
        self._leader = Leader(database, "outbox-relay")
        self._wakeup = Wakeup(broker, f"proofloop.wake.{service}.outbox")
        database.on_published(self._wakeup.notify)

    async def run(self) -> None:
        """Relay for as long as this replica holds the lock; wait for it otherwise."""
        async with self._wakeup.listening():
            await self._leader.lead(self._relay)

    async def _relay(self) -> None:
        while True:
            try:
                sent = await self._send_batch()
            except TRANSIENT as error:
                log.warning("the relay waits", extra={"error_type": type(error).__name__, **error.metadata})
                sent = 0
            if sent < _BATCH:
                await self._wakeup.wait(timedelta(seconds=1))

    async def _send_batch(self) -> int:
        table = schema.outbox
        async with self._database.transaction(*self._tenants) as unit:
            pending = (
                await unit.execute(
                    sa.select(table).where(table.c.publish_time.is_(None)).order_by(table.c.sequence).limit(_BATCH)
                )
            ).all()
        if not pending:
            return 0
        results = await asyncio.gather(*(self._publish_in_order(rows) for rows in _by_subject_matter(pending)))
        done = [sequence for sequences, _ in results for sequence in sequences]
        if done:
            async with self._database.transaction(*self._tenants) as unit:
                await self._mark(unit, done)
            telemetry.outbox_published.add(len(done))
        for _, failure in results:
            if failure is not None:
                raise failure
        return len(done)

    async def _publish_in_order(
        self, rows: Sequence[sa.Row[tuple[object, ...]]]
    ) -> tuple[list[int], DependencyUnavailable | None]:
        """Publish rows one after the other; return which ones the broker has, and what stopped the others."""
        done: list[int] = []
        for row in rows:
            try:
                await self._publish(row)
            except DependencyUnavailable as error:
                return done, error
            done.append(row.sequence)
        return done, None

    async def _publish(self, row: sa.Row[tuple[object, ...]]) -> None:
        attributes = {
            telemetry.MESSAGING_SYSTEM: DEPENDENCY,
            telemetry.MESSAGING_OPERATION: "send",
            telemetry.MESSAGING_DESTINATION: row.subject,
            telemetry.MESSAGING_ID: str(row.event_id),
            telemetry.TENANT: row.tenant,
        }
        action = row.headers["ce-action"]
        with telemetry.span(
            f"{telemetry.SEND_SPAN} {action}", SpanKind.PRODUCER, attributes, telemetry.extract(row.headers)
        ):
            await self._broker.publish(row.subject, row.headers | telemetry.inject(), row.data)

    async def _mark(self, unit: UnitOfWork, sequences: Sequence[int]) -> None:
        table = schema.outbox
        now = self._clock.now()
        await unit.execute(sa.update(table).where(table.c.sequence.in_(sequences)).values(publish_time=now))


def _by_subject_matter(rows: Iterable[sa.Row[tuple[object, ...]]]) -> list[list[sa.Row[tuple[object, ...]]]]:
    """Group rows by tenant and claim, or entity where there is no claim, keeping their order."""
    groups: dict[tuple[object, ...], list[sa.Row[tuple[object, ...]]]] = {}
    for row in rows:
        matter = row.headers.get("ce-claimid") or (row.headers["ce-entitytype"], row.headers["ce-subject"])
        groups.setdefault((row.tenant, matter), []).append(row)
    return list(groups.values())
