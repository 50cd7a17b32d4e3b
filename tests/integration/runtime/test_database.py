"""Transactions of tenants, the unit of work, and what happens once."""

import asyncio
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import pytest
import pytest_asyncio
import sqlalchemy as sa
from opentelemetry.trace import StatusCode
from proofloop_echo.contract import NoteWritten, SayRequest, SayResponse
from proofloop_local.servers.postgres import PostgresServer
from proofloop_runtime import telemetry
from proofloop_runtime.breaker import CLOSED, OPEN, Breakers, BreakerSettings
from proofloop_runtime.call import CallerType, background, serving
from proofloop_runtime.database import DEPENDENCY, Database
from proofloop_runtime.errors import DependencyUnavailable, Overloaded, RequestIdReused
from proofloop_runtime.events import Actor, Event
from proofloop_runtime.migrate import migrate
from proofloop_runtime.testing import FakeClock

pytestmark = pytest.mark.asyncio(loop_scope="module")

INSERT = sa.text("INSERT INTO note (tenant, note_id, text) VALUES (:tenant, :id, :text)")
TEXTS = sa.text("SELECT text FROM note ORDER BY text")


@asynccontextmanager
async def opened(url: str, pool_size: int = 5):
    """A database of the application's, and its breakers."""
    breakers = Breakers(FakeClock(), {DEPENDENCY: BreakerSettings(failures=1000)})
    database = Database(url, "echo", FakeClock(), breakers, pool_size)
    try:
        yield database
    finally:
        await database.close()


@pytest_asyncio.fixture(loop_scope="module")
async def database(shared_database):
    async with opened(shared_database.application_url) as database:
        async with database.transaction("acme", "globex") as unit:
            for table in ("note", "outbox", "inbox", "idempotency"):
                await unit.execute(sa.text(f"DELETE FROM {table}"))  # noqa: S608  # names of ours
        yield database


async def write(unit, text: str, tenant: str = "acme") -> None:
    await unit.execute(INSERT, {"tenant": tenant, "id": uuid4(), "text": text})


async def texts(database, *tenants: str) -> list[str]:
    async with database.transaction(*tenants) as unit:
        return [row.text for row in await unit.execute(TEXTS)]


def event(event_id: str) -> Event:
    return Event(
        event_id=event_id,
        noun="note",
        verb="written",
        message=NoteWritten(text="x"),
        time=FakeClock().now(),
        entity_type="note",
        entity_id="1",
        actor=Actor(CallerType.USER, "user-1"),
    )


async def test_what_is_done_in_a_transaction_happens_together(database) -> None:
    told: list[str] = []
    database.on_published(lambda: told.append("published"))
    async with database.transaction("acme") as unit:
        await write(unit, "kept")
        await unit.publish(event(str(uuid4())))
        unit.after_commit(lambda: told.append("committed"))
        assert told == []
    assert told == ["committed", "published"]
    assert await texts(database, "acme") == ["kept"]


async def test_or_not_at_all(database) -> None:
    told: list[str] = []
    database.on_published(lambda: told.append("published"))

    async def fail() -> None:
        async with database.transaction("acme") as unit:
            await write(unit, "lost")
            await unit.publish(event(str(uuid4())))
            unit.after_commit(lambda: told.append("committed"))
            raise KeyError

    with pytest.raises(KeyError):
        await fail()
    async with database.transaction("acme") as unit:
        assert (await unit.execute(sa.text("SELECT count(*) FROM outbox"))).scalar() == 0
    assert await texts(database, "acme") == []
    assert told == []


async def test_another_tenants_rows_do_not_exist(database) -> None:
    async with database.transaction("globex") as unit:
        await write(unit, "globex's", "globex")
    async with database.transaction("acme") as unit:
        await write(unit, "acme's")
        changed = await unit.execute(sa.text("UPDATE note SET text = 'taken'"))
        assert changed.rowcount == 1
        removed = await unit.execute(sa.text("DELETE FROM note WHERE tenant = 'globex'"))
        assert removed.rowcount == 0
    assert await texts(database, "globex") == ["globex's"]
    assert await texts(database, "acme", "globex") == ["globex's", "taken"]


