"""Domain events of every service become entries, exactly once in effect."""

import asyncio
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from google.protobuf.duration_pb2 import Duration
from opentelemetry.trace import SpanKind
from proofloop.access.v1.events_pb2 import CallerRefused
from proofloop.audit.v1 import log_pb2
from proofloop.audit.v1 import log_service_pb2 as contract
from proofloop_runtime import telemetry
from proofloop_runtime.call import CallerType
from proofloop_runtime.events import Actor, Envelope, Event, envelope

CLAIM = "0190a000-0000-7000-8000-000000000001"


def event(**changes) -> Envelope:
    happened = Event(
        event_id=str(uuid4()),
        noun="prompt",
        verb="answered",
        message=CallerRefused(method="any message will do", count=2),
        time=datetime(2026, 1, 2, 3, 4, 5, 678901, UTC),
        entity_type="prompt",
        entity_id="prompt-1",
        actor=Actor(CallerType.USER, "Änne O'Neil %41"),
        claim_id=CLAIM,
        outcome="failure",
        reason="too late",
    )
    made = envelope(
        happened,
        tenant="acme",
        service="prompts",
        correlation_id="correlation-1",
        ip_address="2001:db8::7",
        user_agent="Browser/1.0",
        trace_context={},
    )
    return made._replace(**changes)


@pytest.fixture
def publish(nats_client, audit):
    """Publishes an event as the outbox relay of any service does."""

    async def send(sent: Envelope, headers: dict[str, str] | None = None) -> None:
        await nats_client.jetstream().publish(sent.subject, sent.data, headers=sent.headers() | (headers or {}))

    return send


@pytest.fixture
def entry_of(log):
    """Waits for an event's entry."""

    async def get(sent: Envelope) -> log_pb2.Entry:
        request = contract.GetEntryRequest(entry_id=sent.event_id, max_wait=Duration(seconds=25))
        return (await log.GetEntry(request, timeout=30)).entry

    return get


async def test_an_event_becomes_an_entry_under_its_id(publish, entry_of) -> None:
    sent = event()
    await publish(sent)
    entry = await entry_of(sent)
    assert (entry.service, entry.action, entry.outcome) == ("prompts", "prompt.answered", log_pb2.OUTCOME_FAILURE)
    assert (entry.entity_type, entry.entity_id, entry.claim_id) == ("prompt", "prompt-1", CLAIM)
    assert entry.event_time.ToJsonString() == "2026-01-02T03:04:05.678901Z"
    assert entry.actor == log_pb2.Actor(type=log_pb2.ACTOR_TYPE_USER, id="Änne O'Neil %41")
    assert (entry.reason, entry.ip_address, entry.user_agent) == ("too late", "2001:db8::7", "Browser/1.0")
    assert entry.correlation_id == "correlation-1"
    assert entry.details_json == sent.data.decode() == '{"method": "any message will do", "count": "2"}'


async def test_an_event_that_is_delivered_twice_is_one_entry(
    publish, entry_of, assert_whole, spans, eventually
) -> None:
    async def processed() -> bool:
        return len(spans.named("process prompt.answered")) == 3

    sent = event()
    await publish(sent)
    await entry_of(sent)
    # Another Nats-Msg-Id, else the server itself would drop the second.
    await publish(sent, {"Nats-Msg-Id": "again"})
    await publish(sent, {"Nats-Msg-Id": "and again"})
    await eventually(processed)
    assert len(await assert_whole()) == 1


async def test_two_replicas_share_the_events(publish, replica, entry_of, assert_whole) -> None:
    events = [event() for _ in range(300)]
    async with replica():
        for sent in events:
            await publish(sent)
        for sent in events:
            await entry_of(sent)
    assert {entry.entry_id for entry in await assert_whole()} == {sent.event_id for sent in events}


async def test_an_event_that_was_published_before_the_service_started_is_taken_in(
    replica, nats_client, log, assert_whole
) -> None:
    # `log` belongs to a replica that has made the streams.
    sent = event(tenant="globex")
    await nats_client.jetstream().publish(sent.subject, sent.data, headers=sent.headers())
    async with replica() as late, late.channel(tenant="globex") as channel:
        stub = type(log)(channel)
        request = contract.GetEntryRequest(entry_id=sent.event_id, max_wait=Duration(seconds=25))
        assert (await stub.GetEntry(request, timeout=30)).entry.index == 0
    assert await assert_whole() == []


