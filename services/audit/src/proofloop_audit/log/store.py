"""Tables and SQL of the log. Every statement runs in a transaction that sees one tenant's rows."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from proofloop_runtime.database import UnitOfWork
from proofloop_verifier import merkle
from proofloop_verifier.merkle import Subtree
from sqlalchemy.dialects import postgresql as pg

metadata = sa.MetaData()

log_entry = sa.Table(
    "log_entry",
    metadata,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("index", sa.BigInteger, primary_key=True),
    sa.Column("entry_id", pg.UUID(as_uuid=False), nullable=False),
    sa.Column("fingerprint", sa.LargeBinary, nullable=False),
    sa.Column("leaf", sa.LargeBinary, nullable=False),
    sa.Column("leaf_hash", sa.LargeBinary, nullable=False),
    sa.Column("append_time", sa.DateTime(timezone=True), nullable=False),
    sa.Column("claim_id", pg.UUID(as_uuid=False)),
    sa.Column("claim_sequence", sa.BigInteger),
    sa.Column("entity_type", sa.Text, nullable=False),
    sa.Column("entity_id", sa.Text, nullable=False),
    sa.Column("action", sa.Text, nullable=False),
    sa.Column("session_id", sa.Text),
    sa.Column("outcome", sa.Text, nullable=False),
    sa.Column("pseudonym", sa.Text, nullable=False),
    sa.Column("sealed_part", sa.LargeBinary, nullable=False),
)
"""The entries: the leaf is the truth, what stands beside it serves search; personal parts are sealed."""

log_subtree = sa.Table(
    "log_subtree",
    metadata,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("level", sa.SmallInteger, primary_key=True),
    sa.Column("position", sa.BigInteger, primary_key=True),
    sa.Column("root", sa.LargeBinary, nullable=False),
)
"""Roots of the perfect subtrees over 256, 256², … entries (level 8, 16, …), so that a proof needs O(log n) reads."""

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

subject = sa.Table(
    "subject",
    metadata,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("blind_index", sa.LargeBinary, primary_key=True),
    sa.Column("pseudonym", sa.Text, nullable=False),
    sa.Column("wrapped_key", sa.LargeBinary, nullable=False),
)
"""Data subjects: found by a keyed hash of their id, named in leaves by a pseudonym. Erasure removes the row."""

TILE_LEVELS = 8
"""Levels between stored subtree roots; C2SP tlog-tiles has tiles of the same height."""


@dataclass(frozen=True, slots=True)
class SubjectRow:
    """A data subject as stored."""

    pseudonym: str
    wrapped_key: bytes


@dataclass(frozen=True, slots=True)
class EntryRow:
    """An entry as stored."""

    index: int
    entry_id: str
    leaf: bytes
    leaf_hash: bytes
    pseudonym: str
    sealed_part: bytes


ENTRIES = sa.select(
    log_entry.c.index,
    log_entry.c.entry_id,
    log_entry.c.leaf,
    log_entry.c.leaf_hash,
    log_entry.c.pseudonym,
    log_entry.c.sealed_part,
)
"""What an `EntryRow` consists of."""


@dataclass(frozen=True, slots=True)
class LeafRow:
    """What the tree holds of an entry."""

    index: int
    leaf: bytes
    leaf_hash: bytes


@dataclass(frozen=True, slots=True)
class CheckpointRow:
    """A checkpoint as stored."""

    size: int
    root: bytes
    note: str
    sign_time: datetime


async def select_subject(unit: UnitOfWork, blind_index: bytes) -> SubjectRow | None:
    """Return the subject with this blind index."""
    found = sa.select(subject).where(subject.c.tenant == unit.tenant, subject.c.blind_index == blind_index)
    row = (await unit.execute(found)).one_or_none()
    return SubjectRow(row.pseudonym, row.wrapped_key) if row else None


async def insert_subject(unit: UnitOfWork, blind_index: bytes, fresh: SubjectRow) -> None:
    """Store a subject unless another transaction was first; waits for one that is about to."""
    await unit.execute(
        pg.insert(subject)
        .values(
            tenant=unit.tenant,
            blind_index=blind_index,
            pseudonym=fresh.pseudonym,
            wrapped_key=fresh.wrapped_key,
        )
        .on_conflict_do_nothing()
    )


async def select_subjects_by_pseudonym(unit: UnitOfWork, pseudonyms: Collection[str]) -> list[SubjectRow]:
    """Return those of the subjects that are not erased."""
    found = sa.select(subject).where(subject.c.tenant == unit.tenant, subject.c.pseudonym.in_(pseudonyms))
    return [SubjectRow(row.pseudonym, row.wrapped_key) for row in await unit.execute(found)]


async def select_size(unit: UnitOfWork) -> int:
    """Return the number of entries of the tenant's log."""
    last = await unit.execute(sa.select(sa.func.max(log_entry.c.index)).where(log_entry.c.tenant == unit.tenant))
    index = last.scalar_one()
    return 0 if index is None else index + 1


