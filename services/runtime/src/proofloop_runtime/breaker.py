"""Circuit breakers around every outgoing call.

Wraps pybreaker, which counts and times well but is not written for asyncio: what we ask of it is only to keep the
state; admission and outcome are told to it separately, so that nothing is held while a call is awaited.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pybreaker

from proofloop_runtime.errors import DependencyUnavailable
from proofloop_runtime.ports import Clock

CLOSED, OPEN, HALF_OPEN = pybreaker.STATE_CLOSED, pybreaker.STATE_OPEN, pybreaker.STATE_HALF_OPEN

StateListener = Callable[[str, str], None]


@dataclass(frozen=True, slots=True)
class BreakerSettings:
    """Thresholds of one dependency.

    Attributes:
        failures: Consecutive failures that open the breaker.
        reset: How long it stays open before it lets one probe through.
    """

    failures: int = 5
    reset: timedelta = timedelta(seconds=5)


class _Listener(pybreaker.CircuitBreakerListener):
    def __init__(self, changed: StateListener) -> None:
        self._changed = changed

    def state_change(self, cb: pybreaker.CircuitBreaker, old_state: Any, new_state: Any) -> None:  # noqa: ARG002 (pybreaker's signature)
        self._changed(cb.name or "", new_state.name)


class _Failure(Exception):
    """What pybreaker is told of a failure; it needs to know no more."""


class Admission:
    """A call that was let through; its outcome is told once, later tellings are ignored."""

    __slots__ = ("_breaker", "_open", "probe")

    def __init__(self, breaker: "Breaker", *, probe: bool) -> None:
        self._breaker = breaker
        self._open = True
        self.probe = probe

    def answered(self) -> None:
        """Tell that the dependency answered, be it with an error of the caller's making."""
        self._settle(failure=False)

    def failed(self) -> None:
        """Tell that the dependency failed."""
        self._settle(failure=True)

    def abandoned(self) -> None:
        """Tell that the call ended without saying anything about the dependency."""
        self._settle(failure=None)

    def _settle(self, *, failure: bool | None) -> None:
        if self._open:
            self._open = False
            self._breaker.settle(self, failure=failure)


class Breaker:
    """Guards one dependency: `with breaker.calling(): await …`.

    Only errors that `counts` accepts count as failures; an error of the caller's making is a success, for the
    dependency did answer. A cancelled call says nothing about the dependency and is not counted. While
    half-open, one call probes and every other is refused.
    """

    def __init__(
        self,
        dependency: str,
        counts: Callable[[Exception], bool],
        clock: Clock,
        settings: BreakerSettings | None = None,
        changed: StateListener = lambda _name, _state: None,
    ) -> None:
        settings = settings or BreakerSettings()
        self.dependency = dependency
        self._counts = counts
        self._clock = clock
        self._reset = settings.reset
        self._probing = False
        self._untroubled = True
        """Closed, and the last call was answered: another answer tells it nothing, at no cost."""
        self._opened_at: datetime | None = None
        self._breaker = pybreaker.CircuitBreaker(
            fail_max=settings.failures,
            reset_timeout=0,
            listeners=[_Listener(changed)],
            name=dependency,
            throw_new_error_on_trip=False,
        )

    @property
    def state(self) -> str:
        """Return `closed`, `open` or `half-open`."""
        return self._breaker.current_state

    @contextmanager
    def calling(self) -> Iterator[None]:
        """Let a call through and learn from its outcome.

        Raises:
            DependencyUnavailable: the breaker is open, or another call is probing.
        """
        admission = self.admit()
        try:
            yield
        except Exception as error:
            if self._counts(error):
                admission.failed()
            else:
                admission.answered()
            raise
        else:
            admission.answered()
        finally:
            # Cancelled, if nothing was told yet: the next call probes instead.
            admission.abandoned()

    def admit(self) -> Admission:
        """Let a call through whose outcome will be told to the admission.

        Raises:
            DependencyUnavailable: the breaker is open, or another call is probing.
        """
        if self._untroubled or self.state == CLOSED:
            return Admission(self, probe=False)
        if self._opened_at is not None:
            remaining = self._opened_at + self._reset - self._clock.now()
            if remaining > timedelta(0):
                raise DependencyUnavailable(self.dependency, remaining)
        if self._probing:
            raise DependencyUnavailable(self.dependency)
        self._probing = True
        if self.state == OPEN:
            self._breaker.half_open()
        return Admission(self, probe=True)

    def settle(self, admission: Admission, *, failure: bool | None) -> None:
        """Learn an outcome; called by the admission."""
        if self._untroubled and not failure:
            return
        if admission.probe:
            self._probing = False
        # A call from before the breaker opened is late with its news: what counts now is the probe.
        elif self.state != CLOSED:
            return
        if failure is not None:
            self._record(failure=failure)

    def _record(self, *, failure: bool) -> None:
        def outcome() -> None:
            if failure:
                raise _Failure

        with suppress(_Failure):
            self._breaker.call(outcome)
        if self.state == OPEN:
            self._opened_at = self._clock.now()
        self._untroubled = self.state == CLOSED and not failure


@dataclass(slots=True)
class Breakers:
    """The breakers of a process, for health and metrics."""

    clock: Clock
    settings: dict[str, BreakerSettings] = field(default_factory=dict)
    changed: StateListener = lambda _name, _state: None
    _all: dict[str, Breaker] = field(default_factory=dict)

    def get(self, dependency: str, counts: Callable[[Exception], bool]) -> Breaker:
        """Return the one breaker of a dependency, made at first use."""
        if dependency not in self._all:
            settings = self.settings.get(dependency)
            self._all[dependency] = Breaker(dependency, counts, self.clock, settings, self.changed)
        return self._all[dependency]

    def states(self) -> dict[str, str]:
        """Return the state of each breaker by dependency."""
        return {name: breaker.state for name, breaker in self._all.items()}
