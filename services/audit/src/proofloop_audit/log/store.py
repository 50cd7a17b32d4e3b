"""Tables and SQL of the log. Every statement sees one tenant's rows: in a transaction, or where it reads, without."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

import sqlalchemy as sa
from proofloop_runtime.database import UnitOfWork
from proofloop_runtime.reading import Reader, Row
from proofloop_verifier import merkle
from proofloop_verifier.merkle import Subtree
from proofloop_verifier.tiles import HEIGHT
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
"""Roots of the perfect subtrees over 16, 16², … entries (level 4, 8, …), so that a proof needs O(log n) reads."""

subject = sa.Table(
    "subject",
    metadata,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("blind_index", sa.LargeBinary, nullable=False),
    sa.Column("pseudonym", sa.Text, primary_key=True),
    sa.Column("wrapped_key", sa.LargeBinary, nullable=False),
    sa.Column("seal_until", sa.DateTime(timezone=True)),
)
"""Data subjects: found by a keyed hash of their id, named in leaves by a pseudonym.

In a tenant with a retention a subject has a row for each period, and is sealed with its key until `seal_until`, without
one a single row for ever, `seal_until` NULL. Erasure removes all rows, the end of the retention one after the other.
"""

STORED_EVERY = 4
"""Levels from one at which the roots of subtrees are stored to the next.

Half the height of a tile of C2SP tlog-tiles, so what is published stands at every other of these levels. A hash of a
proof is folded from eight stored ones at most; with the roots of tiles alone it would be 128.
"""


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


async def select_subject(unit: UnitOfWork, blind_index: bytes, seal_until: datetime | None) -> SubjectRow | None:
    """Return the subject with this blind index in the period that ends at a time, None: for ever."""
    # With plain equality PostgreSQL may go by the time, which all subjects of a period have.
    found = sa.select(subject).where(
        subject.c.tenant == unit.tenant,
        subject.c.blind_index == blind_index,
        subject.c.seal_until.is_not_distinct_from(seal_until),
    )
    row = (await unit.execute(found)).one_or_none()
    return SubjectRow(row.pseudonym, row.wrapped_key) if row else None


async def select_pseudonyms(unit: UnitOfWork, blind_indexes: Collection[bytes]) -> list[str]:
    """Return the pseudonyms of subjects in all periods, the newest first."""
    found = sa.select(subject.c.pseudonym).where(
        subject.c.tenant == unit.tenant, subject.c.blind_index.in_(blind_indexes)
    )
    return list((await unit.execute(found.order_by(subject.c.seal_until.desc().nulls_first()))).scalars())


async def select_blind_indexes(unit: UnitOfWork, pseudonyms: Collection[str]) -> frozenset[bytes]:
    """Return the blind indexes of those of the subjects that are not erased."""
    any_of_them = subject.c.pseudonym == sa.any_(sa.literal(list(pseudonyms), pg.ARRAY(sa.Text)))
    found = sa.select(subject.c.blind_index).where(subject.c.tenant == unit.tenant, any_of_them)
    return frozenset((await unit.execute(found)).scalars())


async def insert_subject(unit: UnitOfWork, blind_index: bytes, fresh: SubjectRow, seal_until: datetime | None) -> None:
    """Store a subject for a period unless another transaction was first; waits for one that is about to."""
    await unit.execute(
        pg.insert(subject)
        .values(
            tenant=unit.tenant,
            blind_index=blind_index,
            pseudonym=fresh.pseudonym,
            wrapped_key=fresh.wrapped_key,
            seal_until=seal_until,
        )
        .on_conflict_do_nothing()
    )


async def select_subjects_by_pseudonym(unit: UnitOfWork, pseudonyms: Collection[str]) -> list[SubjectRow]:
    """Return those of the subjects that are not erased."""
    found = sa.select(subject).where(subject.c.tenant == unit.tenant, subject.c.pseudonym.in_(pseudonyms))
    return [SubjectRow(row.pseudonym, row.wrapped_key) for row in await unit.execute(found)]


async def select_size(reader: Reader) -> int:
    """Return the number of entries of the tenant's log."""
    [row] = await reader.fetch(_LAST, reader.tenant)
    return 0 if row["last"] is None else row["last"] + 1


async def select_entry(reader: Reader, entry_id: str) -> EntryRow | None:
    """Return the entry with this id."""
    found = await select_entry_and_size(reader, entry_id)
    return None if found is None else found[0]


async def select_entry_and_size(reader: Reader, entry_id: str) -> tuple[EntryRow, int] | None:
    """Return the entry with this id, and the number of entries of its log."""
    rows = await reader.fetch(_ENTRY_AND_SIZE, reader.tenant, entry_id)
    return (_entry(rows[0]), rows[0]["last"] + 1) if rows else None


