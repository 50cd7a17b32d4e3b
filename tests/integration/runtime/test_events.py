"""Events from the transaction that makes them so to their effect elsewhere, whatever dies on the way."""

import asyncio
import json
from contextlib import asynccontextmanager
from datetime import timedelta
from uuid import uuid4

import asyncpg
import nats as nats_client
import pytest
from opentelemetry.trace import SpanKind
from proofloop_echo.contract import EchoStub, SayRequest
from proofloop_runtime import telemetry
from proofloop_runtime.consuming import Consumer, PermanentFailure
from proofloop_runtime.events import Envelope
from proofloop_runtime.messaging import DEAD_LETTER_STREAM, EVENT_STREAM

NOTES = "proofloop.event.*.echo.note.written"


ATTRIBUTES = (
    *("id", "source", "type", "time", "tenant", "service", "action", "subject"),
    *("entitytype", "actortype", "actorid"),
)
WHOLE = {f"ce-{name}": "x" for name in ATTRIBUTES}


def note(text: str) -> object:
    return SayRequest(command="note", text=text, request_id=str(uuid4()))


@pytest.fixture
def rows(echo_database):
    """Selects from the database of the test, both tenants' rows."""

    async def select(statement: str, *values: object) -> list[asyncpg.Record]:
        connection = await asyncpg.connect(
            echo_database.application_url, server_settings={"app.tenants": "acme,globex"}
        )
        try:
            return await connection.fetch(statement, *values)
        finally:
            await connection.close()

    return select


@pytest.fixture
def heard(rows, eventually):
    """Waits until so many notes were heard of; returns their texts in order."""

    async def wait(count: int) -> list[str]:
        async def enough() -> list[str] | None:
            found = [row["text"] for row in await rows("SELECT text FROM heard ORDER BY place")]
            return found if len(found) >= count else None

        return await eventually(enough)

    return wait


@pytest.fixture
def jetstream(nats):
    @asynccontextmanager
    async def connect():
        client = await nats_client.connect(nats.url)
        try:
            yield client.jetstream()
        finally:
            await client.close()

    return connect


async def dead_letters(jetstream, eventually, count: int) -> list:
    async with jetstream() as stream:

        async def enough():
            info = await stream.stream_info(DEAD_LETTER_STREAM)
            return info.state.messages >= count

        await eventually(enough)
        return [await stream.get_msg(DEAD_LETTER_STREAM, seq=number + 1) for number in range(count)]


async def test_an_event_travels_with_its_change_and_takes_effect_once(serve, heard, rows, jetstream) -> None:
    async with serve() as (service, _), service.channel() as channel:
        await EchoStub(channel).Say(note("one"))
        assert await heard(1) == ["one"]
        async with jetstream() as stream:
            message = await stream.get_msg(EVENT_STREAM, seq=1)
    envelope = Envelope.parse(message.headers, message.data)
    assert message.subject == "proofloop.event.acme.echo.note.written"
    assert (envelope.tenant, envelope.action, envelope.actor_id) == ("acme", "note.written", "packets")
    assert json.loads(message.data) == {"text": "one"}
    assert message.headers["Nats-Msg-Id"] == envelope.event_id
    assert [row["count"] for row in await rows("SELECT count(*) FROM outbox WHERE publish_time IS NULL")] == [0]


async def test_one_trace_holds_the_call_its_statements_its_event_and_the_effect(serve, heard, spans) -> None:
    async with serve() as (service, _), service.channel() as channel:
        await EchoStub(channel).Say(note("one"))
        await heard(1)
    [client, server] = [
        next(span for span in spans.named("proofloop.echo.v1.EchoService/Say") if span.kind is kind)
        for kind in (SpanKind.CLIENT, SpanKind.SERVER)
    ]
    [sent] = spans.named("send note.written")
    [processed] = spans.named("process note.written")
    assert spans.parent_of(server) == client
    assert spans.parent_of(sent) == server
    assert spans.parent_of(processed) == sent
    assert (sent.kind, processed.kind) == (SpanKind.PRODUCER, SpanKind.CONSUMER)
    effect = [span for span in spans.named("INSERT") if spans.parent_of(span) == processed]
    assert ["INSERT INTO heard" in span.attributes[telemetry.DB_QUERY] for span in effect] == [False, True]


async def test_what_is_delivered_again_has_no_second_effect(serve, heard, rows, jetstream) -> None:
    async with serve() as (service, _), service.channel() as channel:
        await EchoStub(channel).Say(note("one"))
        await heard(1)
        async with jetstream() as stream:
            message = await stream.get_msg(EVENT_STREAM, seq=1)
            again = {**message.headers, "Nats-Msg-Id": "another"}
            await stream.publish(message.subject, message.data, headers=again)
        await EchoStub(channel).Say(note("two"))
        assert await heard(2) == ["one", "two"]


