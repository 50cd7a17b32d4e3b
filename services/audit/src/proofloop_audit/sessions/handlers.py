"""What can be done with sessions, each in the caller's transaction."""

from dataclasses import dataclass, replace
from datetime import timedelta

from proofloop.access.v1.access_pb2 import ROLE_AUDITOR, ROLE_COMPLIANCE, ROLE_REVIEWER, ROLE_SERVICE
from proofloop_runtime.call import Caller, CallerType
from proofloop_runtime.database import UnitOfWork
from proofloop_runtime.errors import NotOwner
from proofloop_runtime.events import Actor
from proofloop_runtime.ports import Ids

from proofloop_audit.errors import SessionNotFound
from proofloop_audit.sessions import domain, events, rollup_store, store
from proofloop_audit.sessions.domain import Act, Ending, EventDraft, Session, SessionDraft, SessionEvent, SessionFilter
from proofloop_audit.sessions.rollup import of_end, of_event, of_start
from proofloop_audit.sessions.statistics import Statistics, Window, of_sums

SEE_ALL = (ROLE_REVIEWER, ROLE_COMPLIANCE, ROLE_AUDITOR, ROLE_SERVICE)
"""Roles that see every session of their tenant."""


@dataclass(frozen=True, slots=True)
class Book:
    """What a session is written with.

    Attributes:
        ids: Ids of sessions and events.
        skew: How far ahead of our clock a caller's time may lie.
    """

    ids: Ids
    skew: timedelta

    def act(self, unit: UnitOfWork, user_id: str | None, caller: Caller) -> Act:
        """Return an act of now, by the user whose work it is, else by the service that calls."""
        actor = Actor(caller.type, caller.id) if user_id is None else Actor(CallerType.USER, user_id)
        return Act(unit.clock.now(), actor, self.ids.uuid7())


def user_of(named: str, caller: Caller) -> str | None:
    """Return whose work a new session is.

    Raises:
        NotOwner: a person names somebody else.
    """
    if caller.type is CallerType.SERVICE:
        return named or None
    user_id = named or caller.id
    caller.must_own(user_id, ROLE_SERVICE)
    return user_id


async def start(unit: UnitOfWork, book: Book, *, draft: SessionDraft, caller: Caller) -> Session:
    """Start a session.

    Raises:
        DomainError: as `domain.start`.
    """
    act = book.act(unit, draft.user_id, caller)
    session = domain.start(draft, act, session_id=book.ids.uuid7(), skew=book.skew)
    await store.insert(unit, session)
    await rollup_store.add(unit, of_start(session))
    await unit.publish(events.started(session, act))
    return session


async def record(
    unit: UnitOfWork, book: Book, *, session_id: str, draft: EventDraft, caller: Caller
) -> tuple[Session, SessionEvent]:
    """Record a step of a session.

    Raises:
        SessionNotFound: the tenant has none of this id.
        NotOwner: it is somebody else's.
        DomainError: as `domain.record`.
    """
    session = await _locked(unit, session_id, caller)
    act = book.act(unit, session.user_id, caller)
    session, event = domain.record(session, draft, act, skew=book.skew)
    await store.insert_event(unit, session, event)
    await rollup_store.add(unit, of_event(session, event))
    await unit.publish(events.recorded(session, event, act))
    return session, event


async def end(unit: UnitOfWork, book: Book, *, session_id: str, ending: Ending, caller: Caller) -> Session:
    """End a session.

    Raises:
        SessionNotFound: the tenant has none of this id.
        NotOwner: it is somebody else's.
        DomainError: as `domain.end`.
    """
    session = await _locked(unit, session_id, caller)
    act = book.act(unit, session.user_id, caller)
    session = domain.end(session, ending, act, skew=book.skew)
    await store.save_end(unit, session)
    await rollup_store.add(unit, of_end(session, ending))
    await unit.publish(events.ended(session, ending, act))
    return session


async def get(unit: UnitOfWork, *, session_id: str, caller: Caller) -> Session:
    """Return a session that the caller may see.

    Raises:
        SessionNotFound: the tenant has none of this id.
        NotOwner: it is somebody else's.
    """
    session = await store.find(unit, session_id)
    if session is None:
        raise SessionNotFound(session_id)
    caller.must_own(session.user_id or "", *SEE_ALL)
    return session


def visible(wanted: SessionFilter, caller: Caller) -> SessionFilter:
    """Return the filter narrowed to what the caller may see.

    Raises:
        NotOwner: they ask for somebody else's.
    """
    if caller.roles.intersection(SEE_ALL):
        return wanted
    if wanted.user_id not in (None, caller.id):
        raise NotOwner("you may list the sessions that are yours")
    return replace(wanted, user_id=caller.id)


async def statistics(unit: UnitOfWork, *, days: int, kind: str | None) -> Statistics:
    """Return the figures of so many full days, and of today; of one kind, or of all."""
    window = Window.ending(unit.clock.now(), days)
    return of_sums(window, await rollup_store.sums(unit, window, kind))


async def _locked(unit: UnitOfWork, session_id: str, caller: Caller) -> Session:
    session = await store.lock(unit, session_id)
    if session is None:
        raise SessionNotFound(session_id)
    caller.must_own(session.user_id or "", ROLE_SERVICE)
    return session
