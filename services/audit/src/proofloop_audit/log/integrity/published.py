"""Compares what is published of a log with what it holds: every tile, every bundle, the checkpoint."""

from collections.abc import Sequence

from proofloop_runtime.database import Database
from proofloop_runtime.errors import TRANSIENT
from proofloop_runtime.objects import ObjectRequestRefused, SmallObjects
from proofloop_verifier import tiles
from proofloop_verifier.note import Checkpoint, Note, NoteError, VerifierKey
from proofloop_verifier.report import Finding
from proofloop_verifier.tiles import HEIGHT, WIDTH, Tile, TileError

from proofloop_audit.log.checkpoints import CheckpointSigner
from proofloop_audit.log.integrity.report import StoredCheck
from proofloop_audit.log.integrity.store import Page
from proofloop_audit.log.integrity.tree import Edge
from proofloop_audit.log.publication import ForkFound, published_size


class PublishedLog:
    """What is published of one log.

    Args:
        objects: Where.
        tenant: Whose log.

    Attributes:
        size: How far it is published; None where the checkpoint does not say so: then what is there must be right, and
            nothing has to be.
    """

    def __init__(self, objects: SmallObjects, tenant: str) -> None:
        self._objects = objects
        self._tenant = tenant
        self.size: int | None = 0

    async def checkpoint(self, database: Database, signer: CheckpointSigner) -> list[Finding]:
        """Learn how far the log is published, and say what is wrong with the checkpoint that says so."""
        key = f"{self._tenant}/{tiles.CHECKPOINT}"
        stored = None
        try:
            stored = await self._objects.read(key)
            if stored is not None:
                async with database.transaction(self._tenant) as unit:
                    self.size = await published_size(unit, signer, stored)
        except (*TRANSIENT, ObjectRequestRefused) as error:
            return [_unreadable(key, error)]
        except (ForkFound, ValueError) as error:
            self.size = None if stored is None else _signed_size(stored.content, signer.verifier_key(self._tenant))
            what = str(error).removeprefix(f"{key}: ")
            return [_finding(key, f"The published checkpoint {key} cannot be relied on: {what}.")]
        except KeyError:
            self.size = None
            sentence = f"The published checkpoint {key} was not compared with the log, which lacks hashes."
            return [Finding(StoredCheck.PUBLISHED, key, sentence, not_checked=True)]
        return []

    async def page(self, page: Page, hashes: Sequence[bytes | None]) -> list[Finding]:
        """Say what is wrong with what is published of a page, whose leaf hashes are given."""
        known = [digest for digest in hashes if digest is not None]
        width = min((page.end if self.size is None else self.size) - page.begin, WIDTH)
        # Entries that are missing were named. Which partial tiles there should be, only the checkpoint says.
        if width <= 0 or len(known) < max(width, len(hashes)) or (self.size is None and width < WIDTH):
            return []
        tile = Tile(0, page.begin // WIDTH, width)
        leaves = [entry.leaf for entry in page.entries[:width]]
        return [*await self._compare(tile, known[:width]), *await self._compare(tile.bundle, leaves)]

    async def filled(self, tile: Tile, hashes: Sequence[bytes]) -> list[Finding]:
        """Say what is wrong with a tile above level 0 that is full."""
        if self.size is not None and tile.position >= self.size >> HEIGHT * (tile.level + 1):
            return []
        return await self._compare(tile, hashes)

    async def edge(self, begin: int, edge: Edge) -> list[Finding]:
        """Say what is wrong with the partial tiles above level 0, if the log is published up to the page at `begin`."""
        if not self.size or self.size // WIDTH != begin // WIDTH:
            return []
        # An edge that is not that long is of a log that lost entries.
        above = [tile for tile in tiles.partial(self.size) if 0 < tile.level < len(edge)]
        return [finding for tile in above for finding in await self._compare(tile, edge[tile.level])]

    async def _compare(self, tile: Tile, items: Sequence[bytes]) -> list[Finding]:
        key = f"{self._tenant}/{tile.path}"
        try:
            expected = tiles.dump_entries(items) if tile.level == tiles.ENTRIES else tiles.dump_hashes(items)
            content = await self._read(tile, len(expected))
        except (*TRANSIENT, ObjectRequestRefused) as error:
            self.size = 0
            return [_unreadable(key, error)]
        except ValueError as error:
            return [_finding(key, f"The published {key} cannot be compared: {error}.")]
        if content is None:
            return [] if self.size is None else [_finding(key, f"The published {key} is missing.")]
        if content != expected:
            return [_finding(key, f"The published {key} is not what the log holds{_difference(tile, content, items)}.")]
        return []

    async def _read(self, tile: Tile, length: int) -> bytes | None:
        stored = await self._objects.read(f"{self._tenant}/{tile.path}")
        if stored is not None or not tile.is_partial:
            return None if stored is None else stored.content
        # The publisher removes a partial tile once it has written the full one, which begins alike.
        full = await self._objects.read(f"{self._tenant}/{tile.full.path}")
        return None if full is None else full.content[:length]


def _difference(tile: Tile, content: bytes, items: Sequence[bytes]) -> str:
    """Return where a tile and what it must hold part, for people."""
    parse = tiles.parse_entries if tile.level == tiles.ENTRIES else tiles.parse_hashes
    try:
        published = parse(tile, content)
    except TileError as error:
        return f": {error}"
    number = next(number for number, pair in enumerate(zip(published, items, strict=True)) if pair[0] != pair[1])
    index = tile.position * WIDTH + number
    return f", from entry {index} on" if tile.level <= 0 else f", from the hash {number} on"


def _signed_size(note: bytes, verifier_key: str) -> int | None:
    """Return the size that a log signed, whatever became of the log."""
    try:
        parsed = Note.parse(note)
        signers = parsed.verify([VerifierKey.parse(verifier_key)])
        return Checkpoint.parse(parsed.text).size if signers else None
    except NoteError:
        return None


def _finding(key: str, sentence: str) -> Finding:
    return Finding(StoredCheck.PUBLISHED, key, sentence)


def _unreadable(key: str, error: Exception) -> Finding:
    sentence = f"What is published was not compared: {key} could not be read ({type(error).__name__})."
    return Finding(StoredCheck.PUBLISHED, key, sentence, not_checked=True)
