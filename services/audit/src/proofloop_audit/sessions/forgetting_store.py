"""Takes what is personal from sessions and their events: of one person, or of a time."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from proofloop_runtime.database import UnitOfWork
from sqlalchemy.dialects import postgresql as pg

from proofloop_audit.sessions.store import event_table, session_table


@dataclass(frozen=True, slots=True)
class OldSession:
    """A session that did not change for long."""

    session_id: str
    start_time: datetime
    user_id: str | None
    claim_id: str | None


async def lock_old(unit: UnitOfWork, until: datetime, after: OldSession | None, *, limit: int) -> list[OldSession]:
    """Return up to `limit` sessions behind another that did not change since a time and are not blank, oldest first.

    Nobody changes them until the transaction ends; those that somebody is about to change are left out.
    """
    session = session_table.c
    conditions = [
        session.tenant == unit.tenant,
        sa.not_(session.blank),
        session.start_time <= until,
        session.change_time <= until,
    ]
    if after is not None:
        conditions.append(sa.tuple_(session.start_time, session.session_id) > (after.start_time, after.session_id))
    rows = await unit.execute(
        sa.select(session.session_id, session.start_time, session.user_id, session.claim_id)
        .where(*conditions)
        .order_by(session.start_time, session.session_id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return [OldSession(**row) for row in rows.mappings()]


async def blank_of(unit: UnitOfWork, person_id: str) -> None:
    """Take a person, their words and the names of their files from their sessions, and the words from the events."""
    await _blank(unit, session_table.c.user_id == person_id)


async def blank(unit: UnitOfWork, session_ids: Collection[str]) -> None:
    """Take whose they are, words and the names of files from sessions, and the words from their events."""
    await _blank(unit, session_table.c.session_id.in_(session_ids))


async def _blank(unit: UnitOfWork, which: sa.ColumnElement[bool]) -> None:
    session, event = session_table.c, event_table.c
    chosen = sa.and_(session.tenant == unit.tenant, which)
    await unit.execute(
        sa.update(event_table)
        .where(event.tenant == unit.tenant, event.session_id.in_(sa.select(session.session_id).where(chosen)))
        .values(message="", details="")
    )
    await unit.execute(
        sa.update(session_table)
        .where(chosen)
        .values(
            user_id=None,
            started_by=sa.case((session.started_by == session.user_id, ""), else_=session.started_by),
            title="",
            message="",
            error="",
            input_files=_without_names(session.input_files),
            output_files=_without_names(session.output_files),
            blank=True,
        )
    )


def _without_names(files: sa.Column[Any]) -> sa.ScalarSelect[Any]:
    """Return the files of a column with empty names."""
    elements = sa.func.jsonb_array_elements(files)
    file = elements.table_valued(sa.column("value", pg.JSONB), with_ordinality="number").render_derived("file")
    blanked = file.c.value.op("||")(sa.literal({"name": ""}, pg.JSONB))
    in_order = pg.aggregate_order_by(blanked, file.c.number)
    return sa.select(sa.func.coalesce(sa.func.jsonb_agg(in_order), sa.literal([], pg.JSONB))).scalar_subquery()
