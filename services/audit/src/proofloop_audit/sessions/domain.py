"""A session, what may be added to it, and how it ends.

Nothing here reads a clock, draws an id or touches a store: times and ids come in, a new `Session` comes out, and what
is refused raises and leaves everything as it was.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import MAX_PREC, Context, Decimal
from enum import StrEnum
from typing import Final

from proofloop_runtime.errors import PreconditionViolation
from proofloop_runtime.events import Actor
from proofloop_verifier.leaf import Outcome

from proofloop_audit.errors import EventTimeInFuture, SessionEnded, SessionFull, TimeBeforeStart

MAX_EVENTS: Final = 10_000
"""Events of one session."""

MAX_FIGURES: Final = 100
"""Different figures of one session."""

MICROSECOND: Final = timedelta(microseconds=1)

_EXACT: Final = Context(prec=MAX_PREC)


class State(StrEnum):
    """Where a session stands. It goes from running to one of the others, once."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class File:
    """A file that went in or came out, identified by its hashes; `md5` and `media_type` may be empty."""

    name: str
    size: int
    sha256: str
    md5: str
    media_type: str


@dataclass(frozen=True, slots=True)
class Figure:
    """A named decimal number and its unit, which may be empty."""

    name: str
    value: Decimal
    unit: str


@dataclass(frozen=True, slots=True)
class Act:
    """Somebody does something to a session: when, who, and under which event it becomes known."""

    time: datetime
    actor: Actor
    event_id: str


@dataclass(frozen=True, slots=True)
class SessionDraft:
    """A session as it is begun.

    Attributes:
        user_id: The person whose work it is; None: a service's own.
        started_by: Who calls.
        kind: Kind of work.
        title: A name for people, or empty.
        message: What was asked for, or empty.
        claim_id: The claim, or None.
        start_time: When it began; None: now.
        input_files: What went in.
    """

    user_id: str | None
    started_by: str
    kind: str
    title: str
    message: str
    claim_id: str | None
    start_time: datetime | None
    input_files: tuple[File, ...]


@dataclass(frozen=True, slots=True)
class EventDraft:
    """A step as it is reported; a time of None is now, a duration of None is unknown."""

    type: str
    time: datetime | None
    duration: timedelta | None
    outcome: Outcome
    message: str
    details: str
    figures: tuple[Figure, ...]


@dataclass(frozen=True, slots=True)
class SessionEvent:
    """A step with its place in the session, from 1."""

    event_id: str
    sequence: int
    type: str
    time: datetime
    duration: timedelta | None
    outcome: Outcome
    message: str
    details: str
    figures: tuple[Figure, ...]


@dataclass(frozen=True, slots=True)
class Ending:
    """How a session ends; a time of None is now."""

    state: State
    time: datetime | None
    error: str
    output_files: tuple[File, ...]
    figures: tuple[Figure, ...]


@dataclass(frozen=True, slots=True)
class Session:
    """One run of document work. `figures` are those of its events and its end, added up."""

    session_id: str
    user_id: str | None
    started_by: str
    kind: str
    title: str
    message: str
    claim_id: str | None
    start_time: datetime
    input_files: tuple[File, ...]
    last_event_id: str
    state: State = State.RUNNING
    end_time: datetime | None = None
    error: str = ""
    output_files: tuple[File, ...] = ()
    figures: tuple[Figure, ...] = ()
    event_count: int = 0

    @property
    def duration(self) -> timedelta | None:
        """From beginning to end; None while it runs."""
        return None if self.end_time is None else self.end_time - self.start_time


@dataclass(frozen=True, slots=True)
class SessionFilter:
    """Which sessions to list; None, or no states, asks for nothing in particular. Times are of the start."""

    user_id: str | None = None
    kind: str | None = None
    states: frozenset[State] = frozenset()
    claim_id: str | None = None
    start_time: datetime | None = None
    end_time: datetime | None = None
    file_sha256: str | None = None


def start(draft: SessionDraft, act: Act, *, session_id: str, skew: timedelta) -> Session:
    """A running session. EventTimeInFuture if it begins more than `skew` after `act.time`."""
    start_time = draft.start_time or act.time
    _check_not_ahead(start_time, act, skew, "start_time")
    return Session(
        session_id=session_id,
        user_id=draft.user_id,
        started_by=draft.started_by,
        kind=draft.kind,
        title=draft.title,
        message=draft.message,
        claim_id=draft.claim_id,
        start_time=start_time,
        input_files=draft.input_files,
        last_event_id=act.event_id,
    )


def record(session: Session, draft: EventDraft, act: Act, *, skew: timedelta) -> tuple[Session, SessionEvent]:
    """The session with one more event, and the event.

    Raises, in this order: SessionEnded; EventTimeInFuture; TimeBeforeStart; SessionFull.
    """
    time = _within(session, draft.time, act, skew, "event_time")
    if session.event_count >= MAX_EVENTS:
        raise _full(session, f"{MAX_EVENTS} events")
    event = SessionEvent(
        event_id=act.event_id,
        sequence=session.event_count + 1,
        type=draft.type,
        time=time,
        duration=draft.duration,
        outcome=draft.outcome,
        message=draft.message,
        details=draft.details,
        figures=draft.figures,
    )
    figures = _added(session, draft.figures)
    return replace(session, event_count=event.sequence, figures=figures, last_event_id=act.event_id), event


def end(session: Session, ending: Ending, act: Act, *, skew: timedelta) -> Session:
    """The session as it ended.

    Raises, in this order: SessionEnded; EventTimeInFuture; TimeBeforeStart; SessionFull.
    """
    return replace(
        session,
        state=ending.state,
        end_time=_within(session, ending.time, act, skew, "end_time"),
        error=ending.error,
        output_files=ending.output_files,
        figures=_added(session, ending.figures),
        last_event_id=act.event_id,
    )


def _within(session: Session, given: datetime | None, act: Act, skew: timedelta, field: str) -> datetime:
    """Return a time of a running session, given or now, after checking that it may be one."""
    if session.state is not State.RUNNING:
        raise SessionEnded(
            "the session has ended",
            violations=[PreconditionViolation("STATE", f"sessions/{session.session_id}", session.state)],
            state=session.state,
        )
    if given is None:
        # Who started the session may have had a clock that is a little ahead of ours.
        return max(act.time, session.start_time)
    _check_not_ahead(given, act, skew, field)
    if given < session.start_time:
        start_time = session.start_time.isoformat().replace("+00:00", "Z")
        raise TimeBeforeStart(f"{field} lies before the session's start", field=field, start_time=start_time)
    return given


def _check_not_ahead(time: datetime, act: Act, skew: timedelta, field: str) -> None:
    if time > act.time + skew:
        raise EventTimeInFuture(f"{field} lies more than {skew} ahead of the service's clock", field=field)


def _added(session: Session, figures: Iterable[Figure]) -> tuple[Figure, ...]:
    sums = {(figure.name, figure.unit): figure.value for figure in session.figures}
    for figure in figures:
        key = (figure.name, figure.unit)
        sums[key] = _EXACT.add(sums.get(key, Decimal(0)), figure.value)
    if len(sums) > MAX_FIGURES:
        raise _full(session, f"{MAX_FIGURES} different figures")
    return tuple(Figure(name, sums[name, unit], unit) for name, unit in sorted(sums))


def _full(session: Session, limit: str) -> SessionFull:
    return SessionFull(
        f"a session holds at most {limit}",
        violations=[PreconditionViolation("LIMIT", f"sessions/{session.session_id}", limit)],
        limit=limit,
    )
