"""Tiles and entry bundles: how a log is kept as plain files (C2SP tlog-tiles).

A *tile* at level 0 holds the hashes of 256 leaves, one at level 1 the roots of 256 tiles of level 0, and so on; an
*entry bundle* holds the 256 leaves themselves, here at the level `ENTRIES`. The last ones of a tree may be partial:
then their width is a part of their name.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from proofloop_verifier import merkle
from proofloop_verifier.merkle import HASH_SIZE, Subtree

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

HEIGHT = 8
"""Levels of the tree within a tile."""
WIDTH = 1 << HEIGHT
"""Hashes in a full tile, entries in a full bundle."""
ENTRIES = -1
"""Level of the bundles, below that of the leaf hashes."""
CHECKPOINT = "checkpoint"
"""Name of the file that holds the log's signed checkpoint."""
MAX_ENTRY_BYTES = 65_535
MAX_TILE_BYTES = WIDTH * (2 + MAX_ENTRY_BYTES)
"""Longest file of a log: a bundle of the longest entries."""

_MAX_LEVEL = 63
_LENGTH_BYTES = 2
_PATH = re.compile(r"tile/(entries|[0-9]{1,2})/((?:x[0-9]{3}/)*[0-9]{3})(?:\.p/([0-9]{1,3}))?")


class TileError(ValueError):
    """A path names no tile, or bytes are not what their tile must hold; the message says why."""


class Tile(NamedTuple):
    """Names a tile or, at the level `ENTRIES`, an entry bundle."""

    level: int
    position: int
    """Counts the tiles of a level from 0."""
    width: int = WIDTH

    @classmethod
    def parse(cls, path: str) -> Tile:
        """Read a path, relative to the log's own; TileError unless `path` would write it so."""
        found = _PATH.fullmatch(path)
        if found is None:
            raise TileError(f"not the path of a tile or an entry bundle: {path[:80]!r}")
        level, position, width = found.groups()
        tile = cls(
            ENTRIES if level == "entries" else int(level),
            int(position.replace("x", "").replace("/", "")),
            WIDTH if width is None else int(width),
        )
        if tile.path != path or tile.level > _MAX_LEVEL or not 0 < tile.width <= WIDTH:
            raise TileError(f"not the canonical path of a tile or an entry bundle: {path[:80]!r}")
        return tile

    @property
    def path(self) -> str:
        """Path relative to the log's own."""
        level = "entries" if self.level == ENTRIES else str(self.level)
        rest, last = divmod(self.position, 1000)
        path = f"{last:03}"
        while rest:
            rest, digits = divmod(rest, 1000)
            path = f"x{digits:03}/{path}"
        return f"tile/{level}/{path}" + (f".p/{self.width}" if self.is_partial else "")

    @property
    def is_partial(self) -> bool:
        """Whether there is room for more."""
        return self.width < WIDTH

    @property
    def full(self) -> Tile:
        """The same tile when it is full."""
        return self._replace(width=WIDTH)

    @property
    def bundle(self) -> Tile:
        """The entries whose hashes this tile of level 0 holds."""
        return self._replace(level=ENTRIES)


def levels(size: int) -> range:
    """The levels, upward from 0, at which a tree of `size` leaves has tiles."""
    return range(-(-size.bit_length() // HEIGHT))


def filled(level: int, old: int, new: int) -> range:
    """Positions of the tiles of a level that are full in a tree of `new` leaves, and were not in one of `old`."""
    shift = HEIGHT * (max(level, 0) + 1)
    return range(old >> shift, new >> shift)


def partial(size: int) -> list[Tile]:
    """The partial tiles of a tree of `size` leaves, upward from level 0; the bundle is that of level 0's."""
    tiles = (Tile(level, size >> HEIGHT * (level + 1), (size >> HEIGHT * level) % WIDTH) for level in levels(size))
    return [tile for tile in tiles if tile.width]


def tiles_of(size: int) -> Iterator[Tile]:
    """All tiles and bundles of a tree of `size` leaves."""
    for level in (ENTRIES, *levels(size)):
        yield from (Tile(level, position) for position in filled(level, 0, size))
    for tile in partial(size):
        yield tile
        if tile.level == 0:
            yield tile.bundle


def dump_hashes(hashes: Sequence[bytes]) -> bytes:
    """The content of a tile."""
    return b"".join(hashes)


def parse_hashes(tile: Tile, data: bytes) -> list[bytes]:
    """The hashes that a tile holds; TileError unless the bytes are as many as its width asks for."""
    if len(data) != tile.width * HASH_SIZE:
        raise TileError(f"a tile of {tile.width} hashes has {tile.width * HASH_SIZE} bytes, not {len(data)}")
    return [data[begin : begin + HASH_SIZE] for begin in range(0, len(data), HASH_SIZE)]


def dump_entries(entries: Iterable[bytes]) -> bytes:
    """The content of an entry bundle; TileError for an entry that is too long for one."""
    pieces: list[bytes] = []
    for entry in entries:
        if len(entry) > MAX_ENTRY_BYTES:
            raise TileError(f"an entry of {len(entry)} bytes is longer than {MAX_ENTRY_BYTES}")
        pieces += (len(entry).to_bytes(_LENGTH_BYTES, "big"), entry)
    return b"".join(pieces)


def parse_entries(tile: Tile, data: bytes) -> list[bytes]:
    """The entries that a bundle holds; TileError unless they are as many as its width and nothing follows."""
    entries: list[bytes] = []
    at = 0
    for number in range(tile.width):
        begin = at + _LENGTH_BYTES
        at = begin + int.from_bytes(data[at:begin], "big")
        if max(begin, at) > len(data):
            raise TileError(f"the bundle ends within the entry {number} of {tile.width}")
        entries.append(data[begin:at])
    if at != len(data):
        raise TileError(f"{len(data) - at} bytes follow the last of the {tile.width} entries")
    return entries


def subtree_roots(
    subtrees: Iterable[Subtree], size: int, read: Callable[[Tile], Sequence[bytes]]
) -> dict[Subtree, bytes]:
    """The roots of perfect subtrees of a tree of `size` leaves, each folded from one tile that `read` gives.

    With what `merkle` says a proof needs, any proof can be computed from tiles.
    """
    roots: dict[Subtree, bytes] = {}
    read_before: dict[Tile, Sequence[bytes]] = {}
    partial_tiles = {(tile.level, tile.position): tile for tile in partial(size)}
    for subtree in subtrees:
        level, above = divmod(subtree.level, HEIGHT)
        begin = subtree.position << above
        position = begin // WIDTH
        tile = partial_tiles.get((level, position), Tile(level, position))
        if tile not in read_before:
            read_before[tile] = read(tile)
        first = begin % WIDTH
        roots[subtree] = merkle.root_of(read_before[tile][first : first + (1 << above)])
    return roots