async def test_a_row_cannot_be_written_for_another_tenant(database) -> None:
    with pytest.raises(sa.exc.DBAPIError, match="row-level security"):
        async with database.transaction("acme") as unit:
            await write(unit, "smuggled", "globex")

    async def give_away() -> None:
        async with database.transaction("globex") as unit:
            await write(unit, "mine", "globex")
            await unit.execute(sa.text("UPDATE note SET tenant = 'acme'"))

    with pytest.raises(sa.exc.DBAPIError, match="row-level security"):
        await give_away()


async def test_after_a_transaction_a_pooled_connection_sees_nothing(shared_database) -> None:
    async with opened(shared_database.application_url, pool_size=1) as database:
        async with database.transaction("acme") as unit:
            await write(unit, "seen")
        async with database._engine.connect() as connection:
            assert (await connection.execute(sa.text("SELECT count(*) FROM note"))).scalar() == 0
            assert await connection.scalar(sa.text("SELECT current_setting('app.tenants', true)")) == ""


async def test_outside_a_call_a_transaction_must_name_its_tenants(database) -> None:
    with pytest.raises(LookupError):
        async with database.transaction():
            pytest.fail("began")


async def test_of_concurrent_deliveries_of_one_event_one_is_the_first(database) -> None:
    event_id = str(uuid4())

    async def deliver() -> bool:
        async with database.transaction("acme") as unit:
            return await unit.first_time("consumer", event_id)

    assert sorted(await asyncio.gather(*(deliver() for _ in range(5)))) == [False] * 4 + [True]


class Effect:
    """Writes a note, and counts."""

    def __init__(self) -> None:
        self.times = 0
        self.begun = asyncio.Event()
        self.proceed = asyncio.Event()
        self.proceed.set()

    async def __call__(self, unit):
        self.times += 1
        await write(unit, f"effect {self.times}")
        self.begun.set()
        await self.proceed.wait()
        return SayResponse(text=f"answer {self.times}")


def say(request_id: str, text: str = "") -> object:
    return SayRequest(request_id=request_id, text=text)


async def test_a_repeated_request_gets_the_first_answer_and_has_no_second_effect(database) -> None:
    request, effect = say(str(uuid4())), Effect()
    with serving(background("packets", "acme")):
        answers = [(await database.once(request, SayResponse, effect)).text for _ in range(3)]
    assert answers == ["answer 1"] * 3
    assert await texts(database, "acme") == ["effect 1"]


async def test_a_concurrent_repetition_waits_and_gets_the_first_answer(database) -> None:
    request, effect = say(str(uuid4())), Effect()
    effect.proceed.clear()
    with serving(background("packets", "acme")):
        calls = [asyncio.ensure_future(database.once(request, SayResponse, effect)) for _ in range(4)]
        await effect.begun.wait()
        done, _ = await asyncio.wait(calls, timeout=0.1)
        assert not done
        effect.proceed.set()
        answers = await asyncio.gather(*calls)
    assert {answer.text for answer in answers} == {"answer 1"}
    assert effect.times == 1


async def test_another_request_under_the_same_id_is_refused(database) -> None:
    request_id, effect = str(uuid4()), Effect()
    with serving(background("packets", "acme")):
        await database.once(say(request_id, "this"), SayResponse, effect)
        with pytest.raises(RequestIdReused):
            await database.once(say(request_id, "that"), SayResponse, effect)
    assert effect.times == 1


async def test_the_same_id_of_another_caller_or_tenant_is_another_request(database) -> None:
    request, effect = say(str(uuid4())), Effect()
    for service, tenant in (("packets", "acme"), ("prompts", "acme")):
        with serving(background(service, tenant)):
            await database.once(request, SayResponse, effect)
    assert effect.times == 2


async def test_an_effect_that_fails_is_not_remembered(database) -> None:
    request, effect = say(str(uuid4())), Effect()

    async def fail(unit):
        await effect(unit)
        raise KeyError

    with serving(background("packets", "acme")):
        with pytest.raises(KeyError):
            await database.once(request, SayResponse, fail)
        await database.once(request, SayResponse, effect)
    assert await texts(database, "acme") == ["effect 2"]