async def test_events_of_a_service_arrive_in_the_order_of_its_outbox(serve, heard) -> None:
    async with serve() as (service, _), service.channel() as channel:
        stub = EchoStub(channel)
        texts = [f"note {number}" for number in range(20)]
        for text in texts:
            await stub.Say(note(text))
        assert await heard(20) == texts


async def test_nats_killed_in_the_middle_loses_and_doubles_nothing(serve, heard, nats) -> None:
    async with serve() as (service, _), service.channel() as channel:
        stub = EchoStub(channel)

        async def keep(first: int, last: int) -> None:
            for number in range(first, last):
                await stub.Say(note(f"{number:03}"))

        await keep(0, 30)
        busy = asyncio.ensure_future(keep(30, 60))
        await nats.kill()
        await busy
        # The service is whole without its broker: the outbox keeps what happens meanwhile.
        await keep(60, 90)
        await nats.start()
        await keep(90, 100)
        assert sorted(await heard(100)) == [f"{number:03}" for number in range(100)]


async def test_streams_are_made_anew_when_nats_comes_back_empty(serve, heard, nats) -> None:
    import shutil

    async with serve() as (service, _), service.channel() as channel:
        stub = EchoStub(channel)
        await stub.Say(note("before"))
        await heard(1)
        await nats.kill()
        shutil.rmtree(nats.data / "store")
        await nats.start()
        await stub.Say(note("after"))
        assert await heard(2) == ["before", "after"]


async def test_a_consumer_that_was_deleted_is_made_anew(serve, heard, jetstream) -> None:
    async with serve() as (service, _), service.channel() as channel:
        stub = EchoStub(channel)
        await stub.Say(note("before"))
        await heard(1)
        async with jetstream() as stream:
            await stream.delete_consumer(EVENT_STREAM, "echo-notes")
        await stub.Say(note("after"))
        # It starts from the first event again, which the inbox knows.
        assert await heard(2) == ["before", "after"]


async def test_a_relay_that_loses_its_connection_hands_over_to_the_other_replica(serve, heard, postgres, rows) -> None:
    async with serve() as (first, _), serve() as (second, _), first.channel() as channel:
        await EchoStub(channel).Say(note("before"))
        await heard(1)
        superuser = await asyncpg.connect(postgres.superuser_url)
        holder = (
            "SELECT a.pid FROM pg_locks l JOIN pg_stat_activity a USING (pid) "
            "WHERE l.locktype = 'advisory' AND l.granted = $1 AND a.application_name = 'proofloop-echo'"
        )
        try:
            [leader] = await superuser.fetch(holder, True)
            [follower] = await superuser.fetch(holder, False)
            await superuser.execute("SELECT pg_terminate_backend($1)", leader["pid"])
            async with second.channel() as other:
                await EchoStub(other).Say(note("after"))
                assert await heard(2) == ["before", "after"]
            [leader] = await superuser.fetch(holder, True)
            assert leader["pid"] == follower["pid"]
        finally:
            await superuser.close()


async def test_poison_goes_to_the_dead_letters_with_its_reason_and_does_not_hold_up_the_others(
    serve, jetstream, eventually
) -> None:
    async def handle(events):
        texts = [json.loads(event.data)["text"] for event in events]
        return [PermanentFailure("nobody can read this: 'é'") if text == "poison" else None for text in texts]

    async with serve(consumers=[Consumer("picky", handle, NOTES)]) as (service, _), service.channel() as channel:
        for text in ("fine", "poison", "fine too"):
            await EchoStub(channel).Say(note(text))
        [letter] = await dead_letters(jetstream, eventually, 1)
    assert letter.subject == "proofloop.dead.proofloop.event.acme.echo.note.written"
    assert json.loads(letter.data) == {"text": "poison"}
    assert letter.headers["proofloop-consumer"] == "picky"
    assert letter.headers["proofloop-error"] == "PermanentFailure"
    assert letter.headers["proofloop-reason"] == "nobody can read this: '%C3%A9'"
    assert Envelope.parse(letter.headers, letter.data).action == "note.written"


@pytest.mark.parametrize(
    ("headers", "data"),
    [(None, b"{}"), ({"ce-id": "7"}, b"{}"), (WHOLE, b"no JSON"), (WHOLE, b"\xff\xfe"), (WHOLE, "{}".encode("utf-16"))],
)
async def test_what_is_no_event_goes_to_the_dead_letters(serve, jetstream, eventually, headers, data) -> None:
    async def handle(events):
        return [None for _ in events]

    async with serve(consumers=[Consumer("strict", handle, NOTES)]), jetstream() as stream:
        await stream.publish("proofloop.event.acme.echo.note.written", data, headers=headers)
        [letter] = await dead_letters(jetstream, eventually, 1)
    assert letter.headers["proofloop-error"] == "MalformedEvent"
    assert letter.headers["proofloop-reason"]
    assert letter.data == data


