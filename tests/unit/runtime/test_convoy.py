"""Where the thread is busy calls wait for each other, for a moment; else nobody waits."""

import asyncio
from collections.abc import Iterator

import pytest
from proofloop_runtime.contract import foreign
from proofloop_runtime.interceptors.call import Call
from proofloop_runtime.interceptors.convoy import BUSY, KEPT, LONGEST, PATIENCE, QUIET, WINDOW, Convoy


class Loop(asyncio.SelectorEventLoop):
    """An event loop whose time stands still until it is moved, and which works for a part of it."""

    now = 1000.0
    worked = 0.0
    load = 0.0

    def time(self) -> float:
        return self.now

    def move(self, seconds: float) -> None:
        self.now += seconds
        self.worked += seconds * self.load
        self.run_until_complete(asyncio.sleep(0))
        self.run_until_complete(asyncio.sleep(0))


class Crowd:
    """Calls that come to a convoy.

    Attributes:
        let_in: How many were let in at a time.
    """

    def __init__(self, loop: Loop) -> None:
        self.loop = loop
        self.let_in: list[int] = []
        self.convoy = Convoy(lambda calls: self.let_in.append(len(calls)), loop, lambda: loop.worked)

    def come(self, calls: int = 1) -> list[asyncio.Future[None] | None]:
        return [self.convoy.join(Call(foreign("/a/b"), None, None)) for _ in range(calls)]

    def until(self, seconds: float, every: float) -> None:
        """Let a call come every so many seconds, until so many have passed."""
        end = self.loop.now + seconds
        while self.loop.now < end:
            self.loop.move(every)
            self.come()


@pytest.fixture
def loop() -> Iterator[Loop]:
    loop = Loop()
    yield loop
    loop.close()


@pytest.fixture
def crowd(loop: Loop) -> Crowd:
    return Crowd(loop)


@pytest.fixture
def busy(loop: Loop, crowd: Crowd) -> Crowd:
    """Calls that come to a busy thread, where others are under way."""
    loop.load = 1.0
    loop.move(WINDOW * 1.01)
    crowd.come(1 + LONGEST)
    assert crowd.let_in == [1, LONGEST]
    crowd.let_in.clear()
    return crowd


def test_as_long_as_the_thread_has_time_to_spare_nobody_waits(loop, crowd) -> None:
    loop.load = BUSY * 0.9
    for _ in range(100):
        loop.move(WINDOW / 10)
        assert crowd.come() == [None]
    assert crowd.let_in == [1] * 100


def test_a_busy_thread_lets_calls_in_together_once_there_are_enough(busy) -> None:
    waiting = busy.come(LONGEST - 1)
    assert not any(call.done() for call in waiting)
    assert busy.let_in == []
    waiting += busy.come()
    assert all(call.done() for call in waiting)
    assert busy.let_in == [LONGEST]


def test_when_no_more_come_those_who_wait_are_let_in(loop, busy) -> None:
    busy.come(3)
    loop.move(QUIET / 2)
    busy.come(2)
    loop.move(QUIET / 2)
    assert busy.let_in == []
    loop.move(QUIET)
    assert busy.let_in == [5]


def test_a_thread_that_could_not_listen_looks_again(loop, busy) -> None:
    busy.come(3)
    loop.move(QUIET * 2)
    assert busy.let_in == []
    loop.move(QUIET)
    assert busy.let_in == [3]


def test_nobody_waits_longer_than_patience_lasts(loop, busy) -> None:
    busy.until(PATIENCE + QUIET, every=QUIET * 0.75)
    assert busy.let_in[0] < LONGEST


def test_a_convoy_learns_how_many_come_and_tries_for_more_now_and_then(loop, busy) -> None:
    half, quarter = LONGEST // 2, LONGEST // 4
    busy.come(quarter)
    loop.move(QUIET)
    loop.move(QUIET)
    busy.come(half)
    assert busy.let_in == [quarter, half]
    busy.come(quarter)
    loop.move(QUIET)
    loop.move(QUIET)
    busy.let_in.clear()
    busy.come(quarter * KEPT)
    assert busy.let_in == [quarter] * KEPT
    busy.come(LONGEST)
    assert busy.let_in[-1] == LONGEST


def test_a_lone_caller_never_waits(loop, crowd) -> None:
    loop.load = 1.0
    for _ in range(100):
        loop.move(WINDOW)
        assert crowd.come() == [None]
        crowd.convoy.leave()


def test_a_call_whose_caller_has_gone_is_not_let_in(loop, busy) -> None:
    gone, _ = busy.come(2)
    gone.cancel()
    loop.move(QUIET)
    loop.move(QUIET)
    assert busy.let_in == [1]


def test_a_thread_that_has_time_again_lets_calls_in_as_they_come(loop, busy) -> None:
    loop.load = 0.0
    loop.move(WINDOW * 1.01)
    assert busy.come() == [None]
