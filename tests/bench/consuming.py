"""Events of JetStream into the log, against a bare loop that fetches 200 messages and acknowledges them."""

import asyncio
import time
from datetime import UTC, datetime
from uuid import uuid4

import asyncpg
from nats.aio.client import Client
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from nats.js.client import JetStreamContext
from proofloop.prompts.v1.events_pb2 import PromptAnswered
from proofloop_local.servers.postgres import Database
from proofloop_runtime.call import CallerType
from proofloop_runtime.events import EVENTS as EVENTS_OF_ALL
from proofloop_runtime.events import Actor, Event, envelope
from proofloop_runtime.messaging import EVENT_STREAM
from report import Figure
from stand import TENANT, Process, Stand

RUNS = 5
EVENTS = 20_000
FETCH = 200


async def figures(stand: Stand) -> list[Figure]:
    """Measure."""
    database = await stand.new_database("consuming")
    audit = await stand.audit(database)
    client = Client()
    await client.connect(stand.nats.url)
    pairs = [await _pair(stand, client, database, audit) for _ in range(RUNS)]
    await client.close()
    return [Figure("events into the log", "1/s", f"bare fetch and acknowledge, {FETCH} at a time", pairs, 0.5)]


async def _pair(stand: Stand, client: Client, database: Database, audit: Process) -> tuple[float, float]:
    """Let the service stand still while events are published, then take the time from its first entry to its last."""
    audit.pause()
    for _ in range(EVENTS // FETCH):
        await asyncio.gather(*(_publish(client.jetstream()) for _ in range(FETCH)))
    bare = await _bare(client.jetstream())
    connection = await asyncpg.connect(f"{stand.postgres.superuser_url.rpartition('/')[0]}/{database.name}")
    before = await connection.fetchval("SELECT count(*) FROM log_entry")
    audit.proceed()
    while await connection.fetchval("SELECT count(*) FROM log_entry") < before + EVENTS:  # noqa: ASYNC110 (of another process)
        await asyncio.sleep(0.2)
    seconds = await connection.fetchval(
        "SELECT extract(epoch FROM max(append_time) - min(append_time)) FROM log_entry WHERE index >= $1", before
    )
    await connection.close()
    return EVENTS / float(seconds), bare


async def _publish(jetstream: JetStreamContext) -> None:
    """Publish an event as prompts does."""
    event = Event(
        event_id=str(uuid4()),
        noun="prompt",
        verb="answered",
        message=PromptAnswered(prompt_id=str(uuid4())),
        time=datetime.now(UTC),
        entity_type="prompt",
        entity_id=str(uuid4()),
        actor=Actor(CallerType.USER, "user-17"),
    )
    sent = envelope(
        event, tenant=TENANT, service="prompts", correlation_id="", ip_address="", user_agent="", trace_context={}
    )
    await jetstream.publish(sent.subject, sent.data, headers=sent.headers())


async def _bare(jetstream: JetStreamContext) -> float:
    """Fetch and acknowledge the last events of the stream; return messages per second."""
    last = (await jetstream.stream_info(EVENT_STREAM)).state.last_seq
    config = ConsumerConfig(
        ack_policy=AckPolicy.EXPLICIT,
        max_ack_pending=4 * FETCH,
        deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
        opt_start_seq=last - EVENTS + 1,
    )
    name = f"bare-{uuid4()}"
    subscription = await jetstream.pull_subscribe(EVENTS_OF_ALL, durable=name, stream=EVENT_STREAM, config=config)
    start, taken = time.perf_counter(), 0
    while taken < EVENTS:
        messages = await subscription.fetch(FETCH, timeout=5)
        for message in messages:
            await message.ack()
        taken += len(messages)
    rate = taken / (time.perf_counter() - start)
    await subscription.unsubscribe()
    await jetstream.delete_consumer(EVENT_STREAM, name)
    return rate