async def select_entry(unit: UnitOfWork, entry_id: str) -> EntryRow | None:
    """Return the entry with this id."""
    found = ENTRIES.where(log_entry.c.tenant == unit.tenant, log_entry.c.entry_id == entry_id)
    row = (await unit.execute(found)).mappings().one_or_none()
    return EntryRow(**row) if row else None


async def select_leaves(unit: UnitOfWork, begin: int, end: int) -> list[LeafRow]:
    """Return the leaves begin … end - 1, in order, those that there are."""
    entry = log_entry.c
    found = sa.select(entry.index, entry.leaf, entry.leaf_hash).where(
        entry.tenant == unit.tenant, entry.index >= begin, entry.index < end
    )
    rows = await unit.execute(found.order_by(entry.index))
    return [LeafRow(row["index"], row["leaf"], row["leaf_hash"]) for row in rows.mappings()]


async def select_tile(unit: UnitOfWork, level: int, begin: int, end: int) -> list[bytes]:
    """Return the stored hashes of a level, leaf hashes or roots of subtrees, at the positions begin … end - 1."""
    hashes = await _select_hashes(unit, level, [(begin, end)])
    return [hashes[position] for position in range(begin, end)]


async def select_subtrees(unit: UnitOfWork, subtrees: Iterable[Subtree]) -> Mapping[Subtree, bytes]:
    """Return the roots of perfect subtrees, each folded from at most 128 stored hashes."""
    wanted = list(subtrees)
    by_level: dict[int, list[Subtree]] = {}
    for tree in wanted:
        by_level.setdefault(tree.level - tree.level % TILE_LEVELS, []).append(tree)
    roots: dict[Subtree, bytes] = {}
    for level, trees in by_level.items():
        spans = [(tree.position << tree.level - level, tree.position + 1 << tree.level - level) for tree in trees]
        hashes = await _select_hashes(unit, level, spans)
        for tree, (begin, end) in zip(trees, spans, strict=True):
            roots[tree] = merkle.root_of([hashes[position] for position in range(begin, end)])
    return roots


async def select_checkpoint(unit: UnitOfWork) -> CheckpointRow | None:
    """Return the newest checkpoint of the tenant's log."""
    newest = (
        sa.select(log_checkpoint)
        .where(log_checkpoint.c.tenant == unit.tenant)
        .order_by(log_checkpoint.c.size.desc())
        .limit(1)
    )
    row = (await unit.execute(newest)).one_or_none()
    return CheckpointRow(row.size, row.root, row.note, row.sign_time) if row else None


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


_LEAF_HASHES = sa.text("""
    SELECT e.index AS position, e.leaf_hash AS hash
    FROM unnest(CAST(:begins AS bigint[]), CAST(:ends AS bigint[])) AS span (first, past)
    JOIN log_entry e ON e.tenant = :tenant AND e.index >= span.first AND e.index < span.past
""")

_SUBTREE_ROOTS = sa.text("""
    SELECT s.position, s.root AS hash
    FROM unnest(CAST(:begins AS bigint[]), CAST(:ends AS bigint[])) AS span (first, past)
    JOIN log_subtree s
        ON s.tenant = :tenant AND s.level = :level AND s.position >= span.first AND s.position < span.past
""")


async def _select_hashes(unit: UnitOfWork, level: int, spans: Sequence[tuple[int, int]]) -> dict[int, bytes]:
    """Return the stored hashes of a level by position."""
    begins, ends = zip(*spans, strict=True)
    parameters: dict[str, Any] = {"tenant": unit.tenant, "begins": list(begins), "ends": list(ends)}
    if level == 0:
        rows = await unit.execute(_LEAF_HASHES, parameters)
    else:
        rows = await unit.execute(_SUBTREE_ROOTS, parameters | {"level": level})
    return {row.position: row.hash for row in rows}