async def test_an_event_that_fails_comes_back_later_and_the_others_do_not_wait(serve, eventually) -> None:
    attempts: dict[str, int] = {}
    loop = asyncio.get_running_loop()
    times: list[float] = []

    async def handle(events):
        outcomes = []
        for event in events:
            text = json.loads(event.data)["text"]
            attempts[text] = attempts.get(text, 0) + 1
            if text == "fails once":
                times.append(loop.time())
            outcomes.append(ConnectionError() if text == "fails once" and attempts[text] == 1 else None)
        return outcomes

    async def both() -> bool:
        return attempts == {"fails once": 2, "fine": 1}

    async with serve(consumers=[Consumer("shaky", handle, NOTES)]) as (service, _), service.channel() as channel:
        await EchoStub(channel).Say(note("fails once"))
        await EchoStub(channel).Say(note("fine"))
        await eventually(both)
    assert times[1] - times[0] > 0.9


@pytest.mark.parametrize("overlapping", [False, True])
async def test_a_handler_that_raises_at_one_event_neither_ends_the_service_nor_stops_the_others(
    serve, eventually, overlapping
) -> None:
    done: set[str] = set()

    async def act(events):
        texts = [json.loads(event.data)["text"] for event in events]
        if "defect" in texts:
            raise KeyError("a defect")
        done.update(texts)
        return [None for _ in events]

    async def handle(events):
        return asyncio.ensure_future(act(events)) if overlapping else await act(events)

    async def all_others() -> bool:
        return done == {"a", "b"}

    async with serve(consumers=[Consumer("brittle", handle, NOTES)]) as (service, _), service.channel() as channel:
        for text in ("a", "defect", "b"):
            await EchoStub(channel).Say(note(text))
        await eventually(all_others)
        assert not service.running.failed.done()


async def test_no_more_is_handed_out_than_a_consumer_has_room_for(serve, eventually) -> None:
    seen: list[int] = []
    release = asyncio.Event()

    async def handle(events):
        seen.append(len(events))
        await release.wait()
        return [None for _ in events]

    async def all_of_them() -> bool:
        return sum(seen) == 30

    async with serve(consumers=[Consumer("slow", handle, NOTES, batch=5)]) as (service, _):
        async with service.channel() as channel:
            for number in range(30):
                await EchoStub(channel).Say(note(str(number)))
        release.set()
        await eventually(all_of_them)
    assert max(seen) <= 5


async def test_what_a_replica_was_given_and_did_not_begin_is_handed_back_when_it_stops(
    serve, jetstream, eventually
) -> None:
    seen: list[str] = []

    async def never(_events):
        await asyncio.Event().wait()

    async def handle(events):
        seen.extend(json.loads(event.data)["text"] for event in events)
        return [None for _ in events]

    async def both_given() -> bool:
        async with jetstream() as stream:
            return (await stream.consumer_info(EVENT_STREAM, "shared")).num_ack_pending == 2

    async def any_seen() -> list[str]:
        return seen

    waiting = Consumer("shared", never, NOTES, batch=1)
    async with serve(consumers=[waiting]) as (service, _), service.channel() as channel:
        await EchoStub(channel).Say(note("begun"))
        await EchoStub(channel).Say(note("ahead"))
        await eventually(both_given)
    async with serve(consumers=[Consumer("shared", handle, NOTES)]):
        # The one that was begun is given out again when its 30 seconds are over.
        assert await eventually(any_seen) == ["ahead"]


async def test_a_wake_up_reaches_the_other_replica_at_once(serve, nats) -> None:
    from proofloop_runtime.breaker import Breakers
    from proofloop_runtime.messaging import Broker
    from proofloop_runtime.ports import SystemClock
    from proofloop_runtime.wakeup import Wakeup

    brokers = [Broker(nats.url, "echo", Breakers(SystemClock())) for _ in range(2)]
    try:
        for broker in brokers:
            await broker.connect()
        here, there = (Wakeup(broker, "proofloop.wake.echo.test") for broker in brokers)
        async with here.listening(), there.listening():
            await asyncio.gather(*(broker.client.flush() for broker in brokers))
            waiting = asyncio.ensure_future(there.wait(timedelta(seconds=60)))
            await asyncio.sleep(0)
            here.notify()
            await here.wait(timedelta(seconds=60))
            await waiting
    finally:
        for broker in brokers:
            await broker.close()
