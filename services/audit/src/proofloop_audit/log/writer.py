"""Writes batches to one tenant's log: one statement and one round trip, commit included.

The statement moves the head of the log from the size we believe in to the next, and writes entries and subtree roots
only if the head was there. If another replica moved it meanwhile, nothing is written; done again under a lock on the
head, the batch makes progress whatever the others do.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import asyncpg
from opentelemetry.trace import SpanKind
from opentelemetry.util.types import AttributeValue
from proofloop_runtime import telemetry as spans
from proofloop_runtime.database import DEPENDENCY, Database
from proofloop_runtime.ports import Clock
from proofloop_verifier.merkle import CompactRange, Subtree

from proofloop_audit import telemetry
from proofloop_audit.log.batch import Batch, Chain, Head, PlacedEntry
from proofloop_audit.log.domain import Receipt
from proofloop_audit.log.sealing import Sealed

_CHUNK = 100
"""Leaves that are built before the event loop gets its turn."""
_CHAINS_REMEMBERED = 10_000
_BEGINNING = datetime.fromtimestamp(0, UTC)


class Known(NamedTuple):
    """An entry that the log holds, and the fingerprint that tells a repetition from another entry."""

    fingerprint: bytes
    receipt: Receipt


class LogWriter:
    """Appends to one tenant's log on a connection of its own, for one task at a time.

    What it believes of the log is right until another replica appends; every write checks it.
    """

    def __init__(self, tenant: str, database: Database, clock: Clock) -> None:
        self._tenant = tenant
        self._database = database
        self._clock = clock
        self._connection: asyncpg.Connection | None = None
        self._head: Head | None = None
        self._chains: OrderedDict[str, Chain] = OrderedDict()

    async def append(self, entries: Sequence[Sealed], *, locked: bool) -> dict[str, Known]:
        """Append all entries, if none of them is in the log and the head is where we believe it.

        Args:
            entries: With ids that differ.
            locked: Lock the head first, so that it cannot be elsewhere.

        Returns:
            The entries, by id. If some were in the log already, only those; if the head had moved, none. Then nothing
            was written.
        """
        connection = await self._connected()
        attributes: dict[str, AttributeValue] = {
            telemetry.ENTRY_COUNT: len(entries),
            spans.TENANT: self._tenant,
            spans.DB_SYSTEM: DEPENDENCY,
        }
        try:
            with spans.span(telemetry.APPEND_SPAN, SpanKind.CLIENT, attributes):
                if not locked and self._head is not None:
                    return await self._write(connection, self._head, entries)
                async with connection.transaction():
                    return await self._write(connection, await self._lock_head(connection), entries)
        except asyncpg.UniqueViolationError:
            return await self._select_known(connection, [entry.draft.entry_id for entry in entries])

    def disconnect(self) -> None:
        """Forget what we believe: after an error nobody knows what became of the batch."""
        self._forget()
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None

    async def _write(self, connection: asyncpg.Connection, head: Head, entries: Sequence[Sealed]) -> dict[str, Known]:
        await self._load_chains(connection, entries)
        batch = Batch(head, self._chains, self._clock.now())
        for number, entry in enumerate(entries):
            if number and number % _CHUNK == 0:
                await asyncio.sleep(0)
            batch.add(entry)
        after, subtrees = batch.grow()
        statement, parameters = _statement(self._tenant, batch, after, subtrees)
        moved = await connection.fetchval(statement, *parameters)
        if not moved:
            return {}
        telemetry.batch_size.record(len(entries))
        self._head = after
        self._chains.update(batch.chains)
        while len(self._chains) > _CHAINS_REMEMBERED:
            self._chains.popitem(last=False)
        return {placed.receipt.entry_id: Known(placed.entry.fingerprint, placed.receipt) for placed in batch.entries}

    async def _load_chains(self, connection: asyncpg.Connection, entries: Sequence[Sealed]) -> None:
        """Learn where the chains go on. That no other replica appends meanwhile is checked with the head."""
        wanted = {entry.draft.claim_id for entry in entries if entry.draft.claim_id is not None}
        missing = wanted - self._chains.keys()
        if missing:
            self._chains.update(dict.fromkeys(missing, Chain()))
            for row in await connection.fetch(_SELECT_CHAINS, self._tenant, list(missing)):
                self._chains[str(row["claim_id"])] = Chain(row["claim_sequence"] + 1, row["leaf_hash"])

    async def _lock_head(self, connection: asyncpg.Connection) -> Head:
        self._forget()
        await connection.execute(_INSERT_HEAD, self._tenant, _BEGINNING)
        row = await connection.fetchrow(_LOCK_HEAD, self._tenant)
        return Head(CompactRange.from_bytes(row["size"], row["roots"]), row["append_time"])

    async def _select_known(self, connection: asyncpg.Connection, entry_ids: list[str]) -> dict[str, Known]:
        rows = await connection.fetch(_SELECT_KNOWN, self._tenant, entry_ids)
        receipts = [Receipt(str(row["entry_id"]), row["index"], row["leaf_hash"]) for row in rows]
        return {
            receipt.entry_id: Known(row["fingerprint"], receipt) for row, receipt in zip(rows, receipts, strict=True)
        }

    async def _connected(self) -> asyncpg.Connection:
        if self._connection is None or self._connection.is_closed():
            self._forget()
            self._connection = await self._database.connect(self._tenant)
        return self._connection

    def _forget(self) -> None:
        self._head = None
        self._chains.clear()


def _statement(
    tenant: str, batch: Batch, after: Head, subtrees: Sequence[tuple[Subtree, bytes]]
) -> tuple[str, tuple[Any, ...]]:
    """Return what appends a batch, and its parameters."""
    head = (tenant, batch.head.range.size, after.range.size, after.range.to_bytes(), after.append_time)
    rows = [_row(placed) for placed in batch.entries]
    if len(rows) == 1 and not subtrees:
        # A lone caller waits for this statement, which takes PostgreSQL less time than one with arrays.
        return _APPEND_ONE, (*head, *rows[0])
    trees = [(subtree.level, subtree.position, root) for subtree, root in subtrees]
    return _APPEND, (*head, *_columns(rows, 12), *_columns(trees, 3))


def _row(placed: PlacedEntry) -> tuple[Any, ...]:
    """Return an entry as both statements take it."""
    entry, receipt = placed.entry, placed.receipt
    draft = entry.draft
    return (
        receipt.index,
        draft.entry_id,
        entry.fingerprint,
        placed.leaf,
        receipt.leaf_hash,
        draft.claim_id,
        placed.claim_sequence,
        draft.entity_type,
        draft.entity_id,
        draft.action,
        entry.commitment.pseudonym,
        entry.sealed_part,
    )


def _columns(rows: Sequence[tuple[Any, ...]], width: int) -> list[tuple[Any, ...]]:
    """Return rows as columns, also where there are none."""
    return list(zip(*rows, strict=True)) if rows else [()] * width


_INSERT_HEAD = """
    INSERT INTO log_head (tenant, size, roots, append_time) VALUES ($1, 0, '', $2) ON CONFLICT DO NOTHING
