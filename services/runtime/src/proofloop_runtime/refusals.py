"""Refusals of known callers, audited: summed per caller, method and minute, so that nobody can flood the log."""

import asyncio
import uuid
from collections.abc import Sequence
from datetime import timedelta

import sqlalchemy as sa
from proofloop.access.v1.events_pb2 import CallerRefused
from sqlalchemy.dialects import postgresql as pg

from proofloop_runtime import schema
from proofloop_runtime.call import CallerType
from proofloop_runtime.database import Database
from proofloop_runtime.errors import TRANSIENT, ErrorCatalog, PermissionDenied
from proofloop_runtime.events import Actor, Event
from proofloop_runtime.interceptors.call import Call
from proofloop_runtime.ports import Clock

_WINDOW = timedelta(minutes=1)
_NAMESPACE = uuid.UUID("5c0f4a39-8a7d-4f7b-9a5a-3a3f1f4a6b10")


class Refusals:
    """Counts refusals, and turns each finished minute into one event per caller and method."""

    def __init__(
        self,
        database: Database,
        tenants: Sequence[str],
        catalog: ErrorCatalog,
        clock: Clock,
        look_every: timedelta = timedelta(seconds=10),
    ) -> None:
        self._database = database
        self._tenants = tuple(tenants)
        self._catalog = catalog
        self._clock = clock
        self._look_every = look_every

    async def record(self, call: Call, error: PermissionDenied) -> None:
        """Count one refusal, in a transaction of its own."""
        if call.context is None:
            return
        caller = call.context.caller
        now = self._clock.now()
        row = {
            "tenant": caller.tenant,
            "caller_type": caller.type,
            "caller_id": caller.id,
            "method": call.method.name,
            "reason": self._catalog.name(error),
            "window_start": now.replace(second=0, microsecond=0),
            "count": 1,
        }
        insert = pg.insert(schema.refusal).values(row)
        upsert = insert.on_conflict_do_update(
            constraint="refusal_pkey", set_={"count": schema.refusal.c.count + insert.excluded.count}
        )
        async with self._database.transaction(caller.tenant) as unit:
            await unit.execute(upsert)

    async def run(self) -> None:
        """Publish finished minutes, for ever, on any replica."""
        while True:
            for tenant in self._tenants:
                try:
                    await self.publish(tenant)
                except TRANSIENT:
                    break
            await asyncio.sleep(self._look_every.total_seconds())

    async def publish(self, tenant: str) -> None:
        """Turn a tenant's finished minutes into events, each in the transaction that removes its row."""
        table = schema.refusal
        finished = self._clock.now() - _WINDOW
        async with self._database.transaction(tenant) as unit:
            rows = await unit.execute(
                sa.delete(table).where(table.c.tenant == tenant, table.c.window_start <= finished).returning(table)
            )
            for row in rows.mappings():
                key = "/".join(
                    (
                        row["tenant"],
                        row["caller_type"],
                        row["caller_id"],
                        row["method"],
                        row["reason"],
                        str(row["window_start"]),
                    )
                )
                message = CallerRefused(method=row["method"], reason=row["reason"], count=row["count"])
                message.window_start.FromDatetime(row["window_start"])
                await unit.publish(
                    Event(
                        event_id=str(uuid.uuid5(_NAMESPACE, key)),
                        noun="caller",
                        verb="refused",
                        message=message,
                        time=row["window_start"],
                        entity_type="method",
                        entity_id=row["method"],
                        actor=Actor(CallerType(row["caller_type"]), row["caller_id"]),
                        outcome="denied",
                    )
                )
