"""Two replicas side by side are one service."""

import asyncio
from datetime import timedelta

import grpc
import pytest
from proofloop.prompts.v1.prompts_service_pb2_grpc import PromptServiceStub
from proofloop_prompts.prompts import conversion, handlers
from proofloop_prompts.prompts.journal import Journal
from proofloop_prompts.prompts.live import Live
from proofloop_runtime.breaker import Breakers
from proofloop_runtime.call import CallerType
from proofloop_runtime.database import Database
from proofloop_runtime.events import Actor
from proofloop_runtime.messaging import Broker
from proofloop_runtime.ports import SystemClock, SystemIds

HOUR, MOMENT = timedelta(hours=1), timedelta(milliseconds=50)


@pytest.fixture
async def elsewhere(replica, token_for):
    """Another replica, as ann calls it."""
    async with replica() as service, service.channel("cli", token=token_for("ann", "claimant")) as channel:
        yield PromptServiceStub(channel)


@pytest.fixture
async def unheard(prompts_settings, asking):
    """Asks ann something as a replica does that has lost its connection to NATS; returns the prompt's id."""
    clock = SystemClock()
    breakers = Breakers(clock)
    database = Database(prompts_settings.database_url.get_secret_value(), "prompts", clock, breakers)
    journal = Journal(SystemIds(), Live(Broker("nats://127.0.0.1:1", "prompts", breakers)))

    async def ask() -> str:
        draft = conversion.to_draft(asking(), clock.now() + HOUR)
        async with database.transaction("acme") as unit:
            actor = Actor(CallerType.SERVICE, "packets")
            return (await handlers.create(unit, journal, draft=draft, actor=actor, reason="asked")).prompt_id

    yield ask
    await database.close()


async def test_what_happens_on_one_wakes_the_readers_of_the_other(replica, token_for, ask, watching):
    """With looks an hour apart: only the wake-up can bring it in time."""
    async with (
        replica(watch_poll=HOUR) as service,
        service.channel("cli", token=token_for("ann", "claimant")) as channel,
    ):
        with watching(PromptServiceStub(channel)) as reader:
            assert await reader.until_quiet() == []
            asked = await ask()
            assert (await reader.event()).entity_id == asked.prompt_id


async def test_a_reader_whose_wake_up_is_lost_finds_the_event_by_looking(unheard, replica, token_for, asking, watching):
    async with (
        replica(watch_poll=MOMENT) as service,
        service.channel("cli", token=token_for("ann", "claimant")) as channel,
    ):
        with watching(PromptServiceStub(channel)) as reader:
            assert await reader.until_quiet() == []
            prompt_id = await unheard()
            assert (await reader.event()).entity_id == prompt_id


async def test_a_stream_continues_on_another_replica(ask, ann, elsewhere, watching, answering):
    asked = await ask()
    with watching(ann) as reader:
        seen = await reader.until_quiet()
    await ann.AnswerPrompt(answering(asked))
    with watching(elsewhere, resume_token=reader.token) as other:
        seen += await other.until_quiet()
    assert [event.type for event in seen] == ["prompt.created", "prompt.delivered", "prompt.answered"]


async def test_of_answers_given_at_once_on_both_one_counts(ask, ann, elsewhere, answering, look):
    asked = await ask()
    answers = [
        stub.AnswerPrompt(answering(asked, option_id=option))
        for stub, option in ((ann, "yes"), (elsewhere, "no"), (ann, "no"), (elsewhere, "yes"))
    ]
    outcomes = await asyncio.gather(*answers, return_exceptions=True)
    refusals = [outcome for outcome in outcomes if isinstance(outcome, grpc.aio.AioRpcError)]
    (accepted,) = [outcome for outcome in outcomes if outcome not in refusals]
    assert {refusal.code() for refusal in refusals} == {grpc.StatusCode.FAILED_PRECONDITION}
    assert await look(asked) == accepted.prompt


async def test_a_request_repeated_on_the_other_replica_gets_the_first_answer(ask, ann, elsewhere, answering):
    request = answering(await ask())
    assert await ann.AnswerPrompt(request) == await elsewhere.AnswerPrompt(request)


async def test_writers_on_both_leave_no_gap_in_a_feed(ask, replica, ann, asking, watching):
    """Every message's position is one beyond the one before, whoever wrote it."""
    async with replica() as service, service.channel() as channel:
        other = PromptServiceStub(channel)
        made = await asyncio.gather(*(ask() if n % 2 else other.CreatePrompt(asking()) for n in range(40)))
    with watching(ann, event_types=["prompt.created"]) as reader:
        seen = [await reader.event() for _ in made]
    assert len({event.entity_id for event in seen}) == len(made)
