"""Writes batches to one tenant's log: one statement and one round trip, commit included.

A batch is placed where we believe the log to end, or will end when the batch before it is written, and its first entry
takes that index. If another replica has taken it, nothing is written.
Every statement holds the log's lock until it is committed, so that the batch, done again under the lock, makes progress
whatever the others do.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import asyncpg
import sqlalchemy as sa
from proofloop_runtime.database import Database, UnitOfWork
from proofloop_runtime.ports import Clock
from proofloop_verifier.merkle import CompactRange
from proofloop_verifier.tiles import HEIGHT

from proofloop_audit.log.batch import Batch, Chain, Head, PlacedEntry
from proofloop_audit.log.domain import ERASED, EXPIRED, Receipt
from proofloop_audit.log.sealing import Sealed
from proofloop_audit.log.settling import Known

_CHUNK = 100
"""Leaves that are built before the event loop gets its turn."""
_CHAINS_REMEMBERED = 10_000
_BEGINNING = datetime.fromtimestamp(0, UTC)


class LogWriter:
    """Appends to one tenant's log on a connection of its own, for one task at a time.

    What it believes of the log is right until another replica appends; every write checks it.

    Args:
        tenant: Whose log.
        database: The service's database.
        clock: The clock.
        on_erasure: Is told that keys may have been destroyed since it was told last.
    """

    def __init__(self, tenant: str, database: Database, clock: Clock, on_erasure: Callable[[], None]) -> None:
        self._tenant = tenant
        self._database = database
        self._clock = clock
        self._on_erasure = on_erasure
        self._last_erasure: int | None = None
        self._connection: asyncpg.Connection | None = None
        self._head: Head | None = None
        self._chains: OrderedDict[str, Chain] = OrderedDict()
        self._under_way: Batch | None = None
        """What is being written."""

    async def place(self, entries: Sequence[Sealed]) -> Batch | None:
        """Place entries behind what is being written, or where we believe the log to end.

        Asks nobody, so that it can be done while the connection is in use: None where we know too little.
        """
        before = self._under_way
        head = self._head if before is None else before.after
        if head is None:
            return None
        chains = {}
        for claim_id in _claims(entries):
            chain = (before and before.chains.get(claim_id)) or self._chains.get(claim_id)
            if chain is None:
                return None
            chains[claim_id] = chain
        return await self._place(head, chains, entries)

    async def append(
        self, entries: Sequence[Sealed], placed: Batch | None, *, locked: bool
    ) -> tuple[dict[str, Receipt], dict[str, Known]]:
        """Append all entries, if none of them is in the log and the log ends where we believe it.

        Args:
            entries: With ids that differ.
            placed: The same entries as `place` placed them; it counts if the log ends there.
            locked: Lock the log first and look where it ends.

        Returns:
            The receipts by entry id, and nothing else. Without receipts nothing was written: because entries are in
            the log already, and then those are returned; or because the log had grown, or keys may have been destroyed
            since the entries were sealed.
        """
        connection = await self._connected()
        try:
            if not locked and self._head is not None:
                if placed is None or placed.head is not self._head:
                    placed = await self._place_at(connection, self._head, entries)
                return await self._write(connection, placed), {}
            async with connection.transaction():
                await connection.execute(_LOCK, self._tenant)
                head, last_erasure = await self._load_head(connection)
                if last_erasure != self._last_erasure:
                    self._last_erasure = last_erasure
                    self._on_erasure()
                    return {}, {}
                return await self._write(connection, await self._place_at(connection, head, entries)), {}
        except asyncpg.UniqueViolationError:
            return {}, await self._select_known(connection, [entry.draft.entry_id for entry in entries])

    async def append_within(self, unit: UnitOfWork, entries: Sequence[Sealed]) -> list[Receipt]:
        """See the function of this name."""
        connection = (await unit.connection.get_raw_connection()).driver_connection
        await lock(unit)
        head, _ = await self._load_head(connection)
        placed = await self._place_at(connection, head, entries)
        return list((await self._write(connection, placed)).values())

    def disconnect(self) -> None:
        """Forget what we believe: after an error nobody knows what became of the batch."""
        self._forget()
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None

    async def _place_at(self, connection: asyncpg.Connection, head: Head, entries: Sequence[Sealed]) -> Batch:
        """Place entries behind a head. That no other replica appends meanwhile is checked with the index."""
        missing = _claims(entries) - self._chains.keys()
        if missing:
            rows = await connection.fetch(_SELECT_CHAINS, self._tenant, list(missing))
            # All at once: the next batch may be placed while these are looked up.
            self._chains.update(dict.fromkeys(missing, Chain()))
            for row in rows:
                self._chains[str(row["claim_id"])] = Chain(row["claim_sequence"] + 1, row["leaf_hash"])
        return await self._place(head, self._chains, entries)

    async def _place(self, head: Head, chains: Mapping[str, Chain], entries: Sequence[Sealed]) -> Batch:
        batch = Batch(head, chains, self._clock.now())
        for number, entry in enumerate(entries):
            if number and number % _CHUNK == 0:
                await asyncio.sleep(0)
            batch.add(entry)
        batch.grow()
        return batch

    async def _write(self, connection: asyncpg.Connection, batch: Batch) -> dict[str, Receipt]:
        statement, parameters = _statement(self._tenant, batch)
        self._under_way = batch
        try:
            if not await connection.fetchval(statement, *parameters):
                return {}
        finally:
            self._under_way = None
        self._head = batch.after
        self._chains.update(batch.chains)
        while len(self._chains) > _CHAINS_REMEMBERED:
            self._chains.popitem(last=False)
        return {placed.receipt.entry_id: placed.receipt for placed in batch.entries}

    async def _load_head(self, connection: asyncpg.Connection) -> tuple[Head, int]:
        """Return where the log ends, and the last index at which a key was destroyed, or -1. The log must be locked."""
        self._forget()
        row = await connection.fetchrow(_SELECT_HEAD, self._tenant, HEIGHT, ERASED, EXPIRED)
        if row is None:
            return Head(CompactRange(), _BEGINNING), -1
        head = Head(CompactRange.from_tiles(row["size"], row["hashes"], HEIGHT), row["append_time"])
        return head, row["last_erasure"]

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


async def lock(unit: UnitOfWork) -> None:
    """Let nobody else append to the log of a transaction's tenant until the transaction ends."""
    await unit.execute(sa.text("SELECT pg_advisory_xact_lock(hashtextextended(:tenant, 0))"), {"tenant": unit.tenant})


