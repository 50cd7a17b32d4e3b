"""The table of legal holds. Names stand in it sealed under their subject's key, so that an erasure takes them along."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from proofloop_runtime.database import UnitOfWork
from sqlalchemy.dialects import postgresql as pg

from proofloop_audit.log.holds import ScopeKind
from proofloop_audit.log.sealing import SealedName
from proofloop_audit.log.store import log_entry, metadata

legal_hold = sa.Table(
    "legal_hold",
    metadata,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("hold_id", pg.UUID(as_uuid=False), primary_key=True),
    sa.Column("scope", sa.Text, nullable=False),
    sa.Column("claim_id", pg.UUID(as_uuid=False)),
    sa.Column("subject_pseudonym", sa.Text),
    sa.Column("subject_name", sa.LargeBinary),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("place_time", sa.DateTime(timezone=True), nullable=False),
    sa.Column("placer_pseudonym", sa.Text, nullable=False),
    sa.Column("placer_name", sa.LargeBinary, nullable=False),
    sa.Column("release_reason", sa.Text),
    sa.Column("release_time", sa.DateTime(timezone=True)),
    sa.Column("releaser_pseudonym", sa.Text),
    sa.Column("releaser_name", sa.LargeBinary),
    sa.Column("last_event_id", pg.UUID(as_uuid=False), nullable=False),
)
"""Legal holds, active and released. Only the release may change them."""


@dataclass(frozen=True, slots=True)
class ActRow:
    """The placing or the release of a hold, as stored."""

    time: datetime
    actor: SealedName
    reason: str


@dataclass(frozen=True, slots=True)
class HoldRow:
    """A hold as stored."""

    hold_id: str
    scope: ScopeKind
    claim_id: str | None
    subject: SealedName | None
    placed: ActRow
    released: ActRow | None
    last_event_id: str

    def names(self) -> list[SealedName]:
        """Return every name that the row holds."""
        names = [self.placed.actor]
        if self.subject is not None:
            names.append(self.subject)
        if self.released is not None:
            names.append(self.released.actor)
        return names


async def lock(unit: UnitOfWork) -> None:
    """Let nobody else place a hold or erase anybody in the tenant until the transaction ends."""
    key = f"legal-hold/{unit.tenant}"
    await unit.execute(sa.text("SELECT pg_advisory_xact_lock(hashtextextended(:key, 0))"), {"key": key})


async def insert(unit: UnitOfWork, row: HoldRow) -> None:
    """Store a new hold."""
    subject = row.subject
    await unit.execute(
        sa.insert(legal_hold).values(
            tenant=unit.tenant,
            hold_id=row.hold_id,
            scope=row.scope,
            claim_id=row.claim_id,
            subject_pseudonym=None if subject is None else subject.pseudonym,
            subject_name=None if subject is None else subject.name,
            reason=row.placed.reason,
            place_time=row.placed.time,
            placer_pseudonym=row.placed.actor.pseudonym,
            placer_name=row.placed.actor.name,
            last_event_id=row.last_event_id,
        )
    )


async def release(unit: UnitOfWork, hold_id: str, act: ActRow, event_id: str) -> None:
    """Store that a hold was released."""
    await unit.execute(
        sa.update(legal_hold)
        .where(legal_hold.c.tenant == unit.tenant, legal_hold.c.hold_id == hold_id)
        .values(
            release_reason=act.reason,
            release_time=act.time,
            releaser_pseudonym=act.actor.pseudonym,
            releaser_name=act.actor.name,
            last_event_id=event_id,
        )
    )


async def select(unit: UnitOfWork, hold_id: str) -> HoldRow | None:
    """Return a hold."""
    found = sa.select(legal_hold).where(legal_hold.c.tenant == unit.tenant, legal_hold.c.hold_id == hold_id)
    row = (await unit.execute(found)).one_or_none()
    return None if row is None else _from_row(row)


async def page(unit: UnitOfWork, *, include_released: bool, after: str | None, limit: int) -> list[HoldRow]:
    """Return up to `limit` holds behind the id `after`, in the order of their ids, which is that of placing."""
    query = sa.select(legal_hold).where(legal_hold.c.tenant == unit.tenant).order_by(legal_hold.c.hold_id).limit(limit)
    if not include_released:
        query = query.where(legal_hold.c.release_time.is_(None))
    if after is not None:
        query = query.where(legal_hold.c.hold_id > after)
    return [_from_row(row) for row in await unit.execute(query)]


async def covering(unit: UnitOfWork, pseudonym: str, *, limit: int) -> Sequence[str]:
    """Return the ids of up to `limit` active holds that cover a subject, oldest first."""
    hold = legal_hold.c
    acted = (
        sa.select(sa.literal(1))
        .where(log_entry.c.tenant == hold.tenant, log_entry.c.claim_id == hold.claim_id)
        .where(log_entry.c.pseudonym == pseudonym)
        .exists()
    )
    covers = sa.or_(hold.scope == ScopeKind.TENANT, hold.subject_pseudonym == pseudonym, acted)
    found = sa.select(hold.hold_id).where(hold.tenant == unit.tenant, hold.release_time.is_(None), covers)
    return (await unit.execute(found.order_by(hold.hold_id).limit(limit))).scalars().all()


def _from_row(row: sa.Row[Any]) -> HoldRow:
    return HoldRow(
        hold_id=row.hold_id,
        scope=ScopeKind(row.scope),
        claim_id=row.claim_id,
        subject=None if row.subject_name is None else SealedName(row.subject_pseudonym, row.subject_name),
        placed=ActRow(row.place_time, SealedName(row.placer_pseudonym, row.placer_name), row.reason),
        released=None
        if row.release_time is None
        else ActRow(row.release_time, SealedName(row.releaser_pseudonym, row.releaser_name), row.release_reason),
        last_event_id=row.last_event_id,
    )