async def select_leaves(unit: UnitOfWork, begin: int, end: int) -> list[LeafRow]:
    """Return the leaves begin … end - 1, in order, those that there are."""
    entry = log_entry.c
    found = sa.select(entry.index, entry.leaf, entry.leaf_hash).where(
        entry.tenant == unit.tenant, entry.index >= begin, entry.index < end
    )
    rows = await unit.execute(found.order_by(entry.index))
    return [LeafRow(row["index"], row["leaf"], row["leaf_hash"]) for row in rows.mappings()]


async def select_tile(reader: Reader, level: int, begin: int, end: int) -> list[bytes]:
    """Return the stored hashes of a level, leaf hashes or roots of subtrees, at the positions begin … end - 1.

    Raises:
        KeyError: one is missing.
    """
    span = _Span(level, begin, end)
    [hashes] = await _select_hashes(reader, [span])
    if hashes is None:
        raise KeyError(span)
    return hashes


async def select_subtrees(reader: Reader, subtrees: Sequence[Subtree]) -> Mapping[Subtree, bytes]:
    """Return the roots of perfect subtrees.

    Raises:
        KeyError: a stored hash that one consists of is missing.
    """
    roots = await _select_roots(reader, subtrees, STORED_EVERY)
    # Replicas of before migration 0006 store nothing between the levels of tiles.
    if left := [subtree for subtree in subtrees if subtree not in roots]:
        roots |= await _select_roots(reader, left, HEIGHT)
    for subtree in left:
        if subtree not in roots:
            raise KeyError(subtree)
    return roots


async def insert_subtrees(unit: UnitOfWork, roots: Mapping[Subtree, bytes]) -> None:
    """Store roots of subtrees, those that are not there."""
    rows = [{"tenant": unit.tenant, **tree._asdict(), "root": root} for tree, root in roots.items()]
    await unit.execute(pg.insert(log_subtree).on_conflict_do_nothing(), rows)


class _Span(NamedTuple):
    """The stored hashes of a level at the positions begin … end - 1."""

    level: int
    begin: int
    end: int


def _entry(row: Row) -> EntryRow:
    return EntryRow(
        index=row["index"],
        entry_id=str(row["entry_id"]),
        leaf=row["leaf"],
        leaf_hash=row["leaf_hash"],
        pseudonym=row["pseudonym"],
        sealed_part=row["sealed_part"],
    )


_LAST = "SELECT max(index) AS last FROM log_entry WHERE tenant = $1"

_ENTRY_AND_SIZE = """
    SELECT
        index, entry_id, leaf, leaf_hash, pseudonym, sealed_part,
        (SELECT max(index) FROM log_entry WHERE tenant = $1) AS last
    FROM log_entry
    WHERE tenant = $1 AND entry_id = $2
"""

# A row for each span, not for each hash.
_HASHES = """
    SELECT CASE span.level
        WHEN 0 THEN (
            SELECT string_agg(leaf_hash, '' ORDER BY index) FROM log_entry
            WHERE tenant = $1 AND index >= span.first AND index < span.past
        )
        ELSE (
            SELECT string_agg(root, '' ORDER BY position) FROM log_subtree
            WHERE tenant = $1 AND level = span.level AND position >= span.first AND position < span.past
        )
    END AS hashes
    FROM unnest($2::smallint[], $3::bigint[], $4::bigint[]) WITH ORDINALITY AS span (level, first, past, number)
    ORDER BY span.number
"""


async def _select_roots(reader: Reader, subtrees: Sequence[Subtree], every: int) -> dict[Subtree, bytes]:
    """Return the roots of subtrees, folded from what is stored at every so many levels; none where that is not all."""
    spans = []
    for tree in subtrees:
        height = tree.level % every
        spans.append(_Span(tree.level - height, tree.position << height, tree.position + 1 << height))
    hashes = await _select_hashes(reader, spans)
    return {tree: merkle.root_of(part) for tree, part in zip(subtrees, hashes, strict=True) if part is not None}


async def _select_hashes(reader: Reader, spans: Collection[_Span]) -> list[list[bytes] | None]:
    """Return the stored hashes of spans, None for a span of which one is missing."""
    if not spans:
        return []
    rows = await reader.fetch(_HASHES, reader.tenant, *map(list, zip(*spans, strict=True)))
    return [_part(span, row["hashes"] or b"") for span, row in zip(spans, rows, strict=True)]


def _part(span: _Span, joined: bytes) -> list[bytes] | None:
    if len(joined) != (span.end - span.begin) * merkle.HASH_SIZE:
        return None
    return [joined[at : at + merkle.HASH_SIZE] for at in range(0, len(joined), merkle.HASH_SIZE)]