async def append_within(unit: UnitOfWork, database: Database, entries: Sequence[Sealed]) -> list[Receipt]:
    """Append entries of new ids in a transaction that does other things as well, and lock the log until it ends."""
    # Used once: what it believes afterwards is right only once the transaction is committed.
    writer = LogWriter(unit.tenant, database, unit.clock, _nobody_listens)
    return await writer.append_within(unit, entries)


def _nobody_listens() -> None:
    """A writer that is used once remembers no keys."""


def _claims(entries: Sequence[Sealed]) -> set[str]:
    return {entry.draft.claim_id for entry in entries if entry.draft.claim_id is not None}


def _statement(tenant: str, batch: Batch) -> tuple[str, tuple[Any, ...]]:
    """Return what appends a batch, and its parameters."""
    first, *others = [_row(placed) for placed in batch.entries]
    if not others and not batch.subtrees:
        # A lone caller waits for this statement, which costs PostgreSQL less than the other one.
        return _APPEND_ONE, (tenant, batch.append_time, *first)
    levels = [subtree.level for subtree, _ in batch.subtrees]
    positions = [subtree.position for subtree, _ in batch.subtrees]
    roots = [root for _, root in batch.subtrees]
    return _APPEND, (tenant, batch.append_time, first, others, levels, positions, roots)


def _row(placed: PlacedEntry) -> tuple[Any, ...]:
    """Return an entry as PostgreSQL's type `placed_entry`."""
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
        draft.session_id,
        draft.outcome,
        entry.commitment.pseudonym,
        entry.sealed_part,
    )


_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))"

# From the levels of tiles alone: replicas of before migration 0006 store nothing between them.
_SELECT_HEAD = """
    WITH log AS (
        SELECT index + 1 AS size, append_time FROM log_entry WHERE tenant = $1 ORDER BY index DESC LIMIT 1
    ), unfinished AS (
        SELECT 0 AS level, index AS position, leaf_hash AS root
        FROM log, log_entry
        WHERE tenant = $1 AND index >= size >> $2 << $2
        UNION ALL
        SELECT tree.level, position, root
        FROM log, generate_series($2, 48, $2) AS tile (level), log_subtree AS tree
        WHERE tenant = $1 AND tree.level = tile.level AND position >= size >> tile.level + $2 << $2
    )
    SELECT
        size,
        append_time,
        ARRAY (SELECT root FROM unfinished ORDER BY level DESC, position) AS hashes,
        COALESCE(
            GREATEST(
                (SELECT max(index) FROM log_entry WHERE tenant = $1 AND action = $3),
                (SELECT max(index) FROM log_entry WHERE tenant = $1 AND action = $4)
            ),
            -1
        ) AS last_erasure
    FROM log
"""

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

# The columns, in the order of `placed_entry`, are written out three times: SQL is not put together from pieces here.
_APPEND_ONE = """
    INSERT INTO log_entry (
        tenant, append_time, index, entry_id, fingerprint, leaf, leaf_hash,
        claim_id, claim_sequence, entity_type, entity_id, action, session_id, outcome, pseudonym, sealed_part
    )
    SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16
    FROM pg_advisory_xact_lock(hashtextextended($1, 0))
    ON CONFLICT (tenant, index) DO NOTHING
    RETURNING true
"""

_APPEND = """
    WITH first AS (
        INSERT INTO log_entry (
            tenant, append_time, index, entry_id, fingerprint, leaf, leaf_hash,
            claim_id, claim_sequence, entity_type, entity_id, action, session_id, outcome, pseudonym, sealed_part
        )
        SELECT $1, $2, ($3::placed_entry).*
        FROM pg_advisory_xact_lock(hashtextextended($1, 0))
        ON CONFLICT (tenant, index) DO NOTHING
        RETURNING tenant, append_time
    ), others AS (
        INSERT INTO log_entry (
            tenant, append_time, index, entry_id, fingerprint, leaf, leaf_hash,
            claim_id, claim_sequence, entity_type, entity_id, action, session_id, outcome, pseudonym, sealed_part
        )
        SELECT first.*, entry.*
        FROM first, unnest($4::placed_entry[]) AS entry
    ), subtrees AS (
        INSERT INTO log_subtree (tenant, level, position, root)
        SELECT tenant, tree.* FROM first, unnest($5::smallint[], $6::bigint[], $7::bytea[]) AS tree
    )
    SELECT EXISTS (SELECT FROM first)
"""
