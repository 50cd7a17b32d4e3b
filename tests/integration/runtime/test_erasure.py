"""What the tables of every service forget of an erased person."""

from datetime import timedelta
from uuid import uuid4

import pytest
import sqlalchemy as sa
from proofloop.access.v1.events_pb2 import CallerRefused
from proofloop.audit.v1.events_pb2 import SubjectErased
from proofloop_runtime import schema
from proofloop_runtime.breaker import Breakers
from proofloop_runtime.call import CallerType
from proofloop_runtime.database import Database, UnitOfWork
from proofloop_runtime.erasure import ErasureInbox
from proofloop_runtime.errors import DependencyUnavailable
from proofloop_runtime.events import Actor, Envelope, Event, envelope
from proofloop_runtime.testing import FakeClock

pytestmark = pytest.mark.asyncio(loop_scope="module")

ANN = 'ann "Änne" %41 o\'neil'
SOON = timedelta(minutes=1)


def happened(clock: FakeClock, actor: str, said: str = "") -> Event:
    message = CallerRefused(method=said)
    person = Actor(CallerType.USER, actor)
    return Event(str(uuid4()), "note", "written", message, clock.now(), "note", "note-1", person)


def erased(clock: FakeClock, person: str, tenant: str = "acme") -> Envelope:
    message = SubjectErased(subject_id=person, pseudonym="0" * 32)
    officer = Actor(CallerType.USER, "cora")
    event = Event(str(uuid4()), "subject", "erased", message, clock.now(), "subject", "0" * 32, officer)
    where = {"tenant": tenant, "service": "audit", "correlation_id": "", "ip_address": "", "user_agent": ""}
    return envelope(event, **where, trace_context={})


async def test_events_and_refusals_in_the_name_of_an_erased_person_go_out_and_then_away(shared_database) -> None:
    clock = FakeClock()
    database = Database(shared_database.application_url, "echo", clock, Breakers(clock))
    inbox = ErasureInbox(database, "echo")

    async def left() -> list[str]:
        async with database.transaction("acme", "globex") as unit:
            return sorted((await unit.execute(sa.select(schema.outbox.c.event_id))).scalars())

    async def published(unit: UnitOfWork) -> None:
        await unit.execute(sa.update(schema.outbox).values(publish_time=clock.now()))

    try:
        about, theirs, others = happened(clock, "bob", ANN), happened(clock, ANN), happened(clock, "bob", f"{ANN}!")
        async with database.transaction("acme") as unit:
            await unit.publish(about, others)
            await published(unit)
            await unit.publish(theirs)
            refusal = {"caller_type": "user", "caller_id": ANN, "method": "m", "reason": "r", "count": 1}
            await unit.execute(sa.insert(schema.refusal).values(tenant="acme", window_start=clock.now(), **refusal))
        elsewhere = happened(clock, ANN)
        async with database.transaction("globex") as unit:
            await unit.publish(elsewhere)
            await published(unit)
        event = erased(clock, ANN)
        clock.advance(SOON)
        later = happened(clock, ANN)
        async with database.transaction("acme") as unit:
            await unit.publish(later)

        [waits] = await inbox.take([event])
        assert isinstance(waits, DependencyUnavailable)
        assert await left() == sorted(each.event_id for each in (theirs, others, elsewhere, later))
        async with database.transaction("acme") as unit:
            await published(unit)
        [waits] = await inbox.take([event])
        assert isinstance(waits, DependencyUnavailable)
        async with database.transaction("acme") as unit:
            await unit.execute(sa.delete(schema.refusal))
        assert await inbox.take([event]) == [None]
        # What came later is of somebody new, and another tenant's is another tenant's.
        assert await left() == sorted(each.event_id for each in (others, elsewhere, later))
    finally:
        await database.close()


@pytest.mark.parametrize("length", [1, 127, 128, 256])
async def test_first_answers_to_and_about_an_erased_person_are_gone_whatever_the_length_of_their_id(
    shared_database, length
) -> None:
    clock = FakeClock()
    database = Database(shared_database.application_url, "echo", clock, Breakers(clock))
    person = "ä" * (length // 2) + "x" * (length % 2)
    answers = {
        f"user:{person}": b"their own",
        "user:bob": CallerRefused(method=person).SerializeToString(),
        "user:dan": CallerRefused(method=f"{person}!").SerializeToString(),
        "service:packets": None,
    }
    try:
        async with database.transaction("acme") as unit:
            await unit.execute(sa.delete(schema.idempotency))
            for caller, response in answers.items():
                row = {"method": "m", "request_id": str(uuid4()), "request_hash": b"", "create_time": clock.now()}
                await unit.execute(
                    sa.insert(schema.idempotency).values(tenant="acme", caller=caller, response=response, **row)
                )
        assert await ErasureInbox(database, "echo").take([erased(clock, person)]) == [None]
        async with database.transaction("acme") as unit:
            rows = (await unit.execute(sa.select(schema.idempotency.c.caller, schema.idempotency.c.response))).all()
        assert dict(map(tuple, rows)) == {
            "user:bob": b"",
            "user:dan": answers["user:dan"],
            "service:packets": None,
        }
    finally:
        await database.close()
