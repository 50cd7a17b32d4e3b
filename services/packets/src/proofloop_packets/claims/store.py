"""Table and SQL of claims."""

from typing import Any

import sqlalchemy as sa
from proofloop_runtime.database import UnitOfWork
from sqlalchemy.dialects import postgresql as pg

from proofloop_packets.claims import facts
from proofloop_packets.claims.domain import Claim, ClaimState
from proofloop_packets.errors import ClaimNotFound

metadata = sa.MetaData()

claim = sa.Table(
    "claim",
    metadata,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("claim_id", pg.UUID(as_uuid=False), primary_key=True),
    sa.Column("title", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("owner_id", sa.Text, nullable=False),
    sa.Column("facts", pg.JSONB, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("create_time", sa.DateTime(timezone=True), nullable=False),
    sa.Column("update_time", sa.DateTime(timezone=True), nullable=False),
    sa.Column("version", sa.BigInteger, nullable=False),
    sa.Column("last_event_id", pg.UUID(as_uuid=False), nullable=False),
)


async def insert(unit: UnitOfWork, new: Claim) -> None:
    """Store a new claim."""
    await unit.execute(
        sa.insert(claim).values(
            tenant=unit.tenant,
            claim_id=new.claim_id,
            title=new.title,
            kind=new.kind,
            owner_id=new.owner_id,
            facts=facts.to_json(new.facts),
            state=new.state,
            create_time=new.create_time,
            update_time=new.update_time,
            version=new.version,
            last_event_id=new.last_event_id,
        )
    )


async def get(unit: UnitOfWork, claim_id: str, *, lock: bool = False) -> Claim:
    """Return a claim; with `lock`, whoever else locks it waits until this transaction ends.

    Raises:
        ClaimNotFound: the tenant has none of this id.
    """
    query = sa.select(claim).where(claim.c.tenant == unit.tenant, claim.c.claim_id == claim_id)
    row = (await unit.execute(query.with_for_update() if lock else query)).one_or_none()
    if row is None:
        raise ClaimNotFound("there is no such claim", claim_id=claim_id)
    return _claim(row)


async def newest_first(
    unit: UnitOfWork,
    *,
    owner_id: str | None,
    state: ClaimState | None,
    kind: str | None,
    before: str | None,
    limit: int,
) -> list[Claim]:
    """Return claims, newest first, that match every filter given and are older than the claim `before`."""
    query = sa.select(claim).where(claim.c.tenant == unit.tenant)
    for column, value in ((claim.c.owner_id, owner_id), (claim.c.state, state), (claim.c.kind, kind)):
        if value is not None:
            query = query.where(column == value)
    if before is not None:
        query = query.where(claim.c.claim_id < before)
    rows = await unit.execute(query.order_by(claim.c.claim_id.desc()).limit(limit))
    return [_claim(row) for row in rows]


async def disown(unit: UnitOfWork, person_id: str) -> None:
    """Take a person from the claims that are theirs."""
    theirs = sa.and_(claim.c.tenant == unit.tenant, claim.c.owner_id == person_id)
    await unit.execute(sa.update(claim).where(theirs).values(owner_id=""))


def _claim(row: sa.Row[Any]) -> Claim:
    return Claim(
        claim_id=row.claim_id,
        title=row.title,
        kind=row.kind,
        owner_id=row.owner_id,
        facts=facts.from_json(row.facts),
        state=ClaimState(row.state),
        create_time=row.create_time,
        update_time=row.update_time,
        version=row.version,
        last_event_id=row.last_event_id,
    )
