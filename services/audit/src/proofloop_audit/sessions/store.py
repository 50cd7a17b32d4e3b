"""The tables of sessions, their events and their files. Every statement sees the tenant of its transaction alone."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from proofloop_runtime.database import UnitOfWork
from proofloop_verifier.leaf import Outcome
from sqlalchemy.dialects import postgresql as pg

from proofloop_audit.sessions.domain import (
    MICROSECOND,
    Figure,
    File,
    Session,
    SessionEvent,
    SessionFilter,
    State,
)

metadata = sa.MetaData()

session_table = sa.Table(
    "session",
    metadata,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("session_id", pg.UUID(as_uuid=False), primary_key=True),
    sa.Column("user_id", sa.Text),
    sa.Column("started_by", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("title", sa.Text, nullable=False),
    sa.Column("message", sa.Text, nullable=False),
    sa.Column("claim_id", pg.UUID(as_uuid=False)),
    sa.Column("start_time", sa.DateTime(timezone=True), nullable=False),
    sa.Column("input_files", pg.JSONB, nullable=False),
    sa.Column("last_event_id", pg.UUID(as_uuid=False), nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("end_time", sa.DateTime(timezone=True)),
    sa.Column("error", sa.Text, nullable=False),
    sa.Column("output_files", pg.JSONB, nullable=False),
    sa.Column("figures", pg.JSONB, nullable=False),
    sa.Column("event_count", sa.Integer, nullable=False),
    sa.Column("change_time", sa.DateTime(timezone=True), nullable=False),
    sa.Column("blank", sa.Boolean, nullable=False),
)
"""Sessions. What is personal in a blank one is gone, until something is added to it."""

event_table = sa.Table(
    "session_event",
    metadata,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("session_id", pg.UUID(as_uuid=False), primary_key=True),
    sa.Column("sequence", sa.BigInteger, primary_key=True),
    sa.Column("event_id", pg.UUID(as_uuid=False), nullable=False),
    sa.Column("type", sa.Text, nullable=False),
    sa.Column("event_time", sa.DateTime(timezone=True), nullable=False),
    sa.Column("duration_us", sa.BigInteger),
    sa.Column("outcome", sa.Text, nullable=False),
    sa.Column("message", sa.Text, nullable=False),
    sa.Column("details", sa.Text, nullable=False),
    sa.Column("figures", pg.JSONB, nullable=False),
)

_file = sa.Table(
    "session_file",
    metadata,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("sha256", sa.Text, primary_key=True),
    sa.Column("session_id", pg.UUID(as_uuid=False), primary_key=True),
)
"""Which sessions had a file. A table and not an index into the documents: under row-level security only operators
that leak nothing reach an index, and those on documents are not among them."""


async def insert(unit: UnitOfWork, session: Session) -> None:
    """Store a new session."""
    await unit.execute(
        sa.insert(session_table).values(
            tenant=unit.tenant,
            session_id=session.session_id,
            user_id=session.user_id,
            started_by=session.started_by,
            kind=session.kind,
            title=session.title,
            message=session.message,
            claim_id=session.claim_id,
            start_time=session.start_time,
            input_files=_files(session.input_files),
            **_progress(unit, session),
        )
    )
    await _insert_files(unit, session.session_id, session.input_files)


async def insert_event(unit: UnitOfWork, session: Session, event: SessionEvent) -> None:
    """Store an event and what it changed of its session."""
    await unit.execute(
        sa.insert(event_table).values(
            tenant=unit.tenant,
            session_id=session.session_id,
            sequence=event.sequence,
            event_id=event.event_id,
            type=event.type,
            event_time=event.time,
            duration_us=None if event.duration is None else event.duration // MICROSECOND,
            outcome=event.outcome,
            message=event.message,
            details=event.details,
            figures=_figures(event.figures),
        )
    )
    await _save(unit, session)


async def save_end(unit: UnitOfWork, session: Session) -> None:
    """Store how a session ended."""
    await _save(unit, session)
    await _insert_files(unit, session.session_id, session.output_files)


async def find(unit: UnitOfWork, session_id: str) -> Session | None:
    """Return a session, if there is one of this id."""
    row = (await unit.execute(_one(unit, session_id))).mappings().one_or_none()
    return None if row is None else _from_row(row)


async def lock(unit: UnitOfWork, session_id: str) -> Session | None:
    """Return a session, and let nobody else change it until the transaction ends."""
    row = (await unit.execute(_one(unit, session_id).with_for_update())).mappings().one_or_none()
    return None if row is None else _from_row(row)


async def page(unit: UnitOfWork, wanted: SessionFilter, *, before: str | None, limit: int) -> list[Session]:
    """Return up to `limit` sessions with ids before `before`, the newest first."""
    session = session_table.c
    conditions = [session.tenant == unit.tenant]
    for column, value in (
        (session.user_id, wanted.user_id),
        (session.kind, wanted.kind),
        (session.claim_id, wanted.claim_id),
    ):
        if value is not None:
            conditions.append(column == value)
    if wanted.states:
        conditions.append(session.state.in_(sorted(wanted.states)))
    if wanted.start_time is not None:
        conditions.append(session.start_time >= wanted.start_time)
    if wanted.end_time is not None:
        conditions.append(session.start_time < wanted.end_time)
    if wanted.file_sha256 is not None:
        having = sa.select(_file.c.session_id).where(
            _file.c.tenant == unit.tenant, _file.c.sha256 == wanted.file_sha256
        )
        conditions.append(session.session_id.in_(having))
    if before is not None:
        conditions.append(session.session_id < before)
    rows = await unit.execute(
        sa.select(session_table).where(*conditions).order_by(session.session_id.desc()).limit(limit)
    )
    return [_from_row(row) for row in rows.mappings()]


async def events(unit: UnitOfWork, session_id: str, *, after: int, limit: int) -> list[SessionEvent]:
    """Return up to `limit` events of a session behind a sequence number, in order."""
    event = event_table.c
    rows = await unit.execute(
        sa.select(event_table)
        .where(event.tenant == unit.tenant, event.session_id == session_id, event.sequence > after)
        .order_by(event.sequence)
        .limit(limit)
    )
    return [_from_event_row(row) for row in rows.mappings()]


async def first_events(unit: UnitOfWork, sessions: Sequence[Session], *, each: int) -> dict[str, list[SessionEvent]]:
    """Return up to `each` of the first events of every session, by the session's id."""
    event = event_table.c
    rows = await unit.execute(
        sa.select(event_table)
        .where(
            event.tenant == unit.tenant,
            event.session_id.in_([session.session_id for session in sessions]),
            event.sequence <= each,
        )
        .order_by(event.session_id, event.sequence)
    )
    found: dict[str, list[SessionEvent]] = {session.session_id: [] for session in sessions}
    for row in rows.mappings():
        found[row["session_id"]].append(_from_event_row(row))
    return found


