"""What each change of a session adds to the statistics.

Every figure of the statistics is a sum, so that each change adds rows of its own and none is ever changed by two: no
two callers wait for each other, however many replicas end sessions at once. All that a session adds counts for the day
on which it began (UTC), so that succeeded, failed and running are always its total.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date
from decimal import Decimal
from enum import StrEnum

from proofloop_verifier.leaf import Outcome

from proofloop_audit.sessions.domain import MICROSECOND, Ending, Figure, Session, SessionEvent, State
from proofloop_audit.sessions.histogram import bucket_of

EVERY_KIND = ""
"""Stands for all kinds together, where adding them up again for each reader would be too slow: in histograms."""


class Measure(StrEnum):
    """What is counted or added up."""

    STARTED = "started"
    """Sessions."""
    SUCCEEDED = "succeeded"
    """Sessions that succeeded; the amount is their duration in microseconds."""
    FAILED = "failed"
    """Sessions that failed; the amount is their duration in microseconds."""
    DURATION = "duration"
    """Ended sessions by bucket of the histogram, which is the key."""
    EVENT = "event"
    """Events by type, which is the key."""
    EVENT_FAILED = "event_failed"
    """Those of them that did not succeed."""
    FIGURE = "figure"
    """Figures by name, which is the key, and unit; the amount is their sum."""


@dataclass(frozen=True, slots=True)
class Delta:
    """What is added to one figure: a count, and an amount where the measure has one."""

    day: date
    kind: str
    measure: Measure
    key: str = ""
    unit: str = ""
    count: int = 1
    amount: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True)
class Sum:
    """What was added up over some days: on one day, for one kind, or, where both are None, under one key and unit."""

    measure: Measure
    day: date | None
    kind: str | None
    key: str
    unit: str
    count: int
    amount: Decimal


def of_start(session: Session) -> list[Delta]:
    """Return what a session's start adds."""
    return [Delta(_day(session), session.kind, Measure.STARTED)]


def of_event(session: Session, event: SessionEvent) -> list[Delta]:
    """Return what an event adds."""
    day, kind = _day(session), session.kind
    deltas = [Delta(day, kind, Measure.EVENT, event.type)]
    if event.outcome is not Outcome.SUCCESS:
        deltas.append(Delta(day, kind, Measure.EVENT_FAILED, event.type))
    return [*deltas, *_of_figures(session, event.figures)]


def of_end(session: Session, ending: Ending) -> list[Delta]:
    """Return what a session's end adds."""
    if session.duration is None:
        raise ValueError(f"session {session.session_id} has not ended")
    day, kind = _day(session), session.kind
    measure = Measure.SUCCEEDED if session.state is State.SUCCEEDED else Measure.FAILED
    microseconds = Decimal(session.duration // MICROSECOND)
    bucket = str(bucket_of(session.duration))
    return [
        Delta(day, kind, measure, amount=microseconds),
        Delta(day, kind, Measure.DURATION, bucket),
        Delta(day, EVERY_KIND, Measure.DURATION, bucket),
        *_of_figures(session, ending.figures),
    ]


def _of_figures(session: Session, figures: Iterable[Figure]) -> Iterator[Delta]:
    for figure in figures:
        yield Delta(_day(session), session.kind, Measure.FIGURE, figure.name, figure.unit, amount=figure.value)


def _day(session: Session) -> date:
    return session.start_time.astimezone(UTC).date()
