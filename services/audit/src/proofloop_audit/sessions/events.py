"""What sessions publish; from the outbox it comes back to this service and becomes entries of the log.

The actor is the person whose work a session is, where there is one: what the entries say is then encrypted under that
person's key, and goes when they are erased.
"""

from google.protobuf.message import Message
from proofloop.audit.v1 import events_pb2
from proofloop_runtime.events import Event

from proofloop_audit.log.conversion import timestamp
from proofloop_audit.sessions import conversion
from proofloop_audit.sessions.domain import Act, Ending, Session, SessionEvent, State

_OUTCOMES = {State.SUCCEEDED: "success", State.FAILED: "failure"}


def started(session: Session, act: Act) -> Event:
    """Return the event of a session's start."""
    data = events_pb2.SessionStarted(
        session_id=session.session_id,
        user_id=session.user_id or "",
        started_by=session.started_by,
        kind=session.kind,
        title=session.title,
        message=session.message,
        claim_id=session.claim_id or "",
        start_time=timestamp(session.start_time),
        input_files=conversion.from_files(session.input_files),
    )
    return _event(session, act, "started", data, "success")


def recorded(session: Session, event: SessionEvent, act: Act) -> Event:
    """Return the event of a step of a session."""
    data = events_pb2.SessionEventRecorded(session_id=session.session_id, event=conversion.from_event(event))
    return _event(session, act, "event_recorded", data, event.outcome)


def ended(session: Session, ending: Ending, act: Act) -> Event:
    """Return the event of a session's end."""
    if session.end_time is None or session.duration is None:
        raise ValueError(f"session {session.session_id} has not ended")
    data = events_pb2.SessionEnded(
        session_id=session.session_id,
        state=conversion.STATES[session.state],
        end_time=timestamp(session.end_time),
        duration=conversion.duration(session.duration),
        error=session.error,
        output_files=conversion.from_files(session.output_files),
        figures=conversion.from_figures(ending.figures),
    )
    return _event(session, act, "ended", data, _OUTCOMES[session.state])


def _event(session: Session, act: Act, verb: str, data: Message, outcome: str) -> Event:
    return Event(
        event_id=act.event_id,
        noun="session",
        verb=verb,
        message=data,
        time=act.time,
        entity_type="session",
        entity_id=session.session_id,
        actor=act.actor,
        claim_id=session.claim_id,
        outcome=outcome,
        session_id=session.session_id,
    )
