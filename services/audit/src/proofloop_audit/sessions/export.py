"""Sessions with their events as JSON Lines, in memory that does not grow with either."""

import asyncio
from collections.abc import AsyncIterator
from typing import Final

from google.protobuf import json_format
from google.protobuf.message import Message
from proofloop_runtime.database import Database

from proofloop_audit.sessions import conversion, store
from proofloop_audit.sessions.domain import Session, SessionEvent, SessionFilter

MEDIA_TYPE: Final = "application/jsonl"

_PIECE = 64 * 1024
_SESSIONS = 50
"""Sessions read at once, each with its first events, which for most are all."""
_EVENTS = 20


async def pieces(database: Database, wanted: SessionFilter) -> AsyncIterator[bytes]:
    """Yield the export, at least one piece of it, be it empty. No transaction stays open while a reader reads."""
    gathered: list[str] = []
    size = 0
    async for text in _texts(database, wanted):
        gathered.append(text)
        size += len(text)
        if size >= _PIECE:
            yield "".join(gathered).encode()
            gathered, size = [], 0
    yield "".join(gathered).encode()


async def _texts(database: Database, wanted: SessionFilter) -> AsyncIterator[str]:
    before: str | None = None
    while True:
        async with database.transaction() as unit:
            sessions = await store.page(unit, wanted, before=before, limit=_SESSIONS)
            first = await store.first_events(unit, sessions, each=_EVENTS)
        for session in sessions:
            yield f'{{"session":{_json(conversion.from_session(session))},"events":['
            async for event in _events(database, session, first[session.session_id]):
                comma = "," if event.sequence > 1 else ""
                yield f"{comma}{_json(conversion.from_event(event))}"
                # Writing JSON takes a tenth of a millisecond and more.
                await asyncio.sleep(0)
            yield "]}\n"
            await asyncio.sleep(0)
        if len(sessions) < _SESSIONS:
            return
        before = sessions[-1].session_id


async def _events(database: Database, session: Session, first: list[SessionEvent]) -> AsyncIterator[SessionEvent]:
    """Yield the events that the session had when it was read, reading on where there are more than the first."""
    page = first
    while True:
        for event in page:
            if event.sequence > session.event_count:
                return
            yield event
        if not page or page[-1].sequence >= session.event_count:
            return
        async with database.transaction() as unit:
            page = await store.events(unit, session.session_id, after=page[-1].sequence, limit=_EVENTS)


def _json(message: Message) -> str:
    return json_format.MessageToJson(message, indent=None, ensure_ascii=False)
