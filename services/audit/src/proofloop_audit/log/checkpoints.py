"""Signed checkpoints: C2SP tlog-checkpoint as a C2SP signed note."""

import asyncio
import logging
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from proofloop_runtime.database import Database, UnitOfWork
from proofloop_runtime.errors import DependencyUnavailable, Overloaded
from proofloop_runtime.ports import Clock
from proofloop_runtime.reading import Reader
from proofloop_verifier import merkle, note, tiles
from proofloop_verifier.merkle import CompactRange
from proofloop_verifier.tiles import HEIGHT, WIDTH

from proofloop_audit import telemetry
from proofloop_audit.log.checkpoint_store import CheckpointRow, insert_checkpoint, select_checkpoint, select_uncovered
from proofloop_audit.log.store import select_size, select_subtrees, select_tile

log = logging.getLogger(__name__)


class CheckpointSigner:
    """Signs the state of logs.

    Args:
        database: The service's database.
        log_domain: First part of the origins.
        key: Signs.
        tenants: Whose logs there are.
        clock: The clock.
        every: How far a checkpoint may lag behind.
    """

    def __init__(
        self,
        database: Database,
        log_domain: str,
        key: Ed25519PrivateKey,
        tenants: Sequence[str],
        clock: Clock,
        every: timedelta,
    ) -> None:
        self._database = database
        self._log_domain = log_domain
        self._key = key
        self._tenants = tuple(tenants)
        self._clock = clock
        self._every = every

    def origin(self, tenant: str) -> str:
        """Return the name of a tenant's log."""
        return f"{self._log_domain}/{tenant}"

    def verifier_key(self, tenant: str) -> str:
        """Return the C2SP verifier key of a tenant's log; the log signs under its origin."""
        return str(note.VerifierKey.of(self.origin(tenant), self._key.public_key()))

    async def newest(self, unit: UnitOfWork) -> CheckpointRow:
        """Return a checkpoint that covers what is committed by now, signing one if there is none yet."""
        size = await select_size(unit)
        newest = await select_checkpoint(unit)
        # Another replica may have appended and signed since we read the size.
        if newest is not None and newest.size >= size:
            return newest
        root = await root_at(unit, size)
        origin = self.origin(unit.tenant)
        text = note.Checkpoint(origin, size, root).to_text()
        signed = note.sign(text, origin, self._key).to_bytes().decode()
        checkpoint = CheckpointRow(size, root, signed, self._clock.now())
        await insert_checkpoint(unit, checkpoint)
        telemetry.checkpoints_signed.add(1)
        return checkpoint

    async def covering(self, reader: Reader, index: int) -> CheckpointRow:
        """Return the newest checkpoint if it covers this entry, else one that is signed now."""
        newest = await select_checkpoint(reader)
        if newest is not None and newest.size > index:
            return newest
        async with self._database.transaction(reader.tenant) as unit:
            return await self.newest(unit)

    async def run(self) -> None:
        """Keep the checkpoints of all logs fresh, for ever, on any replica."""
        while True:
            try:
                for tenant in await self._behind():
                    async with self._database.transaction(tenant) as unit:
                        await self.newest(unit)
            except (DependencyUnavailable, Overloaded) as error:
                log.warning("no checkpoint was signed", extra={"error_type": type(error).__name__})
            await asyncio.sleep(self._every.total_seconds())

    async def _behind(self) -> list[str]:
        """Return whose newest checkpoint does not cover their log: one statement, however many tenants there are."""
        async with self._database.transaction(*self._tenants) as unit:
            return await select_uncovered(unit, self._tenants)


async def root_at(reader: Reader, size: int) -> bytes:
    """Return the root of the tree of the log's first `size` entries, which it must have."""
    subtrees = merkle.root_subtrees(size)
    roots = await select_subtrees(reader, subtrees)
    return CompactRange(size, tuple(roots[subtree] for subtree in subtrees)).root()


async def unfinished(reader: Reader, size: int) -> list[list[bytes]]:
    """Return what is stored of the unfinished tile of each level of a tree, upward; none of level 0, the leaf hashes.

    Raises:
        KeyError: a hash is missing.
    """
    edge: list[list[bytes]] = [[]]
    for level in tiles.levels(size)[1:]:
        end = size >> HEIGHT * level
        edge.append(await select_tile(reader, HEIGHT * level, end - end % WIDTH, end))
    return edge


def load_signing_key(path: Path) -> Ed25519PrivateKey:
    """Read an Ed25519 private key from PEM (PKCS #8).

    Raises:
        TypeError: it is another kind of key.
    """
    key = load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(key, Ed25519PrivateKey):
        raise TypeError(f"{path} does not hold an Ed25519 key")
    return key
