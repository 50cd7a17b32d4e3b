"""Events of other services in a claim's feed."""

import json
from datetime import UTC, datetime
from uuid import uuid4

import nats as nats_client
import pytest


@pytest.fixture
async def say(nats):
    """Publishes an event as another service's relay does, once or more often."""
    client = await nats_client.connect(nats.url)

    async def publish(claim_id="", *, action="packet.generated", times=1, tenant="acme", **attributes) -> str:
        event_id = str(uuid4())
        noun, _, _ = action.partition(".")
        headers = {
            "ce-specversion": "1.0",
            "ce-id": event_id,
            "ce-source": "/proofloop/packets",
            "ce-type": "proofloop.packets.v1.PacketGenerated",
            "ce-time": datetime(2026, 1, 2, 3, 4, 5, 678901, UTC).isoformat(),
            "ce-tenant": tenant,
            "ce-service": "packets",
            "ce-action": action,
            "ce-subject": "packet-1",
            "ce-entitytype": noun,
            "ce-claimid": claim_id,
            "ce-actortype": "service",
            "ce-actorid": "packets",
        } | {f"ce-{name}": value for name, value in attributes.items()}
        subject = f"proofloop.event.{tenant}.packets.{action}"
        for _ in range(times):
            await client.jetstream().publish(subject, json.dumps({}).encode(), headers=headers)
        return event_id

    yield publish
    await client.close()


async def test_what_another_service_says_of_a_claim_is_in_the_claims_feed(packets, watching, say):
    claim_id = str(uuid4())
    with watching(packets, claim_id=claim_id) as reader:
        assert await reader.until_quiet() == []
        event_id = await say(claim_id)
        event = await reader.event()
    assert (event.event_id, event.type, event.claim_id) == (event_id, "packet.generated", claim_id)
    assert (event.service, event.entity_type, event.entity_id) == ("packets", "packet", "packet-1")
    assert event.event_time.ToDatetime(UTC) == datetime(2026, 1, 2, 3, 4, 5, 678901, UTC)
    assert not event.HasField("prompt")


async def test_an_event_delivered_more_than_once_is_in_the_feed_once(packets, watching, say):
    claim_id = str(uuid4())
    with watching(packets, claim_id=claim_id) as reader:
        twice, after = await say(claim_id, times=3), await say(claim_id, action="claim.submitted")
        assert [(await reader.event()).event_id for _ in range(2)] == [twice, after]


async def test_types_of_other_services_can_be_chosen(packets, watching, say):
    claim_id = str(uuid4())
    with watching(packets, claim_id=claim_id, event_types=["export.*", "packet.failed"]) as reader:
        await say(claim_id)
        chosen = [await say(claim_id, action=action) for action in ("packet.failed", "export.completed")]
        assert [(await reader.event()).event_id for _ in chosen] == chosen


async def test_an_event_without_a_claim_or_of_another_tenant_is_in_no_feed_of_ours(packets, watching, say):
    claim_id = str(uuid4())
    with watching(packets, claim_id=claim_id) as reader:
        await say()
        await say(claim_id, tenant="globex")
        mine = await say(claim_id)
        assert (await reader.event()).event_id == mine


async def test_an_event_that_can_never_be_understood_does_not_hold_up_the_others(packets, watching, say):
    claim_id = str(uuid4())
    with watching(packets, claim_id=claim_id) as reader:
        await say("no-claim-of-ours")
        await say(claim_id, time="yesterday")
        mine = await say(claim_id)
        assert (await reader.event()).event_id == mine


async def test_our_own_events_come_back_from_the_stream_without_a_second_entry(ask, packets, watching, say):
    asked = await ask()
    with watching(packets, claim_id=asked.claim_id) as reader:
        assert (await reader.event()).event_id == asked.last_event_id
        # The stream is consumed in order, so when this one is here ours have been passed over.
        later = await say(asked.claim_id)
        assert (await reader.event()).event_id == later
