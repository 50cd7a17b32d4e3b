"""A token bucket per caller and replica."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from proofloop_runtime.call import Caller, CallerType
from proofloop_runtime.errors import RateLimited
from proofloop_runtime.interceptors.call import Call

_REMEMBERED = 10_000


@dataclass(frozen=True, slots=True)
class Rate:
    """Calls per second in the long run, and how many at once."""

    per_second: float
    burst: int


class RateLimit:
    """Limits the calls of each caller.

    Args:
        people: Rate of a person.
        services: Rate of a service.
        now: A monotonic clock, in seconds.
    """

    def __init__(self, people: Rate, services: Rate, now: Callable[[], float]) -> None:
        self._people = people
        self._services = services
        self._now = now
        self._buckets: OrderedDict[tuple[str, str], tuple[float, float]] = OrderedDict()

    def __call__(self, call: Call) -> None:
        """Let the call in if the caller has a token left.

        Raises:
            RateLimited: they have none; says when they will.
        """
        if call.context is not None:
            self._take(call.context.caller)

    def _take(self, caller: Caller) -> None:
        rate = self._people if caller.type is CallerType.USER else self._services
        key = (caller.tenant, caller.key)
        now = self._now()
        tokens, since = self._buckets.pop(key, (float(rate.burst), now))
        tokens = min(float(rate.burst), tokens + (now - since) * rate.per_second)
        taken = tokens >= 1
        # A caller forgotten is a caller with a full bucket, so the oldest may go.
        self._buckets[key] = (tokens - 1 if taken else tokens, now)
        if len(self._buckets) > _REMEMBERED:
            self._buckets.popitem(last=False)
        if not taken:
            wait = timedelta(seconds=(1 - tokens) / rate.per_second)
            raise RateLimited("too many calls", retry_after=wait)
