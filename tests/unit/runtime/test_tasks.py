"""Ending tasks."""

import asyncio
from datetime import timedelta

from proofloop_runtime.tasks import cancel


async def stubborn(asked: list[int], times: int) -> None:
    """Go on until cancelled so many times."""
    while len(asked) < times:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            asked.append(1)


async def failing() -> None:
    raise ValueError


async def test_a_task_that_loses_a_cancellation_is_asked_again():
    asked: list[int] = []
    task = asyncio.ensure_future(stubborn(asked, times=3))
    await asyncio.sleep(0)
    await cancel([task], patience=timedelta(milliseconds=1))
    assert task.done()
    assert len(asked) == 3


async def test_tasks_that_failed_or_ended_need_no_asking():
    tasks = [asyncio.ensure_future(failing()), asyncio.ensure_future(asyncio.sleep(0))]
    await asyncio.wait(tasks)
    await cancel(tasks)
    await cancel([])
