"""The table of checkpoints."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from proofloop_runtime.database import UnitOfWork
from proofloop_runtime.reading import Reader
from sqlalchemy.dialects import postgresql as pg

from proofloop_audit.log.store import metadata

log_checkpoint = sa.Table(
    "log_checkpoint",
    metadata,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("size", sa.BigInteger, primary_key=True),
    sa.Column("root", sa.LargeBinary, nullable=False),
    sa.Column("note", sa.Text, nullable=False),
    sa.Column("sign_time", sa.DateTime(timezone=True), nullable=False),
)
"""Every checkpoint that was ever signed."""

_NEWEST = "SELECT size, root, note, sign_time FROM log_checkpoint WHERE tenant = $1 ORDER BY size DESC LIMIT 1"

_UNCOVERED = sa.text("""
    SELECT log.tenant
    FROM unnest(CAST(:tenants AS text[])) AS log (tenant)
    WHERE NOT EXISTS (
        SELECT FROM log_checkpoint c
        WHERE c.tenant = log.tenant
            AND c.size >= COALESCE((SELECT max(e.index) + 1 FROM log_entry e WHERE e.tenant = log.tenant), 0)
    )
""")


@dataclass(frozen=True, slots=True)
class CheckpointRow:
    """A checkpoint as stored."""

    size: int
    root: bytes
    note: str
    sign_time: datetime


async def select_checkpoint(reader: Reader) -> CheckpointRow | None:
    """Return the newest checkpoint of the tenant's log."""
    rows = await reader.fetch(_NEWEST, reader.tenant)
    return CheckpointRow(**rows[0]) if rows else None


async def insert_checkpoint(unit: UnitOfWork, checkpoint: CheckpointRow) -> None:
    """Store a checkpoint; another replica may have signed the same size, with the same root."""
    await unit.execute(
        pg.insert(log_checkpoint)
        .values(
            tenant=unit.tenant,
            size=checkpoint.size,
            root=checkpoint.root,
            note=checkpoint.note,
            sign_time=checkpoint.sign_time,
        )
        .on_conflict_do_nothing()
    )


async def select_uncovered(unit: UnitOfWork, tenants: Sequence[str]) -> list[str]:
    """Return those of the transaction's tenants whose log has entries that no checkpoint covers, or no checkpoint."""
    return list((await unit.execute(_UNCOVERED, {"tenants": list(tenants)})).scalars())
