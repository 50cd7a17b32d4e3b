"""What destroying keys does to the tables of the log, and what an erasure reads from them."""

from collections.abc import Collection, Sequence

import sqlalchemy as sa
from proofloop_runtime.database import UnitOfWork

from proofloop_audit.log.store import log_entry, subject


async def delete_subjects(unit: UnitOfWork, pseudonyms: Collection[str]) -> None:
    """Destroy keys by their pseudonyms, and the way from a subject's id to these."""
    await unit.execute(sa.delete(subject).where(subject.c.tenant == unit.tenant, subject.c.pseudonym.in_(pseudonyms)))


async def count_entries(unit: UnitOfWork, pseudonyms: Collection[str], *, start: int, end: int | None = None) -> int:
    """Return how many entries stand under pseudonyms from one index to before another, or to the end."""
    entry = log_entry.c
    counted = sa.select(sa.func.count()).where(
        entry.tenant == unit.tenant, entry.pseudonym.in_(pseudonyms), entry.index >= start
    )
    if end is not None:
        counted = counted.where(entry.index < end)
    count: int = (await unit.execute(counted)).scalar_one()
    return count


async def packets_after_acts(unit: UnitOfWork, pseudonyms: Collection[str], *, limit: int) -> Sequence[str]:
    """Return up to `limit` packets, newest first, that were generated for claims in which a subject had acted."""
    entry = log_entry.c
    acted = (
        sa.select(entry.claim_id, sa.func.min(entry.index).label("first"))
        .where(entry.tenant == unit.tenant, entry.pseudonym.in_(pseudonyms), entry.claim_id.is_not(None))
        .group_by(entry.claim_id)
        .subquery()
    )
    packets = (
        sa.select(entry.entity_id)
        .join(acted, sa.and_(entry.claim_id == acted.c.claim_id, entry.index > acted.c.first))
        .where(entry.tenant == unit.tenant, entry.action == "packet.generated", entry.entity_type == "packet")
        .order_by(entry.index.desc())
        .limit(limit)
    )
    return (await unit.execute(packets)).scalars().all()
