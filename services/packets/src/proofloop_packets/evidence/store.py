"""Table and SQL of evidence."""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from proofloop_runtime.database import UnitOfWork
from sqlalchemy.dialects import postgresql as pg

from proofloop_packets.errors import EvidenceNotFound
from proofloop_packets.evidence.domain import Evidence, Holdings
from proofloop_packets.evidence.metadata import Fact, Mark

schema = sa.MetaData()

evidence = sa.Table(
    "evidence",
    schema,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("evidence_id", pg.UUID(as_uuid=False), primary_key=True),
    sa.Column("claim_id", pg.UUID(as_uuid=False), nullable=False),
    sa.Column("file_name", sa.Text, nullable=False),
    sa.Column("media_type", sa.Text, nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("sha256", sa.Text, nullable=False),
    sa.Column("md5", sa.Text, nullable=False),
    sa.Column("metadata", pg.JSONB, nullable=False),
    sa.Column("marks", pg.JSONB, nullable=False),
    sa.Column("uploaded_by", sa.Text, nullable=False),
    sa.Column("create_time", sa.DateTime(timezone=True), nullable=False),
    sa.Column("last_event_id", pg.UUID(as_uuid=False), nullable=False),
)


async def insert(unit: UnitOfWork, new: Evidence) -> None:
    """Store the record of a file."""
    await unit.execute(
        sa.insert(evidence).values(
            tenant=unit.tenant,
            evidence_id=new.evidence_id,
            claim_id=new.claim_id,
            file_name=new.file_name,
            media_type=new.media_type,
            size=new.size,
            sha256=new.sha256,
            md5=new.md5,
            metadata=dict(new.metadata),
            marks=list(new.marks),
            uploaded_by=new.uploaded_by,
            create_time=new.create_time,
            last_event_id=new.last_event_id,
        )
    )


async def get(unit: UnitOfWork, evidence_id: str) -> Evidence:
    """Return the record of a file.

    Raises:
        EvidenceNotFound: the tenant has none of this id.
    """
    query = sa.select(evidence).where(evidence.c.tenant == unit.tenant, evidence.c.evidence_id == evidence_id)
    row = (await unit.execute(query)).one_or_none()
    if row is None:
        raise EvidenceNotFound("there is no such evidence", evidence_id=evidence_id)
    return _evidence(row)


async def holdings(unit: UnitOfWork, claim_id: str) -> Holdings:
    """Return how much evidence a claim has."""
    query = sa.select(
        sa.func.count().label("files"), sa.func.coalesce(sa.func.sum(evidence.c.size), 0).label("size")
    ).where(evidence.c.tenant == unit.tenant, evidence.c.claim_id == claim_id)
    row = (await unit.execute(query)).one()
    return Holdings(row.files, int(row.size))


async def oldest_first(
    unit: UnitOfWork, *, claim_id: str, after: str | None = None, limit: int | None = None
) -> list[Evidence]:
    """Return the files of a claim in the order they were taken in, from behind the file `after`."""
    query = sa.select(evidence).where(evidence.c.tenant == unit.tenant, evidence.c.claim_id == claim_id)
    if after is not None:
        query = query.where(evidence.c.evidence_id > after)
    rows = await unit.execute(query.order_by(evidence.c.evidence_id).limit(limit))
    return [_evidence(row) for row in rows]


async def disown(unit: UnitOfWork, person_id: str) -> None:
    """Take a person from the files that they handed in."""
    theirs = sa.and_(evidence.c.tenant == unit.tenant, evidence.c.uploaded_by == person_id)
    await unit.execute(sa.update(evidence).where(theirs).values(uploaded_by=""))


async def mentioning(unit: UnitOfWork, text: str) -> list[Evidence]:
    """Return the files whose metadata hold a text, in whatever case, locked."""
    metadata = sa.func.lower(sa.cast(evidence.c.metadata, sa.Text))
    query = sa.select(evidence).where(evidence.c.tenant == unit.tenant, sa.func.strpos(metadata, text.lower()) > 0)
    return [_evidence(row) for row in await unit.execute(query.with_for_update())]


async def put_metadata(unit: UnitOfWork, evidence_id: str, metadata: Mapping[str, Fact]) -> None:
    """Store other metadata of a file."""
    same = sa.and_(evidence.c.tenant == unit.tenant, evidence.c.evidence_id == evidence_id)
    await unit.execute(sa.update(evidence).where(same).values(metadata=dict(metadata)))


def _evidence(row: sa.Row[Any]) -> Evidence:
    return Evidence(
        evidence_id=row.evidence_id,
        claim_id=row.claim_id,
        file_name=row.file_name,
        media_type=row.media_type,
        size=row.size,
        sha256=row.sha256,
        md5=row.md5,
        metadata=row.metadata,
        marks=tuple(Mark(mark) for mark in row.marks),
        uploaded_by=row.uploaded_by,
        create_time=row.create_time,
        last_event_id=row.last_event_id,
    )
