"""Batches of a consumer that overlap: the next one is handed over while the outcomes of one are waited for."""

import asyncio
import json
from collections.abc import Sequence
from uuid import uuid4

import nats as nats_client
import pytest
from nats.js.api import ConsumerInfo
from proofloop_echo.contract import EchoStub, SayRequest
from proofloop_runtime.consuming import Consumer, Outcomes
from proofloop_runtime.events import Envelope
from proofloop_runtime.messaging import EVENT_STREAM

NOTES = "proofloop.event.*.echo.note.written"


class Waiting:
    """A handler that tells the outcomes of a batch when the test does."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.answers: list[asyncio.Future[Outcomes]] = []
        self.most_in_hand = 0
        self._news = asyncio.Event()

    async def handle(self, events: Sequence[Envelope]) -> asyncio.Future[Outcomes]:
        self.texts += [json.loads(event.data)["text"] for event in events]
        self.answers.append(asyncio.get_running_loop().create_future())
        self.most_in_hand = max(self.most_in_hand, sum(not answer.done() for answer in self.answers))
        self._news.set()
        return self.answers[-1]

    async def handed_over(self, count: int) -> None:
        """Wait until so many batches were handed over."""
        while len(self.answers) < count:
            self._news.clear()
            await self._news.wait()

    def consumer(self) -> Consumer:
        return Consumer("waiting", self.handle, NOTES, batch=1)


@pytest.fixture
def write():
    """Writes notes, one after the other."""

    async def say(service, *texts: str) -> None:
        async with service.channel() as channel:
            for text in texts:
                await EchoStub(channel).Say(SayRequest(command="note", text=text, request_id=str(uuid4())))

    return say


@pytest.fixture
def position(nats, eventually):
    """Waits until NATS says of the consumer what a condition asks for."""

    async def wait(condition, consumer: str = "waiting") -> ConsumerInfo:
        client = await nats_client.connect(nats.url)

        async def asked() -> ConsumerInfo | None:
            info = await client.jetstream().consumer_info(EVENT_STREAM, consumer)
            return info if condition(info) else None

        try:
            return await eventually(asked)
        finally:
            await client.close()

    return wait


async def test_batches_are_handed_over_in_the_order_of_the_stream_two_in_hand_at_most(serve, write, position) -> None:
    waiting = Waiting()
    texts = [str(number) for number in range(8)]
    async with serve(consumers=[waiting.consumer()]) as (service, echo):
        await write(service, *texts)
        # Two in hand, and one ahead of them that is here already.
        await position(lambda info: info.num_ack_pending >= 3)
        await echo.runtime.broker.client.flush()
        for number in range(len(texts)):
            await waiting.handed_over(number + 1)
            waiting.answers[number].set_result([None])
        await position(lambda info: info.ack_floor.stream_seq == len(texts))
    assert waiting.texts == texts
    assert waiting.most_in_hand == 2


async def test_nothing_is_acknowledged_before_its_outcome_is_known(serve, write, position) -> None:
    waiting = Waiting()
    async with serve(consumers=[waiting.consumer()]) as (service, _):
        await write(service, "slow", "fast")
        await waiting.handed_over(2)
        waiting.answers[1].set_result([None])
        info = await position(lambda info: info.num_ack_pending == 1)
        assert info.ack_floor.stream_seq == 0
        waiting.answers[0].set_result([None])
        await position(lambda info: info.ack_floor.stream_seq == 2)


async def test_a_batch_whose_outcomes_cannot_be_told_does_not_touch_the_next(serve, write, position) -> None:
    waiting = Waiting()
    async with serve(consumers=[waiting.consumer()]) as (service, _):
        await write(service, "broken", "whole")
        await waiting.handed_over(2)
        waiting.answers[0].set_exception(KeyError("a defect"))
        waiting.answers[1].set_result([None])
        info = await position(lambda info: info.num_ack_pending == 1)
        assert info.ack_floor.stream_seq == 0
        # It comes again by itself.
        await waiting.handed_over(3)
        waiting.answers[2].set_result([None])
        await position(lambda info: info.ack_floor.stream_seq == 2)
    assert waiting.texts == ["broken", "whole", "broken"]


async def test_to_a_handler_that_returns_outcomes_batches_come_one_after_the_other(serve, write, position) -> None:
    acting: list[str] = []
    together: list[list[str]] = []

    async def handle(events):
        text = json.loads(events[0].data)["text"]
        acting.append(text)
        together.append(list(acting))
        # Long enough for the next one to have come.
        await position(lambda info: info.num_ack_pending == 2 or info.delivered.stream_seq == 4, "serial")
        acting.remove(text)
        return [None]

    async with serve(consumers=[Consumer("serial", handle, NOTES, batch=1)]) as (service, _):
        await write(service, "a", "b", "c", "d")
        await position(lambda info: info.ack_floor.stream_seq == 4, "serial")
    assert together == [["a"], ["b"], ["c"], ["d"]]


async def test_what_was_not_handed_over_is_handed_back_when_the_service_stops(serve, write, position) -> None:
    first, second = Waiting(), Waiting()
    async with serve(consumers=[first.consumer()]) as (service, _):
        await write(service, "in hand", "in hand too", "ahead")
        await position(lambda info: info.num_ack_pending == 3)
        await first.handed_over(2)
    async with serve(consumers=[second.consumer()]):
        await second.handed_over(1)
        # The others are given out again when their time to be acknowledged is over.
        assert second.texts == ["ahead"]