async def test_a_connection_lost_before_the_commit_repeats_nothing(database, postgres) -> None:
    request, effect = say(str(uuid4())), Effect()

    async def die(unit):
        await effect(unit)
        pid = await unit.connection.scalar(sa.text("SELECT pg_backend_pid()"))
        superuser = await asyncpg.connect(postgres.superuser_url)
        await superuser.execute("SELECT pg_terminate_backend($1)", pid)
        await superuser.close()
        return SayResponse()

    with serving(background("packets", "acme")):
        with pytest.raises(DependencyUnavailable):
            await database.once(request, SayResponse, die)
        assert (await database.once(request, SayResponse, effect)).text == "answer 2"
    assert await texts(database, "acme") == ["effect 2"]


async def test_statements_have_spans_with_their_text_and_never_their_values(database, spans) -> None:
    with telemetry.span("a call"):
        async with database.transaction("acme") as unit:
            await write(unit, "my diagnosis")
        async with database.transaction("acme") as unit:
            with pytest.raises(sa.exc.DBAPIError) as failed:
                await unit.execute(sa.text("SELECT 1 / CAST(:secret AS int)"), {"secret": 0})
    [parent] = spans.named("a call")
    [insert] = spans.named("INSERT")
    assert insert.attributes[telemetry.DB_QUERY].startswith("INSERT INTO note (tenant, note_id, text) VALUES ($1")
    assert spans.parent_of(insert) == parent
    [error] = [span for span in spans.named("SELECT") if span.status.status_code is StatusCode.ERROR]
    assert error.attributes[telemetry.ERROR_TYPE] == "DivisionByZeroError"
    assert "diagnosis" not in "".join(span.to_json() for span in spans.finished())
    assert "parameters hidden" in str(failed.value)


async def test_a_worker_that_looks_for_work_leaves_no_traces(database, spans) -> None:
    await texts(database, "acme")
    assert spans.finished() == []


async def test_when_every_connection_is_taken_a_call_is_told_to_come_back(shared_database) -> None:
    async with opened(shared_database.application_url, pool_size=1) as database:
        database._engine.pool._timeout = 0.05
        async with database.transaction("acme"):
            with pytest.raises(Overloaded) as refused:
                await texts(database, "acme")
        assert refused.value.retry_after == timedelta(seconds=1)
        assert database._breaker.state == CLOSED


@pytest.mark.parametrize("error", [FileNotFoundError, TimeoutError, ConnectionResetError])
async def test_what_fails_in_a_block_for_reasons_of_its_own_is_not_blamed_on_postgresql(database, error) -> None:

    async def fail() -> None:
        async with database.transaction("acme") as unit:
            await write(unit, "lost")
            raise error

    with pytest.raises(error):
        await fail()
    assert await texts(database, "acme") == []


async def test_a_statement_with_a_defect_is_not_blamed_on_postgresql(database) -> None:
    with pytest.raises(sa.exc.DBAPIError):
        async with database.transaction("acme") as unit:
            await unit.execute(INSERT, {"tenant": "acme", "id": "no uuid", "text": 7})


async def test_postgresql_killed_and_started_again_is_unavailable_and_then_there(tmp_path: Path) -> None:
    async with PostgresServer(tmp_path / "postgres") as server:
        made = await server.create_database("echo", owner="echo_owner", application="echo_app")
        await migrate("proofloop_echo", made.owner_url, urlsplit(made.application_url).username or "")
        clock = FakeClock()
        breakers = Breakers(clock, {DEPENDENCY: BreakerSettings(failures=3, reset=timedelta(seconds=5))})
        database = Database(made.application_url, "echo", clock, breakers, 4)
        try:
            begun = [asyncio.Event() for _ in range(3)]

            async def hold(ready: asyncio.Event) -> None:
                async with database.transaction("acme") as unit:
                    await write(unit, "lost")
                    ready.set()
                    await unit.execute(sa.text("SELECT pg_sleep(60)"))

            held = [asyncio.ensure_future(hold(ready)) for ready in begun]
            await asyncio.gather(*(ready.wait() for ready in begun))
            await server.kill()
            outcomes = await asyncio.gather(*held, return_exceptions=True)
            assert {type(outcome) for outcome in outcomes} == {DependencyUnavailable}
            assert breakers.states() == {DEPENDENCY: OPEN}
            with pytest.raises(DependencyUnavailable):
                await texts(database, "acme")
            await server.start()
            clock.advance(timedelta(seconds=5))
            # The pool holds connections to the server that died; not one of them is handed out.
            for _ in range(4):
                assert await texts(database, "acme") == []
            assert breakers.states() == {DEPENDENCY: CLOSED}
        finally:
            await database.close()