async def test_the_trace_of_an_event_goes_on_in_its_entry(publish, entry_of, spans, eventually) -> None:
    async def processed():
        return spans.named("process prompt.answered")

    with telemetry.span("send prompt.answered", SpanKind.PRODUCER) as send:
        sent = event(trace_context=telemetry.inject())
    await publish(sent)
    entry = await entry_of(sent)
    [process] = await eventually(processed)
    assert process.parent.span_id == send.get_span_context().span_id
    assert process.kind is SpanKind.CONSUMER
    assert process.attributes["audit.entry.id"] == sent.event_id
    assert entry.trace_id == f"{send.get_span_context().trace_id:032x}"


BURIED = {
    "unknown tenant": event(tenant="nobody"),
    "no uuid": event(event_id="17"),
    "no action": event(action="Prompt.Answered"),
    "long action": event(action="prompt." + "a" * 128),
    "no outcome": event(outcome="maybe"),
    "no kind of actor": event(actor_type="robot"),
    "long entity": event(entity_id="e" * 257),
    "no claim": event(claim_id="claim-1"),
    "no address": event(ip_address="somewhere"),
    "no time": event(time="yesterday"),
    "no service": event(service="x" * 64),
    "NUL": event(reason="\0"),
    "oversized": event(data=b'{"text": "' + b"t" * 65_536 + b'"}'),
    "no JSON": event(data=b"{"),
    "JSON in UTF-16": event(data='{"text": "t"}'.encode("utf-16")),
    "ambiguous JSON": event(data=b'{"a": 1, "a": 2}'),
    "deep JSON": event(data=b"[" * 50_000 + b"]" * 50_000),
}


async def test_events_that_can_never_be_entries_go_to_the_dead_letters(
    publish, nats_client, entry_of, assert_whole
) -> None:
    letters = await nats_client.jetstream().subscribe("proofloop.dead.>", ordered_consumer=True)
    for fault, wrong in BURIED.items():
        await publish(wrong)
        letter = await letters.next_msg(timeout=30)
        assert (letter.data, letter.headers["ce-id"]) == (wrong.data, wrong.event_id), fault
        assert letter.headers["proofloop-consumer"] == "audit-log"
    # The consumer goes on.
    good = event()
    await publish(good)
    await entry_of(good)
    assert len(await assert_whole()) == 1


async def test_a_wrong_event_goes_to_the_dead_letters_alone_whatever_it_came_with(
    publish, nats_client, entry_of, assert_whole
) -> None:
    letters = await nats_client.jetstream().subscribe("proofloop.dead.>", ordered_consumer=True)
    right, wrong = [event() for _ in range(60)], event(entity_id="e" * 257)
    await asyncio.gather(*(publish(sent) for sent in (*right[:30], wrong, *right[30:])))
    letter = await letters.next_msg(timeout=30)
    assert letter.headers["ce-id"] == wrong.event_id
    assert letter.headers["proofloop-reason"].startswith("draft.entity_id: ")
    for sent in right:
        await entry_of(sent)
    assert len(await assert_whole()) == len(right)


async def test_the_events_of_a_claim_stand_in_its_chain_in_the_order_of_the_stream(
    nats_client, audit, entry_of, assert_whole
) -> None:
    jetstream = nats_client.jetstream()
    # Batches of 200 follow each other; who acts for the first time is looked up in the middle of one.
    events = [event(actor_id=f"user-{number // 50}") for number in range(600)]
    stored = await asyncio.gather(
        *(jetstream.publish(sent.subject, sent.data, headers=sent.headers()) for sent in events)
    )
    for sent in events:
        await entry_of(sent)
    chain = sorted(await assert_whole(), key=lambda entry: entry.claim_sequence)
    published = sorted(zip(stored, events, strict=True), key=lambda pair: pair[0].seq)
    assert [entry.entry_id for entry in chain] == [sent.event_id for _, sent in published]


async def test_an_event_under_the_id_of_another_goes_to_the_dead_letters(publish, nats_client, entry_of) -> None:
    letters = await nats_client.jetstream().subscribe("proofloop.dead.>", ordered_consumer=True)
    sent = event()
    await publish(sent)
    await entry_of(sent)
    await publish(sent._replace(reason="another"), {"Nats-Msg-Id": "another"})
    await letters.next_msg(timeout=30)
    assert (await entry_of(sent)).reason == "too late"


async def test_a_message_that_is_no_event_goes_to_the_dead_letters(publish, nats_client) -> None:
    letters = await nats_client.jetstream().subscribe("proofloop.dead.>", ordered_consumer=True)
    await nats_client.jetstream().publish("proofloop.event.acme.prompts.prompt.answered", b"hello")
    assert (await letters.next_msg(timeout=30)).data == b"hello"
