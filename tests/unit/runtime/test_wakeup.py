"""Work that is told to end does end, even if it is woken at the same moment."""

import asyncio
from datetime import timedelta

import pytest
from proofloop_runtime.breaker import Breakers
from proofloop_runtime.messaging import Broker
from proofloop_runtime.testing import FakeClock
from proofloop_runtime.wakeup import Wakeup


@pytest.mark.parametrize("ticks", range(5))
async def test_a_wait_that_is_woken_and_cancelled_at_once_is_cancelled(ticks: int) -> None:
    broker = Broker("nats://127.0.0.1:1", "test", Breakers(FakeClock()))
    wakeup = Wakeup(broker, "subject")

    async def wait_for_ever() -> None:
        while True:
            await wakeup.wait(timedelta(minutes=1))

    task = asyncio.ensure_future(wait_for_ever())
    await asyncio.sleep(0)
    wakeup.notify()
    for _ in range(ticks):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task], timeout=1)
    assert task.cancelled()
