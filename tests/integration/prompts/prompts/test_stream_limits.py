"""How a stream ends that cannot go on, and how its reader goes on."""

from contextlib import AsyncExitStack
from datetime import timedelta
from functools import partial

import grpc.aio
import pytest
from proofloop.prompts.v1.prompts_service_pb2 import ListPromptsRequest, WatchPromptsRequest
from proofloop.prompts.v1.prompts_service_pb2_grpc import PromptServiceStub
from proofloop_prompts.prompts.retention import Retention
from proofloop_runtime.breaker import Breakers
from proofloop_runtime.database import Database
from proofloop_runtime.ports import SystemClock


@pytest.fixture
async def database(prompts_settings):
    clock = SystemClock()
    database = Database(prompts_settings.database_url.get_secret_value(), "prompts", clock, Breakers(clock))
    yield database
    await database.close()


@pytest.fixture
def forget(database):
    """Removes every feed event of acme that is there by now."""

    async def trim() -> None:
        await Retention(database, SystemClock(), ["acme"], keep=timedelta(0)).trim("acme")

    return trim


async def admitted(stub) -> grpc.aio.UnaryStreamCall:
    """Open a stream as soon as the replica has room for it."""
    while True:
        call = stub.WatchPrompts(WatchPromptsRequest())
        try:
            await call.read()
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.RESOURCE_EXHAUSTED:
                raise
        else:
            return call


async def test_a_replica_that_shuts_down_ends_its_streams_and_another_goes_on(replica, as_person, ask, watching):
    await ask()
    async with AsyncExitStack() as channels:
        async with replica() as leaving:
            ann = await channels.enter_async_context(as_person("ann", "claimant", service=leaving))
            reader = channels.enter_context(watching(ann))
            assert len(await reader.until_quiet()) == 2
        last = await reader.message()
        assert last.end.reason == "ERROR_REASON_DRAINING"
        assert await reader.call.read() is grpc.aio.EOF
        assert await reader.call.code() is grpc.StatusCode.OK
    async with as_person("ann", "claimant") as ann:
        with watching(ann, resume_token=last.resume_token) as reader:
            assert await reader.until_quiet() == []
            await ask()
            assert (await reader.event()).type == "prompt.created"


async def test_a_token_past_retention_is_out_of_range_and_the_list_leads_back(
    ask, ann, watching, answering, refused, forget
):
    asked = await ask()
    with watching(ann) as reader:
        await reader.event()
        token = reader.token
        await reader.until_quiet()
    await forget()
    with refused("OUT_OF_RANGE", "RESUME_TOKEN_OUT_OF_RANGE") as caught:
        await ann.WatchPrompts(WatchPromptsRequest(resume_token=token)).read()
    assert caught.refusal.metadata == {"sequence": "1", "oldest_sequence": "3"}
    listed = await ann.ListPrompts(ListPromptsRequest())
    with watching(ann, resume_token=listed.resume_token) as reader:
        assert await reader.until_quiet() == []
        await ann.AnswerPrompt(answering(asked))
        assert (await reader.event()).type == "prompt.answered"


async def test_a_token_of_the_newest_event_outlives_the_event(ask, ann, watching, forget):
    await ask()
    with watching(ann) as reader:
        assert len(await reader.until_quiet()) == 2
        token = reader.token
    await forget()
    with watching(ann, resume_token=token) as reader:
        assert await reader.until_quiet() == []
    with watching(ann) as reader:
        assert await reader.until_quiet() == []
        assert reader.token == token


async def test_a_reader_behind_retention_is_told_within_its_stream(ask, ann, watching, refused, forget, answering):
    """As happens when a feed grows faster than its reader reads for as long as events are kept."""
    asked = await ask()
    with watching(ann, event_types=["prompt.answered"]) as reader:
        assert await reader.until_quiet() == []
        ahead = reader.token
    await forget()
    await ann.AnswerPrompt(answering(asked))
    await forget()
    with refused("OUT_OF_RANGE", "RESUME_TOKEN_OUT_OF_RANGE"):
        await ann.WatchPrompts(WatchPromptsRequest(resume_token=ahead)).read()


async def test_a_caller_may_open_as_many_streams_as_the_setting_says(replica, as_person, watching, refused):
    async with (
        replica(streams_per_caller=2) as service,
        as_person("ann", "claimant", service=service) as ann,
        as_person("bob", "claimant", service=service) as bob,
    ):
        with watching(ann) as one, watching(ann) as two:
            await one.until_quiet()
            await two.until_quiet()
            with refused("RESOURCE_EXHAUSTED", "TOO_MANY_STREAMS") as caught:
                await ann.WatchPrompts(WatchPromptsRequest()).read()
            with watching(bob) as reader:
                assert await reader.until_quiet() == []
    assert caught.refusal.metadata == {"limit": "2"}
    assert caught.refusal.retry_after is not None


async def test_a_stream_that_ends_makes_room_for_another(replica, as_person):
    async with replica(streams_per_caller=1) as service, as_person("ann", "claimant", service=service) as ann:
        for _ in range(3):
            (await admitted(ann)).cancel()


async def test_a_replica_serves_as_many_streams_as_the_setting_says(replica, as_person, watching, refused):
    async with (
        replica(streams=1) as service,
        as_person("ann", "claimant", service=service) as ann,
        as_person("bob", "claimant", service=service) as bob,
    ):
        with watching(ann) as reader:
            await reader.until_quiet()
            with refused("RESOURCE_EXHAUSTED", "OVERLOADED"):
                await bob.WatchPrompts(WatchPromptsRequest()).read()


@pytest.fixture
async def impatient(replica, certificates, token_for):
    """Calls as ann, taking in no more than is read, a replica that soon drops who does not read."""
    options = [("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", 1024)]
    async with (
        replica(watch_stall=timedelta(milliseconds=200), streams_per_caller=1) as service,
        grpc.aio.secure_channel(
            service.running.address, certificates("cli").read().channel_credentials(), options=options
        ) as channel,
    ):
        stub = PromptServiceStub(channel)
        bearer = (("authorization", f"Bearer {token_for('ann', 'claimant')}"),)
        stub.WatchPrompts = partial(stub.WatchPrompts, metadata=bearer)
        yield stub


async def test_a_reader_that_stalls_is_dropped_with_a_reason_and_resumes(impatient, ann, ask, watching, refused):
    asked = [await ask(context="x" * 8_000) for _ in range(40)]
    with watching(impatient) as stalling:
        first = await stalling.event()
        # There is room for another stream when, and only when, the service has given this one up.
        (await admitted(impatient)).cancel()
        with refused("RESOURCE_EXHAUSTED", "READER_TOO_SLOW") as caught:
            while True:
                await stalling.event()
    assert first.entity_id == asked[0].prompt_id
    assert caught.refusal.retry_after is not None
    with watching(ann, resume_token=stalling.token, event_types=["prompt.created"]) as reader:
        rest = [event.entity_id for event in await reader.until_quiet()]
    assert 0 < len(rest) < len(asked)
    assert rest == [prompt.prompt_id for prompt in asked[-len(rest) :]]


async def test_a_reader_that_goes_away_is_no_failure_of_ours(impatient, ask, caplog):
    for _ in range(20):
        await ask(context="x" * 8_000)
    for _ in range(5):
        (await admitted(impatient)).cancel()
    # The last of them is gone for the service too when there is room again.
    (await admitted(impatient)).cancel()
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == []
