"""What a page of entries costs does not depend on the log's size."""

import json
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from proofloop_audit.log import search
from proofloop_audit.log.domain import EntryFilter
from proofloop_audit.log.search import Span
from proofloop_verifier.leaf import Outcome
from sqlalchemy.dialects.postgresql.asyncpg import dialect

SIZE = 20_000
LIMIT = 20
FIRST = datetime(2026, 1, 1, tzinfo=UTC)
MIDDLE = Span(5_000, 15_000)

# Common values; rare ones, each once in a thousand entries; and one that the column has never had.
FILTERS: dict[str, tuple[EntryFilter, list[str] | None]] = {
    "nothing": (EntryFilter(), None),
    "claim": (EntryFilter(claim_id=str(UUID(int=8))), None),
    "entity": (EntryFilter(entity_id="entity-7"), None),
    "entity and its type": (EntryFilter(entity_id="entity-7", entity_type="prompt"), None),
    "common type": (EntryFilter(entity_type="prompt"), None),
    "rare type": (EntryFilter(entity_type="workflow"), None),
    "unknown type": (EntryFilter(entity_type="parcel"), None),
    "common actor": (EntryFilter(), ["0" * 32]),
    "rare actor": (EntryFilter(), ["1" * 32]),
    "two actors": (EntryFilter(), ["0" * 32, "1" * 32]),
    "common action": (EntryFilter(action="prompt.answered"), None),
    "unknown action": (EntryFilter(action="log.exported"), None),
    "unknown action of an entity": (EntryFilter(action="log.exported", entity_type="workflow"), None),
    "session": (EntryFilter(session_id="session-7"), None),
    "success": (EntryFilter(outcome=Outcome.SUCCESS), None),
    "failure": (EntryFilter(outcome=Outcome.FAILURE), None),
    "denied": (EntryFilter(outcome=Outcome.DENIED), None),
}


@pytest.fixture
async def long_log(superuser) -> None:
    """The log of acme, as long as makes a difference; the leaves do not matter here. And one of another tenant."""
    await superuser.execute(
        """
        INSERT INTO log_entry (
            tenant, index, entry_id, fingerprint, leaf, leaf_hash, append_time, claim_id, claim_sequence,
            entity_type, entity_id, action, session_id, outcome, pseudonym, sealed_part
        )
        SELECT
            tenant, n, gen_random_uuid(), '', '', '', $1::timestamptz + n * interval '1 second',
            CASE WHEN n % 2 = 0 THEN lpad(to_hex(n % 1000), 32, '0')::uuid END, CASE WHEN n % 2 = 0 THEN n / 1000 END,
            CASE n % 1000 WHEN 1 THEN 'workflow' ELSE 'prompt' END, 'entity-' || n % 1000,
            'prompt.answered',
            CASE WHEN n % 100 = 7 THEN 'session-' || n % 1000 END,
            CASE n % 1000 WHEN 3 THEN 'failure' WHEN 4 THEN 'denied' ELSE 'success' END,
            repeat(CASE n % 1000 WHEN 5 THEN '1' ELSE '0' END, 32), ''
        FROM unnest(ARRAY['acme', 'globex']) AS tenant, generate_series(0, $2::bigint - 1) AS n
        """,
        FIRST,
        SIZE,
    )
    await superuser.execute("ANALYZE log_entry")


@pytest.fixture
async def application(audit_settings, long_log) -> AsyncIterator[asyncpg.Connection]:
    """A connection as the service has it, for the tenant acme."""
    settings = {"app.tenants": "acme", "plan_cache_mode": "force_generic_plan"}
    connection = await asyncpg.connect(audit_settings.database_url.get_secret_value(), server_settings=settings)
    yield connection
    await connection.close()


async def explain(connection: asyncpg.Connection, statement: Any) -> dict[str, Any]:
    """Execute a statement as it is executed time and again, and return what it did."""
    compiled = statement.compile(dialect=dialect(), compile_kwargs={"render_postcompile": True})
    values = [_literal(compiled.params[name]) for name in compiled.positiontup]
    await connection.execute(f"PREPARE explained AS {compiled.string}")
    try:
        plan = await connection.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) EXECUTE explained ({', '.join(values)})")
    finally:
        await connection.execute("DEALLOCATE explained")
    return json.loads(plan)[0]["Plan"]


def _literal(value: object) -> str:
    return str(value) if isinstance(value, int) else f"'{value}'"


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for inner in plan.get("Plans", ()):
        yield from nodes(inner)


def rows_read(plan: dict[str, Any]) -> int:
    """Rows that were read from the table, those thrown away included."""
    return sum(
        round((node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"])
        for node in nodes(plan)
        if node.get("Relation Name") == "log_entry"
    )


@pytest.fixture
def assert_cheap(application):
    async def check(wanted: EntryFilter, pseudonyms: list[str] | None, span: Span, *, newest_first: bool) -> None:
        statement = search.entries_statement("acme", wanted, pseudonyms, span, limit=LIMIT, newest_first=newest_first)
        plan = await explain(application, statement)
        assert {node["Node Type"] for node in nodes(plan)}.isdisjoint({"Seq Scan", "Bitmap Heap Scan"}), plan
        # What the page holds, of each pseudonym, and few that are thrown away.
        assert rows_read(plan) <= (LIMIT + 2) * max(1, len(pseudonyms or ())), plan

    return check


async def test_no_filter_reads_more_than_its_page_and_no_time_more_than_its_path(application, assert_cheap) -> None:
    for wanted, pseudonyms in FILTERS.values():
        for span in (Span(), MIDDLE):
            for newest_first in (False, True):
                await assert_cheap(wanted, pseudonyms, span, newest_first=newest_first)
                # The page behind some entry.
                rest = span.after(10_000, newest_first=newest_first)
                await assert_cheap(wanted, pseudonyms, rest, newest_first=newest_first)
    compiled = search.FIRST_INDEX.compile(dialect=dialect())
    for offset, expected in ((-1, 0), (0, 0), (0.5, 1), (13_000, 13_000), (SIZE - 1, SIZE - 1), (SIZE, SIZE)):
        values = {"tenant": "acme", "time": FIRST + timedelta(seconds=offset)}
        assert await application.fetchval(compiled.string, *(values[name] for name in compiled.positiontup)) == expected
        plan = await explain(application, search.FIRST_INDEX.bindparams(**values))
        assert "Seq Scan" not in {node["Node Type"] for node in nodes(plan)}
        # One look for each bit of the log's size, and one more to learn the size.
        assert rows_read(plan) <= SIZE.bit_length() + 1
