"""What the other services hear."""

import json

import nats as nats_client
import pytest
from proofloop.prompts.v1.prompts_service_pb2 import GetPromptRequest
from proofloop_runtime.events import Envelope


@pytest.fixture
async def heard(nats, prompts):
    """Returns the next events of the stream."""
    client = await nats_client.connect(nats.url)
    subscription = await client.jetstream().subscribe("proofloop.event.acme.prompts.>", ordered_consumer=True)

    async def take(count: int) -> list[Envelope]:
        messages = [await subscription.next_msg(timeout=20) for _ in range(count)]
        return [Envelope.parse(message.headers, message.data) for message in messages]

    yield take
    await client.close()


async def test_every_change_is_an_event_under_the_id_that_the_prompt_shows(packets, ann, asking, answering, heard):
    asked = (await packets.CreatePrompt(asking(free_text_allowed=True, reason="two documents differ"))).prompt
    seen = (await ann.GetPrompt(GetPromptRequest(prompt_id=asked.prompt_id))).prompt
    answered = (await ann.AnswerPrompt(answering(asked, text="Ünits…"))).prompt
    events = await heard(3)
    assert [event.event_id for event in events] == [prompt.last_event_id for prompt in (asked, seen, answered)]
    assert [event.event_id for event in events] == [change.event_id for change in answered.changes]
    assert [event.action for event in events] == ["prompt.created", "prompt.delivered", "prompt.answered"]
    assert [event.actor_id for event in events] == ["packets", "ann", "ann"]
    assert [event.reason for event in events] == [change.reason for change in answered.changes]
    for event in events:
        assert (event.entity_type, event.entity_id, event.claim_id) == ("prompt", asked.prompt_id, asked.claim_id)
        data = json.loads(event.data)
        assert (data["promptId"], data["shownSha256"]) == (asked.prompt_id, asked.shown_sha256)
    said = json.loads(events[2].data)
    assert (said["optionId"], said["optionLabel"], said["text"]) == ("yes", "Yes", "Ünits…")


async def test_a_refused_answer_is_no_event(ask, ann, packets, answering, cancelling, refused, heard):
    asked = await ask()
    with refused("INVALID_ARGUMENT", "OPTION_UNKNOWN"):
        await ann.AnswerPrompt(answering(asked, option_id="maybe"))
    await packets.CancelPrompt(cancelling(asked))
    assert [event.action for event in await heard(2)] == ["prompt.created", "prompt.cancelled"]
