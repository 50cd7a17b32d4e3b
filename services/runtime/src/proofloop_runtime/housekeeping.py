"""What has served its purpose goes: the runtime's own tables keep rows, and the personal data in them, only so long."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from proofloop_runtime import schema
from proofloop_runtime.database import Database
from proofloop_runtime.errors import TRANSIENT
from proofloop_runtime.ports import Clock

_BATCH = 1000

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Retention:
    """How long rows are kept.

    Attributes:
        answers: First answers of mutations, by request id.
        published: Events in the outbox that the broker has, for a replay.
        taken: Inbox rows. They outlive the stream and every replay, or an event would take effect again.
    """

    answers: timedelta = timedelta(hours=24)
    published: timedelta = timedelta(days=14)
    taken: timedelta = timedelta(days=30)


class Housekeeping:
    """Removes rows past their retention. Replicas may do so side by side."""

    def __init__(
        self,
        database: Database,
        tenants: Sequence[str],
        clock: Clock,
        retention: Retention | None = None,
        every: timedelta = timedelta(minutes=10),
    ) -> None:
        self._database = database
        self._tenants = tuple(tenants)
        self._clock = clock
        self._retention = retention or Retention()
        self._every = every

    async def run(self) -> None:
        """Tidy up, for ever."""
        while True:
            try:
                await self.tidy()
            except TRANSIENT as error:
                log.warning("housekeeping waits", extra={"error_type": type(error).__name__})
            await asyncio.sleep(self._every.total_seconds())

    async def tidy(self) -> None:
        """Remove what is past its retention now."""
        now = self._clock.now()
        for column, before in (
            (schema.idempotency.c.create_time, now - self._retention.answers),
            (schema.outbox.c.publish_time, now - self._retention.published),
            (schema.inbox.c.create_time, now - self._retention.taken),
        ):
            while await self._remove(column, before) == _BATCH:
                pass

    async def _remove(self, column: sa.Column[datetime], before: datetime) -> int:
        """Remove one batch, so that no transaction is long; return how many rows went."""
        table = column.table
        # Rows that another replica is removing are left to it.
        row: sa.ColumnElement[object] = sa.literal_column("ctid")
        old = sa.select(row).select_from(table).where(column < before).limit(_BATCH).with_for_update(skip_locked=True)
        async with self._database.transaction(*self._tenants) as unit:
            removed = await unit.execute(sa.delete(table).where(row.in_(old)))
        return removed.rowcount
