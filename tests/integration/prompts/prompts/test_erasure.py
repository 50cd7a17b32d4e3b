"""What prompts and feeds forget of a person when the audit service says that they were erased."""

import hashlib
from uuid import uuid4

import asyncpg
import erasures
import nats as nats_client
import pytest
from leftovers import tables_that_say
from proofloop.prompts.v1.prompts_pb2 import Option, Prompt, PromptState
from proofloop.prompts.v1.prompts_service_pb2 import ListPromptsRequest
from proofloop_verifier import canonical

ANN = f"ann+{'x' * 150}@example.com"
TEXT = "Änne: forty, I counted them myself"


@pytest.fixture
async def superuser(postgres, prompts_database):
    connection = await asyncpg.connect(f"{postgres.superuser_url.rpartition('/')[0]}/{prompts_database.name}")
    yield connection
    await connection.close()


@pytest.fixture
async def broker(nats):
    client = await nats_client.connect(nats.url)
    yield client
    await client.close()


@pytest.fixture
def erased(broker):
    """Says that a person was erased."""

    async def publish(person: str = ANN, **changes) -> str:
        return await erasures.tell(broker, person, **changes)

    return publish


@pytest.fixture
def forgotten(look, eventually):
    """Waits until a prompt names its assignee no more."""

    async def wait(asked: Prompt) -> Prompt:
        async def blank() -> Prompt | None:
            prompt = await look(asked)
            return None if prompt.assignee_id else prompt

        return await eventually(blank)

    return wait


async def test_a_prompt_forgets_its_erased_assignee_and_keeps_states_and_hashes(
    ask, as_person, answering, erased, forgotten
):
    asked = await ask(assignee_id=ANN, free_text_allowed=True, context="You signed for the pallet, Änne.")
    async with as_person(ANN, "claimant") as ann:
        before = (await ann.AnswerPrompt(answering(asked, option_id="yes", text=TEXT))).prompt
    await erased()
    after = await forgotten(asked)
    assert (after.question, after.context, after.answer.text) == ("", "", "")
    assert after.shown_sha256 == before.shown_sha256 == after.answer.shown_sha256
    shown = {
        "question": asked.question,
        "context": asked.context,
        "options": [{"id": option.id, "label": option.label} for option in asked.options],
        "free_text_allowed": True,
    }
    assert hashlib.sha256(canonical.dumps(shown)).hexdigest() == after.shown_sha256
    # All else is as it was.
    for prompt in (before, after):
        for field in ("assignee_id", "question", "context"):
            prompt.ClearField(field)
        prompt.answer.ClearField("text")
        for change in prompt.changes:
            change.ClearField("reason")
    before.changes[-1].ClearField("actor_id")
    assert after == before
    assert after.state == PromptState.PROMPT_STATE_ANSWERED


async def test_what_an_erased_person_did_to_others_prompts_names_them_no_more(
    ask, as_person, cancelling, look, erased, eventually
):
    asked = await ask(assignee_id="bob", options=[Option(id="yes", label="Yes")])
    async with as_person(ANN, "reviewer") as ann:
        before = (await ann.CancelPrompt(cancelling(asked, reason=TEXT))).prompt
    await erased()

    async def blank():
        prompt = await look(asked)
        return None if prompt.changes[-1].actor_id else prompt

    after = await eventually(blank)
    assert (after.assignee_id, after.question, after.changes[0]) == ("bob", before.question, before.changes[0])
    assert (after.changes[1].reason, after.state) == ("", PromptState.PROMPT_STATE_CANCELLED)


async def test_no_table_says_anything_of_an_erased_person(
    ask, as_person, asking, answering, cancelling, packets, watching, erased, superuser, eventually
):
    """Feeds, first answers and published events included; what is about others stays."""
    claim_id = str(uuid4())
    asked = await ask(assignee_id=ANN, claim_id=claim_id, free_text_allowed=True)
    others = await ask(assignee_id="bob", claim_id=claim_id)
    async with as_person(ANN, "claimant", "reviewer") as ann:
        await ann.AnswerPrompt(answering(asked, text=TEXT))
        await ann.CancelPrompt(cancelling(others, reason=TEXT))
        await ann.CreatePrompt(asking(assignee_id="bob", claim_id=claim_id, reason=TEXT))
    said = {table for text in (ANN, TEXT) for table in await tables_that_say(superuser, text)}
    assert said == {"prompt", "feed", "idempotency", "outbox"}
    await erased()

    async def nothing_is_left() -> bool:
        return not [table for text in (ANN, TEXT) for table in await tables_that_say(superuser, text)]

    await eventually(nothing_is_left)
    with watching(packets, claim_id=claim_id) as reader:
        events = await reader.until_quiet()
    assert [event.type for event in events] == [
        "prompt.created",
        "prompt.created",
        "prompt.answered",
        "prompt.cancelled",
        "prompt.created",
    ]
    assert [event.prompt.assignee_id for event in events] == ["", "bob", "", "bob", "bob"]
    assert [event.prompt.HasField("answer") for event in events] == [False, False, True, False, False]
    assert (events[3].prompt.question, events[2].prompt.answer.option_id) == (others.question, "yes")
    async with as_person(ANN, "claimant") as ann:
        with watching(ann) as reader:
            assert await reader.until_quiet() == []
        assert list((await ann.ListPrompts(ListPromptsRequest())).prompts) == []


async def test_an_erasure_that_is_told_again_does_not_reach_who_came_back(ask, look, erased, forgotten, broker):
    first = await ask(assignee_id=ANN)
    event_id = await erased()
    await forgotten(first)
    later = await ask(assignee_id=ANN)
    await erased(event_id=event_id)
    await erased("bob")
    bobs = await ask(assignee_id="bob")
    await erased("bob")
    # Erasures are obeyed in order: when this one is, the repetition has been passed over.
    await forgotten(bobs)
    assert (await look(later)).assignee_id == ANN


async def test_an_erasure_stays_within_its_tenant_and_a_broken_one_goes_to_the_dead_letters(
    ask, look, erased, forgotten, broker
):
    letters = await broker.jetstream().subscribe("proofloop.dead.>", ordered_consumer=True)
    mine, bobs = await ask(assignee_id=ANN), await ask(assignee_id="bob")
    await erased(tenant="globex")
    for broken in (b"{}", b'{"subjectId": 17}', b"[]"):
        event_id = await erased(data=broken)
        # Whoever consumes it: prompts alone runs here.
        letter = await letters.next_msg(timeout=30)
        assert (letter.headers["ce-id"], letter.headers["proofloop-consumer"]) == (event_id, "prompts-erasure")
    await erased("bob")
    await forgotten(bobs)
    assert (await look(mine)).assignee_id == ANN