async def _save(unit: UnitOfWork, session: Session) -> None:
    await unit.execute(
        sa.update(session_table)
        .where(session_table.c.tenant == unit.tenant, session_table.c.session_id == session.session_id)
        .values(**_progress(unit, session))
    )


async def _insert_files(unit: UnitOfWork, session_id: str, files: Iterable[File]) -> None:
    rows = [
        {"tenant": unit.tenant, "sha256": sha256, "session_id": session_id}
        for sha256 in sorted({file.sha256 for file in files})
    ]
    if rows:
        # A file may go in and come out unchanged.
        await unit.execute(pg.insert(_file).on_conflict_do_nothing(), rows)


def _one(unit: UnitOfWork, session_id: str) -> sa.Select[Any]:
    return sa.select(session_table).where(
        session_table.c.tenant == unit.tenant, session_table.c.session_id == session_id
    )


def _progress(unit: UnitOfWork, session: Session) -> dict[str, Any]:
    """Return the columns that change."""
    return {
        "change_time": unit.clock.now(),
        "blank": False,
        "last_event_id": session.last_event_id,
        "state": session.state,
        "end_time": session.end_time,
        "error": session.error,
        "output_files": _files(session.output_files),
        "figures": _figures(session.figures),
        "event_count": session.event_count,
    }


def _files(files: Iterable[File]) -> list[dict[str, Any]]:
    return [
        {
            "name": file.name,
            "size": file.size,
            "sha256": file.sha256,
            "md5": file.md5,
            "media_type": file.media_type,
        }
        for file in files
    ]


def _figures(figures: Iterable[Figure]) -> list[dict[str, str]]:
    return [{"name": figure.name, "value": f"{figure.value:f}", "unit": figure.unit} for figure in figures]


def _to_files(stored: Sequence[Mapping[str, Any]]) -> tuple[File, ...]:
    return tuple(File(**file) for file in stored)


def _to_figures(stored: Sequence[Mapping[str, str]]) -> tuple[Figure, ...]:
    return tuple(Figure(figure["name"], Decimal(figure["value"]), figure["unit"]) for figure in stored)


def _from_row(row: Mapping[Any, Any]) -> Session:
    values = {name: value for name, value in row.items() if name not in ("tenant", "change_time", "blank")}
    values["state"] = State(row["state"])
    values["input_files"] = _to_files(row["input_files"])
    values["output_files"] = _to_files(row["output_files"])
    values["figures"] = _to_figures(row["figures"])
    return Session(**values)


def _from_event_row(row: Mapping[Any, Any]) -> SessionEvent:
    return SessionEvent(
        event_id=row["event_id"],
        sequence=row["sequence"],
        type=row["type"],
        time=row["event_time"],
        duration=None if row["duration_us"] is None else timedelta(microseconds=row["duration_us"]),
        outcome=Outcome(row["outcome"]),
        message=row["message"],
        details=row["details"],
        figures=_to_figures(row["figures"]),
    )
