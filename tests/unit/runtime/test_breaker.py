"""Circuit breakers under asyncio."""

import asyncio
from datetime import timedelta

import pytest
from proofloop_runtime.breaker import CLOSED, HALF_OPEN, OPEN, Breaker, Breakers, BreakerSettings
from proofloop_runtime.errors import DependencyUnavailable, InvalidField
from proofloop_runtime.testing import FakeClock

RESET = timedelta(seconds=5)


class Down(Exception):
    """The dependency is at fault."""


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def changes() -> list[tuple[str, str]]:
    return []


@pytest.fixture
def breaker(clock: FakeClock, changes: list[tuple[str, str]]) -> Breaker:
    return Breaker(
        "audit",
        lambda error: isinstance(error, Down),
        clock,
        BreakerSettings(failures=3, reset=RESET),
        lambda name, state: changes.append((name, state)),
    )


async def fail(breaker: Breaker, error: Exception | None = None) -> None:
    async def call() -> None:
        await asyncio.sleep(0)
        raise error or Down

    with pytest.raises(type(error or Down())), breaker.calling():
        await call()


async def succeed(breaker: Breaker) -> None:
    with breaker.calling():
        await asyncio.sleep(0)


async def open_it(breaker: Breaker) -> None:
    for _ in range(3):
        await fail(breaker)
    assert breaker.state == OPEN


async def test_consecutive_failures_of_coroutines_open_it(breaker) -> None:
    await fail(breaker)
    await fail(breaker)
    assert breaker.state == CLOSED
    await fail(breaker)
    assert breaker.state == OPEN


async def test_a_success_in_between_starts_the_count_anew(breaker) -> None:
    await fail(breaker)
    await fail(breaker)
    await succeed(breaker)
    await fail(breaker)
    await fail(breaker)
    assert breaker.state == CLOSED


async def test_while_open_it_refuses_at_once_and_says_when_to_come_back(breaker, clock) -> None:
    await open_it(breaker)
    clock.advance(timedelta(seconds=2))
    with pytest.raises(DependencyUnavailable) as refused, breaker.calling():
        pytest.fail("let through")
    assert refused.value.retry_after == timedelta(seconds=3)
    assert refused.value.metadata == {"dependency": "audit"}


async def test_of_many_callers_after_the_pause_one_probes_and_the_others_are_refused(breaker, clock) -> None:
    await open_it(breaker)
    clock.advance(RESET)
    answer = asyncio.Event()
    through = 0

    async def call() -> None:
        nonlocal through
        with breaker.calling():
            through += 1
            await answer.wait()

    callers = [asyncio.ensure_future(call()) for _ in range(50)]
    await asyncio.sleep(0)
    assert (through, breaker.state) == (1, HALF_OPEN)
    answer.set()
    outcomes = await asyncio.gather(*callers, return_exceptions=True)
    assert sum(outcome is None for outcome in outcomes) == 1
    assert sum(isinstance(outcome, DependencyUnavailable) for outcome in outcomes) == 49
    assert breaker.state == CLOSED


async def test_a_failed_probe_opens_it_for_another_pause(breaker, clock) -> None:
    await open_it(breaker)
    clock.advance(RESET)
    await fail(breaker)
    assert breaker.state == OPEN
    clock.advance(RESET - timedelta(microseconds=1))
    with pytest.raises(DependencyUnavailable), breaker.calling():
        pytest.fail("let through")
    clock.advance(timedelta(microseconds=1))
    await succeed(breaker)
    assert breaker.state == CLOSED


async def test_a_cancelled_call_is_not_counted(breaker) -> None:
    async def call() -> None:
        with breaker.calling():
            await asyncio.Event().wait()

    for _ in range(10):
        task = asyncio.ensure_future(call())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert breaker.state == CLOSED
    await fail(breaker)
    await fail(breaker)
    assert breaker.state == CLOSED


async def test_a_cancelled_probe_frees_the_place_for_the_next(breaker, clock) -> None:
    await open_it(breaker)
    clock.advance(RESET)

    async def call() -> None:
        with breaker.calling():
            await asyncio.Event().wait()

    probe = asyncio.ensure_future(call())
    await asyncio.sleep(0)
    probe.cancel()
    await asyncio.gather(probe, return_exceptions=True)
    assert breaker.state == HALF_OPEN
    await succeed(breaker)
    assert breaker.state == CLOSED


async def test_errors_of_the_callers_making_do_not_count_and_close_a_half_open_one(breaker, clock) -> None:
    for _ in range(10):
        await fail(breaker, InvalidField("wrong"))
    assert breaker.state == CLOSED
    await open_it(breaker)
    clock.advance(RESET)
    await fail(breaker, InvalidField("wrong"))
    assert breaker.state == CLOSED


async def test_late_news_of_calls_from_before_it_opened_change_nothing(breaker, clock, changes) -> None:
    late_success, late_failure = breaker.admit(), breaker.admit()
    await open_it(breaker)
    clock.advance(timedelta(seconds=4))
    late_failure.failed()
    late_success.answered()
    assert (breaker.state, changes) == (OPEN, [("audit", OPEN)])
    clock.advance(timedelta(seconds=1))
    await succeed(breaker)
    assert changes == [("audit", OPEN), ("audit", HALF_OPEN), ("audit", CLOSED)]


async def test_an_admission_is_settled_once(breaker) -> None:
    admission = breaker.admit()
    admission.answered()
    for _ in range(5):
        admission.failed()
    assert breaker.state == CLOSED


async def test_a_dependency_has_one_breaker_with_its_own_thresholds(clock) -> None:
    breakers = Breakers(clock, {"nats": BreakerSettings(failures=1)})
    nats = breakers.get("nats", lambda _error: True)
    assert breakers.get("nats", lambda _error: True) is nats
    breakers.get("postgresql", lambda _error: True)
    await fail(nats)
    assert breakers.states() == {"nats": OPEN, "postgresql": CLOSED}
