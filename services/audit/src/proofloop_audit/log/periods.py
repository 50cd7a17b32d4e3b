"""In a tenant with a retention keys are sealed with for one period each, so that they can end one after the other."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from proofloop_runtime.ports import Clock

_SHORTEST = timedelta(days=1)
_PARTS = 12
_FIRST = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True, slots=True)
class Period:
    """The time from `begin` to before `end`, in which entries are sealed with one key per subject."""

    begin: datetime
    end: datetime


def period_at(time: datetime, retention: timedelta) -> Period:
    """Return the period that a time lies in.

    A twelfth of the retention, at least a day. They are counted from 1970 on, so that all replicas have the same.
    """
    length = max(_SHORTEST, retention / _PARTS)
    begin = _FIRST + (time - _FIRST) // length * length
    return Period(begin, begin + length)


class Periods:
    """The present period of every tenant that has a retention.

    Args:
        retention: How long what entries say about people can be read, by tenant.
        clock: The clock.
    """

    def __init__(self, retention: Mapping[str, timedelta], clock: Clock) -> None:
        self._retention = dict(retention)
        self._clock = clock
        self._present = {tenant: period_at(clock.now(), keep) for tenant, keep in retention.items()}

    def changed(self, tenant: str) -> bool:
        """Go on to the tenant's present period; return whether it was another one until now."""
        period = self._present.get(tenant)
        if period is None or period.begin <= (now := self._clock.now()) < period.end:
            return False
        self._present[tenant] = period_at(now, self._retention[tenant])
        return True

    def end(self, tenant: str) -> datetime | None:
        """Return when the period ends that `changed` went on to; None in a tenant without a retention."""
        period = self._present.get(tenant)
        return None if period is None else period.end
