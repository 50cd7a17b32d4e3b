"""Between the contract's messages and the domain."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from google.protobuf.duration_pb2 import Duration
from proofloop.audit.v1 import log_pb2, sessions_pb2
from proofloop.audit.v1 import sessions_service_pb2 as contract
from proofloop_runtime.call import Caller
from proofloop_verifier.leaf import Outcome

from proofloop_audit.log.conversion import timestamp
from proofloop_audit.sessions.domain import (
    Ending,
    EventDraft,
    Figure,
    File,
    Session,
    SessionDraft,
    SessionEvent,
    SessionFilter,
    State,
)

STATES: Final = {state: sessions_pb2.SessionState.Value(f"SESSION_STATE_{state.name}") for state in State}
_STATES: Final = {value: state for state, value in STATES.items()}
_OUTCOME_VALUES: Final = {outcome: log_pb2.Outcome.Value(f"OUTCOME_{outcome.name}") for outcome in Outcome}
_OUTCOMES: Final = {0: Outcome.SUCCESS} | {value: outcome for outcome, value in _OUTCOME_VALUES.items()}
_END_STATES: Final = {log_pb2.OUTCOME_SUCCESS: State.SUCCEEDED, log_pb2.OUTCOME_FAILURE: State.FAILED}


def to_session_draft(request: contract.StartSessionRequest, caller: Caller, user_id: str | None) -> SessionDraft:
    """Return the session that a caller starts for a user."""
    return SessionDraft(
        user_id=user_id,
        started_by=caller.id,
        kind=request.kind,
        title=request.title,
        message=request.message,
        claim_id=request.claim_id.lower() or None,
        start_time=_time(request, "start_time"),
        input_files=_to_files(request.input_files),
    )


def to_event_draft(request: contract.RecordEventRequest) -> EventDraft:
    """Return the event that a caller reports."""
    return EventDraft(
        type=request.type,
        time=_time(request, "event_time"),
        duration=request.duration.ToTimedelta() if request.HasField("duration") else None,
        outcome=_OUTCOMES[request.outcome],
        message=request.message,
        details=request.details_json,
        figures=_to_figures(request.figures),
    )


def to_ending(request: contract.EndSessionRequest) -> Ending:
    """Return how a caller ends a session."""
    return Ending(
        state=_END_STATES[request.outcome],
        time=_time(request, "end_time"),
        error=request.error,
        output_files=_to_files(request.output_files),
        figures=_to_figures(request.figures),
    )


def to_filter(request: contract.ListSessionsRequest | contract.ExportHistoryRequest) -> SessionFilter:
    """Return which sessions a caller wants."""
    return SessionFilter(
        user_id=request.user_id or None,
        kind=request.kind or None,
        states=frozenset(_STATES[state] for state in request.states),
        claim_id=request.claim_id.lower() or None,
        start_time=_time(request, "start_time"),
        end_time=_time(request, "end_time"),
        file_sha256=request.file_sha256 or None,
    )


def from_session(session: Session) -> sessions_pb2.Session:
    """Return a session as callers see it."""
    message = sessions_pb2.Session(
        session_id=session.session_id,
        user_id=session.user_id or "",
        started_by=session.started_by,
        kind=session.kind,
        title=session.title,
        message=session.message,
        claim_id=session.claim_id or "",
        state=STATES[session.state],
        start_time=timestamp(session.start_time),
        error=session.error,
        input_files=from_files(session.input_files),
        output_files=from_files(session.output_files),
        figures=from_figures(session.figures),
        event_count=session.event_count,
        last_event_id=session.last_event_id,
    )
    if session.end_time is not None and session.duration is not None:
        message.end_time.CopyFrom(timestamp(session.end_time))
        message.duration.CopyFrom(duration(session.duration))
    return message


def from_event(event: SessionEvent) -> sessions_pb2.SessionEvent:
    """Return an event as callers see it."""
    message = sessions_pb2.SessionEvent(
        event_id=event.event_id,
        sequence=event.sequence,
        type=event.type,
        event_time=timestamp(event.time),
        outcome=_OUTCOME_VALUES[event.outcome],
        message=event.message,
        details_json=event.details,
        figures=from_figures(event.figures),
    )
    if event.duration is not None:
        message.duration.CopyFrom(duration(event.duration))
    return message


def from_files(files: Iterable[File]) -> list[sessions_pb2.SessionFile]:
    """Return files as messages."""
    return [
        sessions_pb2.SessionFile(
            name=file.name, size=file.size, sha256=file.sha256, md5=file.md5, media_type=file.media_type
        )
        for file in files
    ]


def from_figures(figures: Iterable[Figure]) -> list[sessions_pb2.Figure]:
    """Return figures as messages; the number is written out, without an exponent."""
    return [sessions_pb2.Figure(name=figure.name, value=f"{figure.value:f}", unit=figure.unit) for figure in figures]


def duration(length: timedelta) -> Duration:
    """Return the duration as a message."""
    message = Duration()
    message.FromTimedelta(length)
    return message


def _time(request: Any, field: str) -> datetime | None:
    time: datetime | None = getattr(request, field).ToDatetime(UTC) if request.HasField(field) else None
    return time


def _to_files(files: Iterable[sessions_pb2.SessionFile]) -> tuple[File, ...]:
    return tuple(File(file.name, file.size, file.sha256, file.md5, file.media_type) for file in files)


def _to_figures(figures: Iterable[sessions_pb2.Figure]) -> tuple[Figure, ...]:
    return tuple(Figure(figure.name, Decimal(figure.value), figure.unit) for figure in figures)
