"""SQL of what expires: subjects by the end of their period, never by their entries."""

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa
from proofloop_runtime.database import UnitOfWork
from sqlalchemy.dialects import postgresql as pg

from proofloop_audit.log.hold_store import Held
from proofloop_audit.log.store import subject


async def end_periods(unit: UnitOfWork, time: datetime, *, limit: int) -> int:
    """Let up to `limit` keys that were to be sealed with for ever end at a time; return how many."""
    found = sa.select(subject.c.pseudonym).where(subject.c.tenant == unit.tenant, subject.c.seal_until.is_(None))
    endless = (await unit.execute(found.limit(limit))).scalars().all()
    if endless:
        any_of_them = subject.c.pseudonym == sa.any_(sa.literal(endless, pg.ARRAY(sa.Text)))
        ending = sa.update(subject).where(subject.c.tenant == unit.tenant, any_of_them)
        await unit.execute(ending.values(seal_until=time))
    return len(endless)


async def select_expired(unit: UnitOfWork, until: datetime, held: Held, *, limit: int) -> Sequence[str]:
    """Return up to `limit` pseudonyms whose period ended at a time or before, and that no hold keeps, oldest first."""
    expired = sa.select(subject.c.pseudonym).where(
        subject.c.tenant == unit.tenant,
        subject.c.seal_until <= until,
        subject.c.blind_index != sa.all_(sa.literal(list(held.people), pg.ARRAY(sa.LargeBinary))),
        subject.c.pseudonym != sa.all_(sa.literal(list(held.named), pg.ARRAY(sa.Text))),
    )
    oldest = expired.order_by(subject.c.seal_until, subject.c.pseudonym).limit(limit)
    return (await unit.execute(oldest)).scalars().all()
