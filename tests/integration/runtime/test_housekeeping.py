"""Rows go when their time is over."""

from datetime import timedelta
from uuid import uuid4

import pytest
import sqlalchemy as sa
from proofloop_runtime import schema
from proofloop_runtime.breaker import Breakers
from proofloop_runtime.database import Database
from proofloop_runtime.housekeeping import Housekeeping
from proofloop_runtime.testing import FakeClock

pytestmark = pytest.mark.asyncio(loop_scope="module")

ADDED = {
    "idempotency": """
        INSERT INTO idempotency (tenant, caller, method, request_id, request_hash, create_time)
        SELECT :tenant, 'c', 'm', gen_random_uuid(), '', :time FROM generate_series(1, :count)""",
    "inbox": """
        INSERT INTO inbox (tenant, consumer, event_id, create_time)
        SELECT :tenant, 'c', gen_random_uuid(), :time FROM generate_series(1, :count)""",
    "outbox": """
        INSERT INTO outbox (tenant, event_id, subject, headers, data, create_time, publish_time)
        SELECT :tenant, gen_random_uuid(), 's', '{}', '', :time, :time FROM generate_series(1, :count)""",
}
RETENTION = {"idempotency": timedelta(hours=24), "outbox": timedelta(days=14), "inbox": timedelta(days=30)}


@pytest.mark.parametrize("table", RETENTION)
async def test_rows_go_when_their_retention_is_over_and_not_before(shared_database, table) -> None:
    clock = FakeClock()
    database = Database(shared_database.application_url, "echo", clock, Breakers(clock))
    housekeeping = Housekeeping(database, ("acme", "globex"), clock)

    async def count() -> int | None:
        async with database.transaction("acme", "globex") as unit:
            return await unit.connection.scalar(sa.select(sa.func.count()).select_from(schema.metadata.tables[table]))

    try:
        for tenant, rows in (("acme", 2500), ("globex", 1)):
            async with database.transaction(tenant) as unit:
                await unit.execute(sa.text(ADDED[table]), {"tenant": tenant, "time": clock.now(), "count": rows})
        clock.advance(RETENTION[table])
        await housekeeping.tidy()
        assert await count() == 2501
        clock.advance(timedelta(microseconds=1))
        await housekeeping.tidy()
        assert await count() == 0
    finally:
        await database.close()


async def test_what_was_never_published_stays_however_old(shared_database) -> None:
    clock = FakeClock()
    database = Database(shared_database.application_url, "echo", clock, Breakers(clock))
    try:
        async with database.transaction("acme") as unit:
            row = {"tenant": "acme", "event_id": str(uuid4()), "subject": "s", "headers": {}, "data": b""}
            await unit.execute(sa.insert(schema.outbox).values(**row, create_time=clock.now()))
        clock.advance(timedelta(days=3650))
        await Housekeeping(database, ("acme",), clock).tidy()
        async with database.transaction("acme") as unit:
            assert (await unit.execute(sa.select(schema.outbox))).one().event_id == row["event_id"]
    finally:
        await database.close()
