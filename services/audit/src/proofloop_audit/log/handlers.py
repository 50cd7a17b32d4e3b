"""What callers can do with the log."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta

from proofloop_runtime.database import Database
from proofloop_runtime.reading import Reader
from proofloop_verifier import merkle
from proofloop_verifier.leaf import Leaf
from proofloop_verifier.note import Note
from proofloop_verifier.tlog_proof import TlogProof

from proofloop_audit.errors import EntryNotFound, TreeSizeOutOfRange
from proofloop_audit.log.checkpoints import CheckpointSigner
from proofloop_audit.log.domain import Draft, Entry, EntryFilter, PersonalPart, Receipt
from proofloop_audit.log.sealing import Sealer, open_part
from proofloop_audit.log.search import select_entries, select_span
from proofloop_audit.log.sequencer import Sequencer
from proofloop_audit.log.store import EntryRow, select_entry, select_entry_and_size, select_size, select_subtrees

_LOOK_EVERY = timedelta(milliseconds=200)
"""While waiting for an entry that another replica may append."""
_CHUNK = 25
"""Entries that are opened, and turned into what is sent, before the event loop gets its turn."""


async def append(drafts: Sequence[Draft], *, sealer: Sealer, sequencer: Sequencer) -> list[Receipt]:
    """Append entries of one tenant, all or none."""
    return await sequencer.append([sealer.remembered(draft) or await sealer.unsealed(draft) for draft in drafts])


async def get_entry(
    entry_id: str, *, tenant: str, max_wait: timedelta, database: Database, sealer: Sealer, sequencer: Sequencer
) -> Entry:
    """Return an entry, waiting for it up to `max_wait`.

    Raises:
        EntryNotFound: it is not there.
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + max_wait.total_seconds()
    while True:
        row = await select_entry(database.reader(tenant), entry_id)
        if row is not None:
            return (await _entries([row], tenant, sealer))[0]
        remaining = timedelta(seconds=end - loop.time())
        if remaining <= timedelta(0):
            raise EntryNotFound(entry_id)
        await sequencer.appended(tenant, min(remaining, _LOOK_EVERY))


async def list_entries(
    wanted: EntryFilter,
    *,
    tenant: str,
    newest_first: bool,
    after: int | None,
    limit: int,
    database: Database,
    sealer: Sealer,
) -> list[Entry]:
    """Return up to `limit` entries after an index, in order."""
    pseudonyms = None if wanted.actor_id is None else await sealer.pseudonyms(tenant, wanted.actor_id)
    async with database.transaction() as unit:
        span = (await select_span(unit, wanted)).after(after, newest_first=newest_first)
        rows = await select_entries(unit, wanted, pseudonyms, span, limit=limit, newest_first=newest_first)
    return await _entries(rows, tenant, sealer)


async def inclusion_proof(reader: Reader, *, entry_id: str, tree_size: int) -> tuple[EntryRow, int, list[bytes]]:
    """Return an entry, the tree size, and the path from its leaf to that tree's root (RFC 6962, 2.1.1).

    Raises:
        EntryNotFound: it is not there.
        TreeSizeOutOfRange: the log does not have this size, or the tree does not cover the entry.
    """
    found = await select_entry_and_size(reader, entry_id)
    if found is None:
        raise EntryNotFound(entry_id)
    row, log_size = found
    size = tree_size or log_size
    if not row.index < size <= log_size:
        raise TreeSizeOutOfRange(size, log_size)
    hashes = await select_subtrees(reader, merkle.inclusion_subtrees(row.index, size))
    return row, size, merkle.inclusion_proof(row.index, size, hashes)


async def tlog_proof(reader: Reader, row: EntryRow, signer: CheckpointSigner) -> str:
    """Return a C2SP tlog-proof of an entry, its leaf beside it, in the tree of a signed checkpoint that covers it."""
    checkpoint = await signer.covering(reader, row.index)
    subtrees = await select_subtrees(reader, merkle.inclusion_subtrees(row.index, checkpoint.size))
    hashes = merkle.inclusion_proof(row.index, checkpoint.size, subtrees)
    return TlogProof(row.index, tuple(hashes), Note.parse(checkpoint.note.encode()), row.leaf).to_bytes().decode()


async def consistency_proof(reader: Reader, *, from_size: int, to_size: int) -> tuple[int, list[bytes]]:
    """Return the larger size and the proof that its tree begins with the smaller one (RFC 6962, 2.1.2).

    Raises:
        TreeSizeOutOfRange: the log does not have one of the sizes.
    """
    log_size = await select_size(reader)
    size = to_size or log_size
    if not from_size <= size <= log_size:
        raise TreeSizeOutOfRange(max(from_size, size), log_size)
    hashes = await select_subtrees(reader, merkle.consistency_subtrees(from_size, size))
    return size, merkle.consistency_proof(from_size, size, hashes)


async def open_rows(
    rows: Sequence[EntryRow], tenant: str, sealer: Sealer
) -> AsyncIterator[tuple[EntryRow, PersonalPart]]:
    """Yield entries as stored, each with its personal part as far as it is not erased."""
    keys = await sealer.keys(tenant, {row.pseudonym for row in rows})
    for number, row in enumerate(rows):
        if number and number % _CHUNK == 0:
            await asyncio.sleep(0)
        yield row, open_part(keys, row.entry_id, row.pseudonym, row.sealed_part)


async def _entries(rows: Sequence[EntryRow], tenant: str, sealer: Sealer) -> list[Entry]:
    return [
        Entry(row.index, row.leaf, row.leaf_hash, Leaf.parse(row.leaf), (part,))
        async for row, part in open_rows(rows, tenant, sealer)
    ]
