"""WatchPrompts: what happens, as it happens, without a gap or a repeat."""

from datetime import timedelta
from uuid import uuid4

from proofloop.prompts.v1 import prompts_pb2 as prompts
from proofloop.prompts.v1.prompts_service_pb2 import ListPromptsRequest, WatchPromptsRequest


def types(events) -> list[str]:
    return [event.type for event in events]


async def test_a_person_sees_what_happens_to_their_prompts_as_it_happens(ask, ann, watching, answering):
    with watching(ann) as reader:
        assert await reader.until_quiet() == []
        asked = await ask()
        created, delivered = await reader.event(), await reader.event()
        answered = (await ann.AnswerPrompt(answering(asked))).prompt
        last = await reader.event()
    assert types([created, delivered, last]) == ["prompt.created", "prompt.delivered", "prompt.answered"]
    assert created.prompt == asked
    assert last.prompt == answered
    assert (last.event_id, last.entity_id) == (answered.last_event_id, asked.prompt_id)
    assert (last.claim_id, last.service, last.entity_type) == (asked.claim_id, "prompts", "prompt")
    assert last.event_time == answered.update_time


async def test_a_prompt_is_delivered_by_the_stream_that_hands_it_to_its_assignee(ask, ann, watching, look):
    asked = await ask()
    with watching(ann) as reader:
        assert (await reader.event()).prompt.shown_sha256 == asked.shown_sha256
        assert (await reader.event()).type == "prompt.delivered"
    delivered = await look(asked)
    assert delivered.state == prompts.PROMPT_STATE_DELIVERED
    with watching(ann) as reader:
        assert types(await reader.until_quiet()) == ["prompt.created", "prompt.delivered"]
    assert await look(asked) == delivered


async def test_neither_a_claims_reader_nor_a_filter_that_passes_it_over_delivers(ask, ann, reviewer, watching, look):
    asked = await ask()
    with watching(reviewer, claim_id=asked.claim_id) as reader:
        assert types(await reader.until_quiet()) == ["prompt.created"]
    with watching(ann, event_types=["prompt.answered"]) as reader:
        assert await reader.until_quiet() == []
    assert (await look(asked)).state == prompts.PROMPT_STATE_PENDING


async def test_from_every_token_a_stream_continues_without_a_gap_or_a_repeat(ask, ann, watching, answering):
    for _ in range(3):
        await ann.AnswerPrompt(answering(await ask()))
    seen, tokens = [], []
    with watching(ann) as reader:
        while len(seen) < 6:
            seen.append((await reader.message()).event)
            tokens.append(reader.token)
    assert len({event.event_id for event in seen}) == 6
    for index, token in enumerate(tokens):
        with watching(ann, resume_token=token) as reader:
            assert await reader.until_quiet() == seen[index + 1 :]


async def test_every_connection_of_a_person_sees_everything(ask, as_person, watching):
    async with as_person("ann", "claimant") as phone, as_person("ann", "claimant") as laptop:
        with watching(phone) as one, watching(laptop) as other:
            assert await one.until_quiet() == await other.until_quiet() == []
            await ask()
            seen = [[await reader.event(), await reader.event()] for reader in (one, other)]
    assert seen[0] == seen[1]
    assert types(seen[0]) == ["prompt.created", "prompt.delivered"]


async def test_a_person_never_sees_anothers(ask, ann, as_person, watching):
    await ask(assignee_id="bob")
    mine = await ask()
    with watching(ann) as reader:
        assert {event.entity_id for event in await reader.until_quiet()} == {mine.prompt_id}
    async with as_person("ann", "claimant", tenant="globex") as namesake:
        with watching(namesake) as reader:
            assert await reader.until_quiet() == []


async def test_a_claims_feed_shows_the_prompts_of_all_its_people(ask, packets, reviewer, watching, cancelling):
    claim_id = str(uuid4())
    one, other = await ask(claim_id=claim_id), await ask(claim_id=claim_id, assignee_id="bob")
    await ask()
    await packets.CancelPrompt(cancelling(one))
    expected = [("prompt.created", one), ("prompt.created", other), ("prompt.cancelled", one)]
    for stub in (packets, reviewer):
        with watching(stub, claim_id=claim_id.upper()) as reader:
            events = await reader.until_quiet()
        assert [(e.type, e.entity_id) for e in events] == [(kind, p.prompt_id) for kind, p in expected]


async def test_a_reader_gets_the_types_it_asked_for_and_resumes_behind_the_others(ask, ann, watching, answering):
    asked = await ask()
    await ann.AnswerPrompt(answering(asked))
    with watching(ann, event_types=["packet.*", "prompt.answered"]) as reader:
        assert types(await reader.until_quiet()) == ["prompt.answered"]
    with watching(ann, event_types=["packet.*"]) as reader:
        assert await reader.until_quiet() == []
        token = reader.token
    with watching(ann, resume_token=token) as reader:
        assert await reader.until_quiet() == []


async def test_a_quiet_stream_beats(replica, as_person, watching):
    async with (
        replica(heartbeat=timedelta(milliseconds=20)) as service,
        as_person("ann", "claimant", service=service) as ann,
    ):
        with watching(ann) as reader:
            beats = [await reader.message() for _ in range(3)]
    assert [beat.WhichOneof("item") for beat in beats] == ["heartbeat"] * 3


async def test_what_a_list_does_not_show_comes_behind_its_token(ask, ann, watching, answering):
    asked = await ask()
    listed = await ann.ListPrompts(ListPromptsRequest())
    assert list(listed.prompts) == [asked]
    with watching(ann, resume_token=listed.resume_token) as reader:
        assert await reader.until_quiet() == []
        await ann.AnswerPrompt(answering(asked))
        assert (await reader.event()).type == "prompt.answered"


async def test_a_list_gives_the_token_of_the_feed_that_its_caller_may_watch(ask, ann, packets, reviewer, watching):
    asked = await ask()
    of_claim = ListPromptsRequest(claim_id=asked.claim_id)
    with watching(
        packets, claim_id=asked.claim_id, resume_token=(await packets.ListPrompts(of_claim)).resume_token
    ) as r:
        assert await r.until_quiet() == []
    with watching(ann, resume_token=(await ann.ListPrompts(of_claim)).resume_token) as r:
        assert await r.until_quiet() == []
    with watching(reviewer, resume_token=(await reviewer.ListPrompts(ListPromptsRequest())).resume_token) as r:
        assert await r.until_quiet() == []
    assert (await packets.ListPrompts(ListPromptsRequest())).resume_token == ""


async def test_a_token_of_another_feed_is_refused(ask, ann, packets, refused):
    asked = await ask()
    token = (await packets.ListPrompts(ListPromptsRequest(claim_id=asked.claim_id))).resume_token
    for wrong in (token, "!"):
        with refused("INVALID_ARGUMENT", "RESUME_TOKEN_INVALID") as caught:
            await ann.WatchPrompts(WatchPromptsRequest(resume_token=wrong)).read()
        assert caught.refusal.fields == ("resume_token",)
