"""Ending tasks."""

import asyncio
from collections.abc import Iterable
from datetime import timedelta
from typing import Any


async def cancel(tasks: Iterable["asyncio.Task[Any]"], patience: timedelta = timedelta(milliseconds=200)) -> None:
    """Cancel tasks, and return when they have ended, however they did.

    Asks again as long as one goes on: `asyncio.wait_for` of Python 3.11 loses a cancellation that comes together with
    what it waited for, and libraries use it.
    """
    going_on = set(tasks)
    while going_on:
        for task in going_on:
            task.cancel()
        ended, going_on = await asyncio.wait(going_on, timeout=patience.total_seconds())
        for task in ended:
            if not task.cancelled():
                # Whoever started it hears of its failure elsewhere; here it only had to end.
                task.exception()
