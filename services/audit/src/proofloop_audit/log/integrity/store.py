"""SQL of the check of a log: short range reads along its primary keys, and one row of a claim's chain at a time."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa
from proofloop_runtime.database import UnitOfWork
from proofloop_verifier.leaf import Leaf, LeafError
from proofloop_verifier.merkle import Subtree

from proofloop_audit.log.batch import Chain
from proofloop_audit.log.checkpoint_store import CheckpointRow, log_checkpoint
from proofloop_audit.log.domain import ERASED, EXPIRED
from proofloop_audit.log.store import STORED_EVERY, log_entry, subject

TOO_MANY = 100
"""Rows that should not be there are listed up to so many."""


@dataclass(frozen=True, slots=True)
class StoredEntry:
    """All columns of an entry but the tenant's."""

    index: int
    entry_id: str
    fingerprint: bytes
    leaf: bytes
    leaf_hash: bytes
    append_time: datetime
    claim_id: str | None
    claim_sequence: int | None
    entity_type: str
    entity_id: str
    action: str
    session_id: str | None
    outcome: str
    pseudonym: str
    sealed_part: bytes


class SubjectRow(NamedTuple):
    """A data subject's key, and what finds it."""

    blind_index: bytes
    wrapped_key: bytes


@dataclass(frozen=True, slots=True)
class Page:
    """What is stored about the entries begin … end - 1.

    Attributes:
        begin: The first index, a multiple of a tile's width.
        end: Behind the last.
        entries: The entries that there are, in order.
        before: Append time of the entry before.
        chains: Where the chains of the entries' claims stood before, of those that had begun.
        roots: Stored roots of the subtrees that end within this page.
        checkpoints: Those at the sizes begin + 1 … end, and on the first page the one of the empty log.
        subjects: Those of the entries' subjects that have a key, by pseudonym.
        erased: Those of which the log says that they were erased or expired, among the ones without a key.
    """

    begin: int
    end: int
    entries: Sequence[StoredEntry]
    before: datetime | None
    chains: dict[str, Chain]
    roots: dict[Subtree, bytes]
    checkpoints: Sequence[CheckpointRow]
    subjects: dict[str, SubjectRow]
    erased: frozenset[str]


async def select_page(unit: UnitOfWork, begin: int, end: int) -> Page:
    """Return a page."""
    entries = await _select_entries(unit, begin, end)
    subjects = await _select_subjects(unit, {entry.pseudonym for entry in entries})
    return Page(
        begin=begin,
        end=end,
        entries=entries,
        before=await _select_append_time(unit, begin - 1),
        chains=await _select_chains(unit, {entry.claim_id for entry in entries if entry.claim_id}, begin),
        roots=await _select_roots(unit, begin, end),
        checkpoints=await _select_checkpoints(unit, begin, end),
        subjects=subjects,
        erased=await _select_erased(unit, {entry.pseudonym for entry in entries} - subjects.keys()),
    )


async def select_next_index(unit: UnitOfWork, begin: int) -> int | None:
    """Return the first index from one on that has an entry."""
    entry = log_entry.c
    found = sa.select(sa.func.min(entry.index)).where(entry.tenant == unit.tenant, entry.index >= begin)
    index: int | None = (await unit.execute(found)).scalar_one()
    return index


async def select_misplaced_subtrees(unit: UnitOfWork) -> list[Subtree]:
    """Return stored roots of subtrees that the log does not have, or not yet, or of which no root is kept."""
    rows = await unit.execute(_MISPLACED_SUBTREES, {"tenant": unit.tenant, "every": STORED_EVERY, "most": TOO_MANY})
    return [Subtree(row.level, row.position) for row in rows]


async def select_misplaced_checkpoints(unit: UnitOfWork) -> list[int]:
    """Return sizes of checkpoints that the log never had."""
    rows = await unit.execute(_MISPLACED_CHECKPOINTS, {"tenant": unit.tenant, "most": TOO_MANY})
    return [row.size for row in rows]


async def select_misplaced_entries(unit: UnitOfWork) -> list[int]:
    """Return indexes below 0."""
    entry = log_entry.c
    found = sa.select(entry.index).where(entry.tenant == unit.tenant, entry.index < 0)
    return list((await unit.execute(found.order_by(entry.index).limit(TOO_MANY))).scalars())


async def _select_entries(unit: UnitOfWork, begin: int, end: int) -> list[StoredEntry]:
    entry = log_entry.c
    found = sa.select(*(entry[field.name] for field in fields(StoredEntry))).where(
        entry.tenant == unit.tenant, entry.index >= begin, entry.index < end
    )
    rows = await unit.execute(found.order_by(entry.index))
    return [StoredEntry(**row) for row in rows.mappings()]


async def _select_append_time(unit: UnitOfWork, index: int) -> datetime | None:
    entry = log_entry.c
    found = sa.select(entry.append_time).where(entry.tenant == unit.tenant, entry.index == index)
    time: datetime | None = (await unit.execute(found)).scalar_one_or_none()
    return time


