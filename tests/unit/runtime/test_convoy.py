"""In a crowd calls wait for each other, for a moment; else nobody waits."""

import asyncio
from collections.abc import Iterator

import pytest
from proofloop_runtime.interceptors.convoy import _DENSE, _LENGTH, _PATIENCE, _WITHIN, Convoy


class Loop(asyncio.SelectorEventLoop):
    """An event loop whose time stands still until it is moved."""

    now = 1000.0

    def time(self) -> float:
        return self.now

    def move(self, seconds: float) -> None:
        self.now += seconds
        self.run_until_complete(asyncio.sleep(0))
        self.run_until_complete(asyncio.sleep(0))


@pytest.fixture
def loop() -> Iterator[Loop]:
    loop = Loop()
    yield loop
    loop.close()


@pytest.fixture
def convoy(loop: Loop) -> Convoy:
    return Convoy(loop)


def crowd(convoy: Convoy) -> None:
    for _ in range(_DENSE - 1):
        assert convoy.join() is None


def test_calls_that_come_one_by_one_never_wait(loop, convoy) -> None:
    for _ in range(100):
        assert convoy.join() is None
        loop.now += _WITHIN / (_DENSE - 1) * 1.01


def test_in_a_crowd_calls_go_on_together_once_there_are_enough(convoy) -> None:
    crowd(convoy)
    waiting = [convoy.join() for _ in range(_LENGTH - 1)]
    assert not any(company.done() for company in waiting)
    waiting.append(convoy.join())
    assert all(company.done() for company in waiting)


def test_nobody_waits_longer_than_patience_lasts(loop, convoy) -> None:
    crowd(convoy)
    first, second = convoy.join(), convoy.join()
    loop.move(_PATIENCE / 2)
    assert not first.done()
    loop.move(_PATIENCE / 2 + 0.001)
    assert first.done()
    assert second.done()


def test_each_convoy_has_a_patience_of_its_own(loop, convoy) -> None:
    crowd(convoy)
    for _ in range(_LENGTH):
        convoy.join()
    loop.move(_PATIENCE / 2)
    late = [convoy.join() for _ in range(_DENSE)][-1]
    loop.move(_PATIENCE * 0.75)
    assert not late.done()
    loop.move(_PATIENCE / 2)
    assert late.done()


def test_a_call_whose_caller_has_gone_holds_up_no_other(loop, convoy) -> None:
    crowd(convoy)
    gone, stays = convoy.join(), convoy.join()
    gone.cancel()
    loop.move(_PATIENCE + 0.001)
    assert stays.done()