"""

_LOCK_HEAD = "SELECT size, roots, append_time FROM log_head WHERE tenant = $1 FOR UPDATE"

_SELECT_CHAINS = """
    SELECT last.* FROM unnest($2::uuid[]) AS wanted (claim_id), LATERAL (
        SELECT claim_id, claim_sequence, leaf_hash FROM log_entry
        WHERE tenant = $1 AND claim_id = wanted.claim_id
        ORDER BY index DESC LIMIT 1
    ) AS last
"""

_SELECT_KNOWN = """
    SELECT entry_id, fingerprint, index, leaf_hash FROM log_entry WHERE tenant = $1 AND entry_id = ANY ($2::uuid[])
"""

_APPEND = """
    WITH head AS (
        UPDATE log_head SET size = $3, roots = $4, append_time = $5
        WHERE tenant = $1 AND size = $2
        RETURNING tenant
    ), entries AS (
        INSERT INTO log_entry (
            tenant, append_time, index, entry_id, fingerprint, leaf, leaf_hash,
            claim_id, claim_sequence, entity_type, entity_id, action, pseudonym, sealed_part
        )
        SELECT head.tenant, $5, e.*
        FROM head, unnest(
            $6::bigint[], $7::uuid[], $8::bytea[], $9::bytea[], $10::bytea[],
            $11::uuid[], $12::bigint[], $13::text[], $14::text[], $15::text[], $16::text[], $17::bytea[]
        ) AS e
    ), subtrees AS (
        INSERT INTO log_subtree (tenant, level, position, root)
        SELECT head.tenant, s.* FROM head, unnest($18::smallint[], $19::bigint[], $20::bytea[]) AS s
    )
    SELECT EXISTS (SELECT FROM head)
"""

_APPEND_ONE = """
    WITH head AS (
        UPDATE log_head SET size = $3, roots = $4, append_time = $5
        WHERE tenant = $1 AND size = $2
        RETURNING tenant
    ), entries AS (
        INSERT INTO log_entry (
            tenant, append_time, index, entry_id, fingerprint, leaf, leaf_hash,
            claim_id, claim_sequence, entity_type, entity_id, action, pseudonym, sealed_part
        )
        SELECT tenant, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17 FROM head
    )
    SELECT EXISTS (SELECT FROM head)
"""
