"""The tables of the statistics: what was added lately, and the sums of what was added before.

A change only inserts. A worker moves what was inserted into the sums, in one statement, so that a reader's statement
sees each addition once, in the one table or in the other.
"""

from collections.abc import Sequence
from dataclasses import asdict

import sqlalchemy as sa
from proofloop_runtime.database import UnitOfWork

from proofloop_audit.sessions.rollup import EVERY_KIND, Delta, Measure, Sum
from proofloop_audit.sessions.statistics import Window

_delta = sa.table(
    "session_delta",
    *(
        sa.column(name, kind)
        for name, kind in (
            ("tenant", sa.Text()),
            ("day", sa.Date()),
            ("kind", sa.Text()),
            ("measure", sa.Text()),
            ("key", sa.Text()),
            ("unit", sa.Text()),
            ("count", sa.BigInteger()),
            ("amount", sa.Numeric()),
        )
    ),
)

_FOLD = sa.text("""
    WITH taken AS (
        DELETE FROM session_delta d
        USING (
            SELECT sequence FROM session_delta WHERE tenant = :tenant LIMIT :limit FOR UPDATE SKIP LOCKED
        ) AS free
        WHERE d.tenant = :tenant AND d.sequence = free.sequence
        RETURNING d.*
    ), added AS (
        INSERT INTO session_rollup AS r (tenant, day, kind, measure, key, unit, count, amount)
        SELECT tenant, day, kind, measure, key, unit, sum(count), sum(amount) FROM taken
        GROUP BY tenant, measure, kind, day, key, unit
        ORDER BY tenant, measure, kind, day, key, unit
        ON CONFLICT (tenant, measure, kind, day, key, unit) DO UPDATE
            SET count = r.count + excluded.count, amount = r.amount + excluded.amount
    )
    SELECT count(*) FROM taken
""")
"""In the order of the keys, so that two replicas that fold at once cannot wait for each other."""

_WITH_ADDITIONS = sa.text("""
    SELECT statistics.tenant
    FROM unnest(CAST(:tenants AS text[])) AS statistics (tenant)
    WHERE EXISTS (SELECT FROM session_delta d WHERE d.tenant = statistics.tenant)
""")

_SUMS = sa.text("""
    WITH addition AS NOT MATERIALIZED (
        SELECT day, kind, measure, key, unit, count, amount FROM session_rollup
        WHERE tenant = :tenant AND day BETWEEN :first_day AND :last_day
        UNION ALL
        SELECT day, kind, measure, key, unit, count, amount FROM session_delta
        WHERE tenant = :tenant AND day BETWEEN :first_day AND :last_day
    )
    SELECT measure, NULL::date AS day, NULL::text AS kind, key, unit, sum(count)::bigint AS count, sum(amount) AS amount
    FROM addition
    WHERE measure = :histogram AND kind = :kind
    GROUP BY measure, key, unit
    UNION ALL
    SELECT measure, day, kind, key, unit, sum(count)::bigint, sum(amount)
    FROM addition
    WHERE measure = ANY (:others) AND (:kind = '' OR kind = :kind)
    GROUP BY GROUPING SETS ((measure, day), (measure, kind), (measure, key, unit))
""")
"""In the order of the primary key a histogram over all kinds lies together, apart from those of single kinds."""

_OTHERS = [measure for measure in Measure if measure is not Measure.DURATION]


async def add(unit: UnitOfWork, deltas: Sequence[Delta]) -> None:
    """Add to the statistics."""
    await unit.execute(sa.insert(_delta), [{"tenant": unit.tenant, **asdict(delta)} for delta in deltas])


async def with_additions(unit: UnitOfWork, tenants: Sequence[str]) -> list[str]:
    """Return those of the transaction's tenants for whom something was added and is not folded yet."""
    return list((await unit.execute(_WITH_ADDITIONS, {"tenants": list(tenants)})).scalars())


async def fold(unit: UnitOfWork, *, limit: int) -> int:
    """Move up to `limit` additions into the sums; return how many. What another replica moves is left to it."""
    moved: int = (await unit.execute(_FOLD, {"tenant": unit.tenant, "limit": limit})).scalar_one()
    return moved


async def sums(unit: UnitOfWork, window: Window, kind: str | None) -> list[Sum]:
    """Return the sums of a window: by day, by kind, and by key; of one kind, or of all."""
    wanted = {
        "tenant": unit.tenant,
        "first_day": window.first_day,
        "last_day": window.last_day,
        "kind": kind or EVERY_KIND,
        "histogram": Measure.DURATION,
        "others": _OTHERS,
    }
    rows = (await unit.execute(_SUMS, wanted)).mappings()
    return [
        Sum(
            measure=Measure(row["measure"]),
            day=row["day"],
            kind=row["kind"],
            key=row["key"] or "",
            unit=row["unit"] or "",
            count=row["count"],
            amount=row["amount"],
        )
        for row in rows
    ]
