"""The table of legal holds. Names stand in it sealed under their subject's key, so that an erasure takes them along."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from proofloop_runtime.database import UnitOfWork
from sqlalchemy.dialects import postgresql as pg

from proofloop_audit.log.holds import ScopeKind
from proofloop_audit.log.sealing import SealedName
from proofloop_audit.log.store import log_entry, metadata, select_blind_indexes

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


@dataclass(frozen=True, slots=True)
class Held:
    """What the active holds of a tenant keep.

    Attributes:
        everything: One covers the whole tenant.
        claims: The claims that are covered.
        people: Blind indexes of the people who are covered, be it by a claim.
        named: Pseudonyms under which holds themselves name people.
    """

    everything: bool
    claims: frozenset[str]
    people: frozenset[bytes]
    named: frozenset[str]


async def lock(unit: UnitOfWork) -> None:
    """Let nobody else place a hold or destroy a key in the tenant until the transaction ends."""
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


async def covering(unit: UnitOfWork, pseudonyms: Collection[str], *, limit: int) -> Sequence[str]:
    """Return the ids of up to `limit` active holds that cover the subject of these pseudonyms, oldest first."""
    hold = legal_hold.c
    acted = (
        sa.select(sa.literal(1))
        .where(log_entry.c.tenant == hold.tenant, log_entry.c.claim_id == hold.claim_id)
        .where(log_entry.c.pseudonym.in_(pseudonyms))
        .exists()
    )
    covers = sa.or_(hold.scope == ScopeKind.TENANT, hold.subject_pseudonym.in_(pseudonyms), acted)
    found = sa.select(hold.hold_id).where(hold.tenant == unit.tenant, hold.release_time.is_(None), covers)
    return (await unit.execute(found.order_by(hold.hold_id).limit(limit))).scalars().all()


async def held(unit: UnitOfWork) -> Held:
    """Return what the active holds keep. It reads the entries of the claims that they cover, and no others."""
    hold = legal_hold.c
    active = sa.select(hold.scope, hold.claim_id, hold.subject_pseudonym, hold.placer_pseudonym).where(
        hold.tenant == unit.tenant, hold.release_time.is_(None)
    )
    rows = (await unit.execute(active)).all()
    claims = [row.claim_id for row in rows if row.claim_id is not None]
    acted = (await unit.execute(_ACTED, {"tenant": unit.tenant, "claims": claims})).scalars() if claims else ()
    subjects = {row.subject_pseudonym for row in rows if row.subject_pseudonym is not None}
    return Held(
        everything=any(row.scope == ScopeKind.TENANT for row in rows),
        claims=frozenset(claims),
        people=await select_blind_indexes(unit, subjects.union(acted)),
        named=frozenset(subjects.union(row.placer_pseudonym for row in rows)),
    )


# OFFSET keeps PostgreSQL from going through the log and asking of each entry which claim it has; and a range of pairs
# fits the index of claims alone, as in `search`.
_ACTED = sa.text("""
    SELECT DISTINCT acted.pseudonym
    FROM unnest(CAST(:claims AS uuid[])) AS held (claim_id), LATERAL (
        SELECT pseudonym FROM log_entry
        WHERE tenant = :tenant
            AND claim_id IS NOT NULL
            AND (claim_id, index) >= (held.claim_id, 0)
            AND (claim_id, index) <= (held.claim_id, 9223372036854775807)
        ORDER BY claim_id, index
        OFFSET 0
    ) AS acted
""")


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
