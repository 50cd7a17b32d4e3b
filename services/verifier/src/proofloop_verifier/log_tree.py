"""Check that the tiles and entry bundles of a copy are the tree of a signed checkpoint, and name those that are not.

The walk goes from the signed root downward, so that each file is held to what stands above it: one that is wrong is
named itself, and what is below it is still checked. It holds one tile per level and one bundle at a time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from proofloop_verifier import merkle, tiles
from proofloop_verifier.log_copy import CopyError, LogCopy, read_entries, read_hashes
from proofloop_verifier.log_entries import AnyEntry, EntryCheck
from proofloop_verifier.merkle import CompactRange
from proofloop_verifier.report import Finding, LogCheck
from proofloop_verifier.tiles import HEIGHT, WIDTH, Tile, TileError

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    Found = Generator[Finding, None, None]
    FoundHash = Generator[Finding, None, bytes | None]
    FoundHashes = Generator[Finding, None, list[bytes | None]]


class TreeCheck:
    """Checks the tree of one checkpoint.

    Args:
        copy: The copy.
        size: Size of the tree.
        root: Its root, as it was signed.
        entries: Is shown every entry that fits.

    Attributes:
        entries_checked: Entries that are what the tiles say, so far.
    """

    def __init__(self, copy: LogCopy, size: int, root: bytes, entries: EntryCheck | None = None) -> None:
        self._copy = copy
        self._size = size
        self._root = root
        self._entries = entries or AnyEntry()
        self.entries_checked = 0

    def findings(self) -> Found:
        """Say all that is wrong, in the order of the log, while walking; nothing, if all is right."""
        edge = list(reversed(tiles.partial(self._size)))
        stored: dict[Tile, list[bytes] | None] = {}
        for tile in edge:
            stored[tile] = yield from self._hashes(tile)
        proven = self._root_of([stored[tile] for tile in edge]) == self._root
        computed: dict[Tile, list[bytes | None]] = {}
        for tile in edge:
            # Where the edge does not lead to the root, nobody knows which of its tiles is wrong: none is believed.
            computed[tile] = yield from self._children(tile, stored[tile] if proven else None)
        if not proven:
            yield from self._check_edge(stored, computed)

    def _check_edge(self, stored: dict[Tile, list[bytes] | None], computed: dict[Tile, list[bytes | None]]) -> Found:
        for tile, hashes in computed.items():
            if stored[tile] is not None and None not in hashes and stored[tile] != hashes:
                yield _tree(tile, f"The tile {tile.path} is not what the entries under it make.")
        root = self._root_of([_known(hashes) for hashes in computed.values()])
        if root is None:
            sentence = "The tree was not compared with the checkpoint: parts of it cannot be read."
            yield Finding(LogCheck.TREE, tiles.CHECKPOINT, sentence, not_checked=True)
        elif root != self._root:
            sentence = (
                f"The {self._size} entries make a tree with the root {root.hex()}, and the checkpoint says "
                f"{self._root.hex()}."
            )
            yield Finding(LogCheck.TREE, tiles.CHECKPOINT, sentence)

    def _root_of(self, edge: Sequence[Sequence[bytes] | None]) -> bytes | None:
        hashes: list[bytes] = []
        for of_tile in edge:
            if of_tile is None:
                return None
            hashes += of_tile
        return CompactRange.from_tiles(self._size, hashes, HEIGHT).root()

    def _children(self, tile: Tile, expected: Sequence[bytes] | None, root: bytes | None = None) -> FoundHashes:
        """Check what a tile stands on; return the hashes that it must hold, None for what cannot be read.

        `expected` are the hashes that it does hold, None where they are not to be believed; `root` is its own root,
        where that is known all the same.
        """
        if tile.level == 0:
            return (yield from self._check_bundle(tile.bundle, expected, root))
        hashes: list[bytes | None] = []
        for number in range(tile.width):
            below = Tile(tile.level - 1, tile.position * WIDTH + number)
            hashes.append((yield from self._check_full(below, expected[number] if expected else None)))
        return hashes

    def _check_full(self, tile: Tile, expected: bytes | None) -> FoundHash:
        """Check a full tile and all under it; return its root, None where it cannot be known."""
        stored = yield from self._hashes(tile)
        root = merkle.root_of(stored) if stored else None
        if root is not None and expected not in (None, root):
            yield _tree(tile, f"The tile {tile.path} is not the one that the signed tree holds.")
            stored = None
        computed = yield from self._children(tile, stored, expected)
        if stored is not None:
            return root
        known = _known(computed)
        if known is None:
            return None
        root = merkle.root_of(known)
        if expected not in (None, root):
            begin = tile.position << HEIGHT * (tile.level + 1)
            end = begin + (1 << HEIGHT * (tile.level + 1)) - 1
            sentence = f"The entries {begin} to {end} are not all those that the signed tree holds."
            yield Finding(LogCheck.ENTRY, tile.bundle.path if tile.level == 0 else tile.path, sentence)
        return root

    def _check_bundle(self, bundle: Tile, expected: Sequence[bytes] | None, root: bytes | None) -> FoundHashes:
        try:
            entries = read_entries(self._copy, bundle)
        except (CopyError, TileError) as error:
            yield Finding(LogCheck.ENTRY, bundle.path, f"The entries in {bundle.path} cannot be read: {error}.")
            self._entries.skip()
            return [None] * bundle.width
        hashes = [merkle.leaf_hash(entry) for entry in entries]
        if expected is None and root not in (None, merkle.root_of(hashes)):
            # One of them is wrong, and nothing says which.
            self._entries.skip()
            return [*hashes]
        for number, (entry, leaf_hash) in enumerate(zip(entries, hashes, strict=True)):
            index = bundle.position * WIDTH + number
            if expected is not None and expected[number] != leaf_hash:
                sentence = f"Entry {index} in {bundle.path} is not the one that the signed tree holds."
                yield Finding(LogCheck.ENTRY, bundle.path, sentence)
                self._entries.skip()
                continue
            self.entries_checked += 1
            yield from self._entries.follow(index, entry, leaf_hash)
        return [*hashes]

    def _hashes(self, tile: Tile) -> Generator[Finding, None, list[bytes] | None]:
        try:
            return read_hashes(self._copy, tile)
        except (CopyError, TileError) as error:
            yield _tree(tile, f"The tile {tile.path} cannot be read: {error}.")
            return None


def _known(hashes: Sequence[bytes | None]) -> list[bytes] | None:
    """The hashes, if all are known."""
    known = [digest for digest in hashes if digest is not None]
    return known if len(known) == len(hashes) else None


def _tree(tile: Tile, sentence: str) -> Finding:
    return Finding(LogCheck.TREE, tile.path, sentence)
