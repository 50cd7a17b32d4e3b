"""Publishes the logs as plain files that anybody can mirror and check without us: C2SP tlog-tiles.

What a log has under `<tenant>/` in the object store: tiles and entry bundles, each written once and never again, and
the newest `checkpoint`, replaced only after everything that its tree needs. The store itself says how far a log is
published, so that any replica goes on where another one stopped. What it holds must agree with us to the byte: where it
does not, one of the two was rewritten, and nothing of that log is published any more.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta

from opentelemetry.trace import SpanKind
from opentelemetry.util.types import AttributeValue
from proofloop_runtime import telemetry as spans
from proofloop_runtime.database import Database, UnitOfWork
from proofloop_runtime.errors import TRANSIENT
from proofloop_runtime.leader import Leader
from proofloop_runtime.objects import ObjectRequestRefused, SmallObject, SmallObjects
from proofloop_verifier import merkle, tiles
from proofloop_verifier.merkle import CompactRange, Subtree
from proofloop_verifier.note import Checkpoint, Note, NoteError, VerifierKey
from proofloop_verifier.tiles import HEIGHT, WIDTH, Tile, TileError

from proofloop_audit import telemetry
from proofloop_audit.log.checkpoint_store import CheckpointRow, select_checkpoint
from proofloop_audit.log.checkpoints import CheckpointSigner, root_at, unfinished
from proofloop_audit.log.store import LeafRow, select_leaves, select_size, select_subtrees

PROBE = "publication"
"""Name in health."""

_FOR_EVER = "public, max-age=31536000, immutable"
_NEVER = "no-cache"

log = logging.getLogger(__name__)


class ForkFound(Exception):
    """What was published, signed or stored contradicts what the log holds now.

    Attributes:
        place: The object, or the part of the log, that does.
    """

    def __init__(self, place: str, what: str) -> None:
        super().__init__(f"{place}: {what}")
        self.place = place


class Publisher:
    """Keeps what is published of all logs up with their checkpoints, on one replica at a time.

    Args:
        database: The service's database.
        objects: Where to publish.
        signer: Signs the checkpoints.
        tenants: Whose logs there are.
        every: Least time between two checkpoints that are published.
    """

    def __init__(
        self,
        database: Database,
        objects: SmallObjects,
        signer: CheckpointSigner,
        tenants: Sequence[str],
        every: timedelta,
    ) -> None:
        self._database = database
        self._objects = objects
        self._signer = signer
        self._tenants = tuple(tenants)
        self._every = every
        self._leader = Leader(database, "log-publication")
        self._forked: set[str] = set()

    async def run(self) -> None:
        """Publish, for ever, while this replica leads."""
        await self._leader.lead(self._publish_all)

    async def intact(self) -> bool:
        """Tell whether this replica has found no log to contradict what is published of it; for health."""
        return not self._forked

    async def _publish_all(self) -> None:
        published: dict[str, int | None] = {}
        while True:
            for tenant in self._tenants:
                if tenant in self._forked:
                    continue
                try:
                    published[tenant] = await self._publish(tenant, published.get(tenant))
                except ForkFound as fork:
                    self._forked.add(tenant)
                    telemetry.forks_found.add(1, {spans.TENANT: tenant})
                    log.error(  # noqa: TRY400 - what was found, and not where our code was
                        "what is published contradicts the log; nothing of it is published any more",
                        extra={"tenant": tenant, "place": fork.place, "what": str(fork)},
                    )
                except (*TRANSIENT, ObjectRequestRefused) as error:
                    log.warning("a log was not published", extra={"tenant": tenant, "error_type": type(error).__name__})
            await asyncio.sleep(self._every.total_seconds())

    async def _publish(self, tenant: str, known: int | None) -> int | None:
        """Publish a log up to its newest checkpoint; return the size that is published, None while that is not known.

        Args:
            tenant: Whose log.
            known: Size that this replica knows to be published; None: it does not know.
        """
        async with self._database.transaction(tenant) as unit:
            newest = await select_checkpoint(unit)
        if newest is None or newest.size == known:
            return known
        attributes: dict[str, AttributeValue] = {spans.TENANT: tenant, telemetry.LOG_SIZE: newest.size}
        with spans.span(telemetry.PUBLISH_SPAN, SpanKind.CLIENT, attributes):
            stored = await self._read(f"{tenant}/{tiles.CHECKPOINT}")
            size = await self._published_size(tenant, stored)
            if known is None:
                await self._remove_partials(tenant, self._objects.keys(f"{tenant}/tile"), size)
            if size < newest.size and await self._grow(tenant, size, newest, stored):
                telemetry.entries_published.add(newest.size - size)
                return newest.size
            return size

    async def _published_size(self, tenant: str, stored: SmallObject | None) -> int:
        """Return the size of the published checkpoint, having checked that our log begins with its tree."""
        if stored is None:
            return 0
        async with self._log(tenant) as unit:
            return await published_size(unit, self._signer, stored)

    async def _grow(self, tenant: str, size: int, to: CheckpointRow, stored: SmallObject | None) -> bool:
        """Publish from one size to a checkpoint; False if somebody else published meanwhile."""
        async with self._log(tenant) as unit:
            edge = await unfinished(unit, size)
        async for rows in self._pages(tenant, size // WIDTH, to.size):
            edge[0] = await self._write_page(tenant, rows)
            await self._write_filled(tenant, edge, rows[0].index // WIDTH)
        hashes = [digest for level in reversed(edge) for digest in level]
        if CompactRange.from_tiles(to.size, hashes, HEIGHT).root() != to.root:
            raise ForkFound(f"{tenant}/{tiles.CHECKPOINT}", f"its entries do not make the tree signed at {to.size}")
        for tile in tiles.partial(to.size):
            await self._put(tenant, tile, tiles.dump_hashes(edge[tile.level]))
        for tile in tiles.partial(size):
            for kind in (tile, tile.bundle) if tile.level == 0 else (tile,):
                await self._remove_partials(tenant, self._objects.keys(f"{tenant}/{kind.full.path}.p"), to.size)
        return await self._objects.put_if(
            f"{tenant}/{tiles.CHECKPOINT}",
            to.note.encode(),
            replacing=stored.version if stored else None,
            media_type="text/plain; charset=utf-8",
            cache_control=_NEVER,
        )

    async def _pages(self, tenant: str, first: int, size: int) -> AsyncIterator[list[LeafRow]]:
        """Read the entries of a log bundle by bundle, and hold those of a full one to the root that was stored."""
        for position in range(first, -(-size // WIDTH)):
            begin, end = position * WIDTH, min((position + 1) * WIDTH, size)
            async with self._log(tenant) as unit:
                rows = await select_leaves(unit, begin, end)
                full = Subtree(HEIGHT, position)
                roots = await select_subtrees(unit, [full]) if end - begin == WIDTH else {}
            if not await asyncio.to_thread(_fit, rows, begin, end, roots.get(full)):
                # A tile is written for ever: what contradicts itself must not be.
                raise ForkFound(f"{tenant}, entries {begin} to {end - 1}", "entries and hashes do not agree")
            yield rows

    @asynccontextmanager
    async def _log(self, tenant: str) -> AsyncIterator[UnitOfWork]:
        """Open a transaction in which a stored hash that is missing is what it is: a log that is no longer whole."""
        try:
            async with self._database.transaction(tenant) as unit:
                yield unit
        except KeyError as error:
            raise ForkFound(tenant, f"no hash is stored at {error}") from error

    async def _write_page(self, tenant: str, rows: Sequence[LeafRow]) -> list[bytes]:
        """Write a bundle and, if it is full, its tile; return the hashes."""
        hashes = [row.leaf_hash for row in rows]
        tile = Tile(0, rows[0].index // WIDTH, len(rows))
        await self._put(tenant, tile.bundle, tiles.dump_entries(row.leaf for row in rows))
        return hashes

    async def _write_filled(self, tenant: str, edge: list[list[bytes]], position: int) -> None:
        """Write the tiles that are full, and carry their roots up; afterwards every tile of the edge is partial."""
        level = 0
        while len(edge[level]) == WIDTH:
            await self._put(tenant, Tile(level, position), tiles.dump_hashes(edge[level]))
            if level + 1 == len(edge):
                edge.append([])
            edge[level + 1].append(merkle.root_of(edge[level]))
            edge[level] = []
            level, position = level + 1, position // WIDTH

    async def _put(self, tenant: str, tile: Tile, content: bytes) -> None:
        """Write a tile or bundle, unless it is there.

        Raises:
            ForkFound: another one is there.
        """
        key = f"{tenant}/{tile.path}"
        written = await self._objects.put_if(
            key, content, replacing=None, media_type="application/octet-stream", cache_control=_FOR_EVER
        )
        if written:
            return
        there = await self._read(key)
        if there is not None and there.content != content:
            raise ForkFound(key, "it is not what the log holds now")

    async def _read(self, key: str) -> SmallObject | None:
        try:
            return await self._objects.read(key)
        except ValueError as error:
            raise ForkFound(key, str(error)) from error

    async def _remove_partials(self, tenant: str, keys: AsyncIterator[str], size: int) -> None:
        """Remove the partial ones of tiles that are full in a tree of this size."""
        async for key in keys:
            try:
                tile = Tile.parse(key.removeprefix(f"{tenant}/"))
            except TileError:
                continue
            if tile.is_partial and tile.position < size >> HEIGHT * (max(tile.level, 0) + 1):
                await self._objects.delete(key)


async def published_size(unit: UnitOfWork, signer: CheckpointSigner, stored: SmallObject) -> int:
    """Return the size of the published checkpoint of a transaction's log, which must begin with its tree.

    Raises:
        ForkFound: it does not, or that is no checkpoint of the log.
        KeyError: a stored hash that its tree consists of is missing.
    """
    place, origin = f"{unit.tenant}/{tiles.CHECKPOINT}", signer.origin(unit.tenant)
    try:
        note = Note.parse(stored.content)
        checkpoint = Checkpoint.parse(note.text)
        signers = note.verify([VerifierKey.parse(signer.verifier_key(unit.tenant))])
    except NoteError as error:
        raise ForkFound(place, str(error)) from error
    if not signers or checkpoint.origin != origin:
        raise ForkFound(place, f"not a checkpoint that {origin} signed")
    size = await select_size(unit)
    if checkpoint.size > size:
        raise ForkFound(place, f"it covers {checkpoint.size} entries, and the log has {size}")
    if await root_at(unit, checkpoint.size) != checkpoint.root:
        raise ForkFound(place, f"its tree of {checkpoint.size} entries is not that of the log")
    return checkpoint.size


def _fit(rows: Sequence[LeafRow], begin: int, end: int, root: bytes | None) -> bool:
    """Tell whether rows are the entries begin … end - 1 with their hashes, and have this root, if one is stored."""
    if [row.index for row in rows] != list(range(begin, end)):
        return False
    if any(merkle.leaf_hash(row.leaf) != row.leaf_hash for row in rows):
        return False
    return root is None or merkle.root_of([row.leaf_hash for row in rows]) == root
