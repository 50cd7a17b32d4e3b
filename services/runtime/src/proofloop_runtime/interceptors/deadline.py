"""Every call ends in time, and hands what is left of its time to the calls it makes."""

import asyncio
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta
from itertools import takewhile
from types import TracebackType
from typing import Any

import grpc

from proofloop_runtime.interceptors.call import Call

_UNBOUNDED = nullcontext()
_UNDER_WAY = 0.05
"""Seconds that a call may have been under way to us, for its caller counts from when it set out."""


class Deadlines:
    """Bound calls by their own deadline or, where they have none, by a default. Streams may last.

    gRPC itself ends a call at the deadline that its caller set; here those end that have none, or one too far away.

    Args:
        default: For calls without a deadline.
        most: The longest that a call may ask for.
        loop: The event loop.
    """

    def __init__(self, default: timedelta, most: timedelta, loop: asyncio.AbstractEventLoop) -> None:
        self._default = Allowance(default.total_seconds(), loop)
        self._most = Allowance(most.total_seconds(), loop)
        self._loop = loop

    def bind(self, call: Call) -> None:
        """Set the call's deadline, and the block that it has to run in."""
        asked: float | None = call.grpc.time_remaining()
        now = self._loop.time()
        call.bound = _UNBOUNDED
        if call.method.server_streaming or call.method.client_streaming:
            # What is left of its time is for the calls that the stream makes.
            call.deadline = None if asked is None else now + asked
        elif asked is not None and asked <= self._most.seconds:
            call.deadline = now + asked
        else:
            call.bound = allowance = self._default if asked is None else self._most
            call.deadline = now + allowance.seconds

    def status_of_cancelled(self, call: Call) -> grpc.StatusCode:
        """Tell a call that gRPC ended at its deadline from one whose caller has gone."""
        overdue = call.deadline is not None and self._loop.time() >= call.deadline - _UNDER_WAY
        return grpc.StatusCode.DEADLINE_EXCEEDED if overdue else grpc.StatusCode.CANCELLED


class Allowance(AbstractContextManager[None]):
    """A block that many tasks run in, each for so many seconds at most; TimeoutError for those that take longer.

    As `asyncio.timeout`, but with one timer for all, for a timer per call costs more than most of what it bounds.
    """

    def __init__(self, seconds: float, loop: asyncio.AbstractEventLoop) -> None:
        self.seconds = seconds
        self._loop = loop
        self._ends: dict[asyncio.Task[Any] | None, float] = {}
        """By task, the first to end first, for all are given the same time."""
        self._timer: asyncio.TimerHandle | None = None

    def __enter__(self) -> None:
        end = self._ends[asyncio.current_task(self._loop)] = self._loop.time() + self.seconds
        if self._timer is None:
            self._timer = self._loop.call_at(end, self._end_overdue)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        task = asyncio.current_task(self._loop)
        overdue = self._ends.pop(task, None) is None
        if overdue and task is not None and task.uncancel() == 0 and kind is asyncio.CancelledError:
            raise TimeoutError from error

    def _end_overdue(self) -> None:
        now = self._loop.time()
        for task, _ in list(takewhile(lambda end: end[1] <= now, self._ends.items())):
            del self._ends[task]
            if task is not None:
                task.cancel()
        self._timer = self._loop.call_at(next(iter(self._ends.values())), self._end_overdue) if self._ends else None
