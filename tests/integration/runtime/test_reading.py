"""Reading without a transaction: whose rows, on which connections, and what becomes of them when something fails."""

import asyncio
from contextlib import asynccontextmanager
from datetime import timedelta
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import pytest
import pytest_asyncio
from opentelemetry.trace import StatusCode
from proofloop_local.servers.postgres import PostgresServer
from proofloop_runtime import reading, telemetry
from proofloop_runtime.breaker import CLOSED, OPEN, Breakers, BreakerSettings
from proofloop_runtime.call import background, serving
from proofloop_runtime.database import DEPENDENCY, Database
from proofloop_runtime.errors import DependencyUnavailable, Overloaded
from proofloop_runtime.migrate import migrate
from proofloop_runtime.testing import FakeClock

pytestmark = pytest.mark.asyncio(loop_scope="module")

INSERT = "INSERT INTO note (tenant, note_id, text) VALUES ($1, $2, $3)"
TEXTS = "SELECT text FROM note ORDER BY text"
PID = "SELECT pg_backend_pid() AS pid"
SLEEP = "SELECT pg_sleep(60)"
MOST = 4


@asynccontextmanager
async def opened(url: str, failures: int = 1000):
    """A database of the application's, its breakers and their clock."""
    clock = FakeClock()
    breakers = Breakers(clock, {DEPENDENCY: BreakerSettings(failures=failures, reset=timedelta(seconds=5))})
    database = Database(url, "echo", clock, breakers, 5)
    try:
        yield database, breakers, clock
    finally:
        await database.close()


@pytest_asyncio.fixture(loop_scope="module")
async def database(shared_database):
    async with opened(shared_database.application_url) as (database, _, _):
        async with database.transaction("acme", "globex") as unit:
            await unit.fetch("DELETE FROM note RETURNING note_id")
            for tenant in ("acme", "globex"):
                await unit.fetch(f"{INSERT} RETURNING note_id", tenant, uuid4(), f"{tenant}'s")
        yield database


@pytest_asyncio.fixture(loop_scope="module")
async def superuser(postgres, shared_database):
    connection = await asyncpg.connect(f"{postgres.superuser_url.rpartition('/')[0]}/{shared_database.name}")
    yield connection
    await connection.close()


@pytest.fixture
def asleep(superuser, eventually):
    """Waits until so many statements sleep."""
    count = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query = $1"

    async def wait(number: int) -> None:
        async def so() -> bool:
            return await superuser.fetchval(count, SLEEP) == number

        await eventually(so)

    return wait


async def texts(reader) -> list[str]:
    return [row["text"] for row in await reader.fetch(TEXTS)]


async def test_a_reader_sees_the_rows_of_its_tenant_and_of_no_other(database) -> None:
    tenants = ["acme", "globex"] * 20
    seen = await asyncio.gather(*(texts(database.reader(tenant)) for tenant in tenants))
    assert seen == [[f"{tenant}'s"] for tenant in tenants]
    assert await texts(database.reader("initech")) == []


async def test_a_reader_is_of_the_calls_tenant_where_none_is_named(database) -> None:
    with serving(background("packets", "globex")):
        assert await texts(database.reader()) == ["globex's"]
    with pytest.raises(LookupError):
        database.reader()


async def test_what_reads_without_a_transaction_also_reads_within_one(database) -> None:
    statement = "SELECT text, note_id FROM note WHERE tenant = $1 AND text <> $2"
    alone = await database.reader("acme").fetch(statement, "acme", "mine")
    async with database.transaction("acme") as unit:
        await unit.fetch(f"{INSERT} RETURNING note_id", "acme", uuid4(), "mine, uncommitted")
        assert await texts(unit) == ["acme's", "mine, uncommitted"]
        assert await texts(database.reader("acme")) == ["acme's"]
        within = await unit.fetch(f"{statement} AND text NOT LIKE 'mine%'", "acme", "mine")
    assert [dict(row) for row in within] == [dict(row) for row in alone]


