"""Prompts expire by themselves, on time, once, on any replica."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from proofloop.prompts.v1 import prompts_pb2 as prompts
from proofloop.prompts.v1.prompts_service_pb2 import GetPromptRequest
from proofloop.prompts.v1.prompts_service_pb2_grpc import PromptServiceStub
from proofloop_runtime.application import Ports
from proofloop_runtime.testing import FakeClock

HOUR, SECOND, MOMENT = timedelta(hours=1), timedelta(seconds=1), timedelta(milliseconds=20)


def at(time: datetime) -> Timestamp:
    message = Timestamp()
    message.FromDatetime(time)
    return message


@pytest.fixture
def clock() -> FakeClock:
    """The clock of the replicas under test; the workers look at it as often as a replica's setting says."""
    return FakeClock(datetime.now(UTC))


@pytest.fixture
async def attentive(replica, clock):
    """The packets service and ann, at a replica that looks for due prompts all the time."""
    async with replica(Ports(clock=clock), expiry_look=MOMENT) as service:
        yield service


@pytest.fixture
async def packets(attentive):
    async with attentive.channel() as channel:
        yield PromptServiceStub(channel)


@pytest.fixture
async def ann(attentive, token_for):
    async with attentive.channel("cli", token=token_for("ann", "claimant")) as channel:
        yield PromptServiceStub(channel)


async def test_a_prompt_expires_and_says_who_and_why(ask, packets, watching, look, clock):
    asked = await ask(expire_time=at(clock.now() + HOUR))
    clock.advance(HOUR)
    with watching(packets, claim_id=asked.claim_id, event_types=["prompt.expired"]) as reader:
        event = await reader.event()
    expired = await look(asked)
    assert event.prompt == expired
    assert expired.state == prompts.PROMPT_STATE_EXPIRED
    change = expired.changes[-1]
    assert (change.actor_type, change.actor_id) == (prompts.ACTOR_TYPE_SERVICE, "prompts")
    assert change.reason == "no answer in time"
    assert change.change_time == expired.expire_time


async def test_an_expired_prompt_takes_neither_answer_nor_cancellation(
    ask, ann, packets, watching, answering, cancelling, refused, look, clock
):
    asked = await ask(expire_time=at(clock.now() + HOUR))
    clock.advance(HOUR)
    with watching(packets, claim_id=asked.claim_id, event_types=["prompt.expired"]) as reader:
        expired = (await reader.event()).prompt
    with refused("FAILED_PRECONDITION", "PROMPT_EXPIRED") as caught:
        await ann.AnswerPrompt(answering(asked))
    assert caught.refusal.conditions == (f"prompts/{asked.prompt_id}",)
    assert datetime.fromisoformat(caught.refusal.metadata["expire_time"]) == asked.expire_time.ToDatetime(UTC)
    with refused("FAILED_PRECONDITION", "PROMPT_EXPIRED"):
        await packets.CancelPrompt(cancelling(asked))
    assert await look(asked) == expired


async def test_what_is_answered_or_withdrawn_never_expires(ask, ann, packets, watching, answering, cancelling, clock):
    claim_id, soon, later = str(uuid4()), at(clock.now() + HOUR), at(clock.now() + 2 * HOUR)
    await ann.AnswerPrompt(answering(await ask(claim_id=claim_id, expire_time=soon)))
    await packets.CancelPrompt(cancelling(await ask(claim_id=claim_id, expire_time=soon)))
    forgotten = await ask(claim_id=claim_id, expire_time=later)
    clock.advance(2 * HOUR)
    with watching(packets, claim_id=claim_id, event_types=["prompt.expired"]) as reader:
        assert (await reader.event()).entity_id == forgotten.prompt_id


async def test_a_late_answer_is_refused_though_the_expiry_is_not_recorded_yet(
    replica, clock, token_for, asking, answering, refused
):
    """On a replica whose worker sleeps for an hour."""
    async with (
        replica(Ports(clock=clock), expiry_look=HOUR) as service,
        service.channel() as packets_channel,
        service.channel("cli", token=token_for("ann", "claimant")) as channel,
    ):
        packets, ann = PromptServiceStub(packets_channel), PromptServiceStub(channel)
        late = (await packets.CreatePrompt(asking(expire_time=at(clock.now() + 2 * HOUR)))).prompt
        in_time = (await packets.CreatePrompt(asking(expire_time=at(clock.now() + 2 * HOUR + SECOND)))).prompt
        clock.advance(2 * HOUR)
        with refused("FAILED_PRECONDITION", "PROMPT_EXPIRED"):
            await ann.AnswerPrompt(answering(late))
        assert (await ann.GetPrompt(GetPromptRequest(prompt_id=late.prompt_id))).prompt == late
        assert (await ann.AnswerPrompt(answering(in_time))).prompt.state == prompts.PROMPT_STATE_ANSWERED


async def test_a_prompt_that_is_due_before_the_next_look_sets_the_alarm(replica, asking, watching):
    """On a replica whose worker would else sleep for an hour, by the real clock."""
    async with replica(expiry_look=HOUR) as service, service.channel() as channel:
        packets = PromptServiceStub(channel)
        while True:
            request = asking(expire_time=at(datetime.now(UTC) + SECOND / 4))
            try:
                await packets.CreatePrompt(request)
            except grpc.aio.AioRpcError as error:
                # The machine was so busy that the time had passed already.
                if error.code() is not grpc.StatusCode.INVALID_ARGUMENT:
                    raise
            else:
                break
        with watching(packets, claim_id=request.claim_id, event_types=["prompt.expired"]) as reader:
            await reader.event()


async def test_replicas_expire_many_prompts_once_each(replica, clock, asking, watching):
    claim_id, count, due = str(uuid4()), 100, at(clock.now() + HOUR)
    async with (
        replica(Ports(clock=clock), expiry_look=MOMENT, expiry_batch=7) as one,
        replica(Ports(clock=clock), expiry_look=MOMENT, expiry_batch=11),
        one.channel() as channel,
    ):
        packets = PromptServiceStub(channel)
        requests = [asking(claim_id=claim_id, expire_time=due, assignee_id=f"u-{n % 5}") for n in range(count)]
        made = [await packets.CreatePrompt(request) for request in requests]
        clock.advance(HOUR)
        with watching(packets, claim_id=claim_id, event_types=["prompt.expired"]) as reader:
            expired = [await reader.event() for _ in range(count)]
        assert {event.entity_id for event in expired} == {response.prompt.prompt_id for response in made}
        with watching(packets, claim_id=claim_id, resume_token=reader.token) as reader:
            assert await reader.until_quiet() == []