async def _select_chains(unit: UnitOfWork, claims: set[str], begin: int) -> dict[str, Chain]:
    if not claims:
        return {}
    parameters: dict[str, Any] = {"tenant": unit.tenant, "claims": sorted(claims), "begin": begin}
    rows = await unit.execute(_CHAINS, parameters)
    return {str(row.claim_id): Chain(row.claim_sequence + 1, row.leaf_hash) for row in rows}


async def _select_roots(unit: UnitOfWork, begin: int, end: int) -> dict[Subtree, bytes]:
    stored_levels = range(STORED_EVERY, end.bit_length(), STORED_EVERY)
    completed = [(level, position) for level in stored_levels for position in range(begin >> level, end >> level)]
    parameters: dict[str, Any] = {
        "tenant": unit.tenant,
        "levels": [level for level, _ in completed],
        "positions": [position for _, position in completed],
    }
    rows = await unit.execute(_ROOTS, parameters)
    return {Subtree(row.level, row.position): row.root for row in rows}


async def _select_checkpoints(unit: UnitOfWork, begin: int, end: int) -> list[CheckpointRow]:
    size = log_checkpoint.c.size
    found = sa.select(log_checkpoint).where(log_checkpoint.c.tenant == unit.tenant, size > (begin or -1), size <= end)
    rows = await unit.execute(found.order_by(size))
    return [CheckpointRow(row.size, row.root, row.note, row.sign_time) for row in rows]


async def _select_subjects(unit: UnitOfWork, pseudonyms: set[str]) -> dict[str, SubjectRow]:
    found = sa.select(subject).where(subject.c.tenant == unit.tenant, subject.c.pseudonym.in_(pseudonyms))
    return {row.pseudonym: SubjectRow(row.blind_index, row.wrapped_key) for row in await unit.execute(found)}


async def _select_erased(unit: UnitOfWork, pseudonyms: set[str]) -> frozenset[str]:
    if not pseudonyms:
        return frozenset()
    entry = log_entry.c
    found = sa.select(entry.entity_id, entry.leaf).where(
        entry.tenant == unit.tenant, entry.entity_id.in_(pseudonyms), entry.action.in_((ERASED, EXPIRED))
    )
    rows = await unit.execute(found)
    return frozenset(row.entity_id for row in rows if _is_by(unit.service, row.leaf))


def _is_by(service: str, leaf: bytes) -> bool:
    """Tell whether an entry is of a service: any other could append one that says what this one does."""
    try:
        return Leaf.parse(leaf).service == service
    except LeafError:
        return False


_CHAINS = sa.text("""
    SELECT wanted.claim_id, last.claim_sequence, last.leaf_hash
    FROM unnest(CAST(:claims AS uuid[])) AS wanted (claim_id), LATERAL (
        SELECT claim_sequence, leaf_hash FROM log_entry
        WHERE tenant = :tenant AND claim_id = wanted.claim_id AND index < :begin
        ORDER BY index DESC LIMIT 1
    ) AS last
""")

_ROOTS = sa.text("""
    SELECT tree.level, tree.position, tree.root
    FROM unnest(CAST(:levels AS smallint[]), CAST(:positions AS bigint[])) AS wanted (level, position)
    JOIN log_subtree AS tree
        ON tree.tenant = :tenant AND tree.level = wanted.level AND tree.position = wanted.position
""")

# Each is one statement: the log may grow between two. Ranges stand apart so that each is one of the primary key.
_MISPLACED_SUBTREES = sa.text("""
    WITH log AS (
        SELECT LEAST(COALESCE(max(index), -1), 9223372036854775806) + 1 AS size FROM log_entry WHERE tenant = :tenant
    ), wanted AS (
        SELECT level, CASE WHEN level > 0 AND level % :every = 0 THEN size >> level ELSE 0 END AS past
        FROM log, generate_series(0, 63) AS level
    )
    (SELECT level, position FROM log_subtree WHERE tenant = :tenant AND level < 0 LIMIT :most)
    UNION ALL
    (SELECT level, position FROM log_subtree WHERE tenant = :tenant AND level > 63 LIMIT :most)
    UNION ALL
    (
        SELECT tree.* FROM wanted, LATERAL (
            (
                SELECT level, position FROM log_subtree
                WHERE tenant = :tenant AND level = wanted.level AND position >= wanted.past LIMIT :most
            )
            UNION ALL
            (
                SELECT level, position FROM log_subtree
                WHERE tenant = :tenant AND level = wanted.level AND position < 0 LIMIT :most
            )
        ) AS tree
        LIMIT :most
    )
""")

_MISPLACED_CHECKPOINTS = sa.text("""
    (SELECT size FROM log_checkpoint WHERE tenant = :tenant AND size < 0 LIMIT :most)
    UNION ALL
    (
        SELECT size FROM log_checkpoint
        WHERE tenant = :tenant
            AND size > (
                SELECT LEAST(COALESCE(max(index), -1), 9223372036854775806) + 1 FROM log_entry WHERE tenant = :tenant
            )
        LIMIT :most
    )
""")
