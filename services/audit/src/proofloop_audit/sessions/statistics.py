"""What the sums of the roll-ups say about the sessions of the last days."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Final

from proofloop_audit.sessions.domain import MICROSECOND
from proofloop_audit.sessions.histogram import percentile
from proofloop_audit.sessions.rollup import Measure, Sum

DEFAULT_DAYS: Final = 30
"""Full days before today where the caller does not say."""

PERCENTILES: Final = (50, 90, 95, 99)

LONGEST_LIST: Final = 100
"""Kinds, types of events and figures shown: the most frequent."""

_RATE: Final = Decimal("0.000001")


@dataclass(frozen=True, slots=True)
class Window:
    """Days in UTC, the last one included."""

    first_day: date
    last_day: date

    @classmethod
    def ending(cls, now: datetime, days: int) -> "Window":
        """Return so many full days, and today."""
        today = now.astimezone(UTC).date()
        return cls(today - timedelta(days=days), today)

    def days(self) -> list[date]:
        """Return every day, the oldest first."""
        return [self.first_day + timedelta(days=n) for n in range((self.last_day - self.first_day).days + 1)]


@dataclass(frozen=True, slots=True)
class Count:
    """Sessions of some span; `microseconds` is the sum of the durations of those that ended."""

    total: int = 0
    succeeded: int = 0
    failed: int = 0
    microseconds: int = 0

    @property
    def ended(self) -> int:
        """Those that ended."""
        return self.succeeded + self.failed

    @property
    def running(self) -> int:
        """Those that did not."""
        return self.total - self.ended

    @property
    def success_rate(self) -> Decimal | None:
        """Share of the ended that succeeded, to six digits; None where none ended."""
        if not self.ended:
            return None
        return (Decimal(self.succeeded) / self.ended).quantize(_RATE, ROUND_HALF_EVEN)

    @property
    def mean(self) -> timedelta | None:
        """Mean duration of the ended, to the microsecond below; None where none ended."""
        return MICROSECOND * (self.microseconds // self.ended) if self.ended else None

    def __add__(self, other: "Count") -> "Count":
        """Return the sessions of both spans."""
        return Count(
            self.total + other.total,
            self.succeeded + other.succeeded,
            self.failed + other.failed,
            self.microseconds + other.microseconds,
        )

    def plus(self, found: Sum) -> "Count":
        """Return the count with another sum in it."""
        match found.measure:
            case Measure.STARTED:
                return replace(self, total=self.total + found.count)
            case Measure.SUCCEEDED:
                spent = self.microseconds + int(found.amount)
                return replace(self, succeeded=self.succeeded + found.count, microseconds=spent)
            case Measure.FAILED:
                spent = self.microseconds + int(found.amount)
                return replace(self, failed=self.failed + found.count, microseconds=spent)
            case _:
                return self


@dataclass(frozen=True, slots=True)
class EventCount:
    """Events of one type, and how many of them did not succeed."""

    total: int
    failed: int


@dataclass(frozen=True, slots=True)
class Total:
    """What figures of one name and unit come to, and how often they were reported."""

    name: str
    unit: str
    amount: Decimal
    count: int


@dataclass(frozen=True, slots=True)
class Statistics:
    """Figures over whole days; `percentiles` is empty where no session ended."""

    window: Window
    sessions: Count
    percentiles: tuple[timedelta, ...]
    kinds: Mapping[str, Count]
    events: Mapping[str, EventCount]
    figures: tuple[Total, ...]
    days: Mapping[date, Count]


@dataclass(slots=True)
class _Sorted:
    """The sums by what they are of."""

    whole: Count = Count()
    days: dict[date, Count] = field(default_factory=dict)
    kinds: dict[str, Count] = field(default_factory=dict)
    events: dict[str, int] = field(default_factory=dict)
    failed_events: dict[str, int] = field(default_factory=dict)
    buckets: dict[int, int] = field(default_factory=dict)
    figures: list[Total] = field(default_factory=list)

    def take(self, found: Sum) -> None:
        if found.day is not None:
            self.days[found.day] = self.days.get(found.day, Count()).plus(found)
        elif found.kind is not None:
            self.kinds[found.kind] = self.kinds.get(found.kind, Count()).plus(found)
        else:
            self._take_keyed(found)

    def _take_keyed(self, found: Sum) -> None:
        match found.measure:
            case Measure.DURATION:
                self.buckets[int(found.key)] = found.count
            case Measure.EVENT:
                self.events[found.key] = found.count
            case Measure.EVENT_FAILED:
                self.failed_events[found.key] = found.count
            case Measure.FIGURE:
                self.figures.append(Total(found.key, found.unit, found.amount, found.count))
            case _:
                self.whole = self.whole.plus(found)


def of_sums(window: Window, sums: Iterable[Sum]) -> Statistics:
    """Return the statistics of a window from all its sums."""
    by = _Sorted()
    for found in sums:
        by.take(found)
    kinds = sorted((item for item in by.kinds.items() if item[1].total), key=lambda item: (-item[1].total, item[0]))
    events = sorted(by.events.items(), key=lambda item: (-item[1], item[0]))
    figures = sorted(by.figures, key=lambda total: (-total.count, total.name, total.unit))[:LONGEST_LIST]
    return Statistics(
        window=window,
        sessions=by.whole,
        percentiles=tuple(percentile(by.buckets, p) for p in PERCENTILES) if by.buckets else (),
        kinds=dict(kinds[:LONGEST_LIST]),
        events={name: EventCount(count, by.failed_events.get(name, 0)) for name, count in events[:LONGEST_LIST]},
        figures=tuple(sorted(figures, key=lambda total: (total.name, total.unit))),
        days={day: by.days.get(day, Count()) for day in window.days()},
    )