async def test_a_tenant_has_few_connections_which_are_opened_when_they_are_needed(
    database, superuser, eventually
) -> None:
    reader = database.reader("acme")
    one = {row["pid"] for _ in range(10) for row in await reader.fetch(PID)}
    assert len(one) == 1
    slow = "SELECT pg_backend_pid() AS pid FROM pg_sleep(0.01)"
    many = {rows[0]["pid"] for rows in await asyncio.gather(*(reader.fetch(slow) for _ in range(10 * MOST)))}
    assert one < many
    assert len(many) == MOST
    await database.close()

    async def closed() -> bool:
        return await superuser.fetchval("SELECT count(*) FROM pg_stat_activity WHERE pid = ANY($1)", many) == 0

    await eventually(closed)


async def test_statements_have_spans_with_their_text_and_never_their_values(database, spans) -> None:
    reader = database.reader("acme")
    with telemetry.span("a call"):
        await reader.fetch("SELECT note_id FROM note WHERE text = $1", "my diagnosis")
        with pytest.raises(asyncpg.DivisionByZeroError):
            await reader.fetch("SELECT 1 / $1::int", 0)
    await texts(reader)
    [parent] = spans.named("a call")
    found, failed = spans.named("SELECT")
    assert found.attributes[telemetry.DB_QUERY] == "SELECT note_id FROM note WHERE text = $1"
    assert spans.parent_of(found) == spans.parent_of(failed) == parent
    assert failed.status.status_code is StatusCode.ERROR
    assert failed.attributes[telemetry.ERROR_TYPE] == "DivisionByZeroError"
    assert "diagnosis" not in "".join(span.to_json() for span in spans.finished())


async def test_a_caller_who_goes_away_in_the_middle_leaves_connections_that_serve_others(
    database, asleep, spans
) -> None:
    reader = database.reader("acme")
    with telemetry.span("calls"):
        gone = [asyncio.ensure_future(reader.fetch(SLEEP)) for _ in range(MOST)]
        await asleep(MOST)
    for task in gone:
        task.cancel()
    seen = await asyncio.gather(*(texts(reader) for _ in range(3 * MOST)))
    assert seen == [["acme's"]] * 3 * MOST
    await asleep(0)
    # A statement whose caller has gone is nobody's failure.
    assert [span.status.status_code for span in spans.named("SELECT")] == [StatusCode.UNSET] * MOST


async def test_when_every_connection_is_taken_a_call_is_told_to_come_back(database, asleep, monkeypatch) -> None:
    monkeypatch.setattr(reading, "_PATIENCE", 0.05)
    reader = database.reader("acme")
    taken = [asyncio.ensure_future(reader.fetch(SLEEP)) for _ in range(MOST)]
    await asleep(MOST)
    with pytest.raises(Overloaded) as refused:
        await texts(reader)
    assert refused.value.retry_after == timedelta(seconds=1)
    assert database._breaker.state == CLOSED
    # One tenant does not take the turns of another.
    assert await texts(database.reader("globex")) == ["globex's"]
    for task in taken:
        task.cancel()
    await asyncio.wait(taken)
    assert await texts(reader) == ["acme's"]


async def test_postgresql_killed_and_started_again_is_unavailable_and_then_there(tmp_path, eventually) -> None:
    async with PostgresServer(tmp_path / "postgres") as server:
        made = await server.create_database("echo", owner="echo_owner", application="echo_app")
        await migrate("proofloop_echo", made.owner_url, urlsplit(made.application_url).username or "")
        async with opened(made.application_url, failures=MOST) as (database, breakers, clock):
            reader = database.reader("acme")
            held = [asyncio.ensure_future(reader.fetch(SLEEP)) for _ in range(MOST)]
            active = "SELECT FROM pg_stat_activity WHERE state = 'active' AND query = $1"

            async def all_asleep() -> bool:
                return len(await database.reader("globex").fetch(active, SLEEP)) == MOST

            await eventually(all_asleep)
            await server.kill()
            outcomes = await asyncio.gather(*held, return_exceptions=True)
            assert {type(outcome) for outcome in outcomes} == {DependencyUnavailable}
            assert breakers.states() == {DEPENDENCY: OPEN}
            with pytest.raises(DependencyUnavailable):
                await texts(reader)
            await server.start()
            clock.advance(timedelta(seconds=5))
            for _ in range(MOST):
                assert await texts(reader) == []
            assert breakers.states() == {DEPENDENCY: CLOSED}
