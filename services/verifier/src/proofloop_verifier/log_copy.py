"""A copy of a log as plain files: a folder, or what a web server hands out (C2SP tlog-tiles)."""

from __future__ import annotations

import zlib
from http import HTTPStatus
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from proofloop_verifier import tiles
from proofloop_verifier.merkle import HASH_SIZE
from proofloop_verifier.note import MAX_NOTE_BYTES, Note
from proofloop_verifier.tiles import WIDTH, Tile

if TYPE_CHECKING:
    from collections.abc import Callable

_TIMEOUT = 30.0
"""Seconds that a web server may be silent."""
_GZIP = 16 + zlib.MAX_WBITS


class CopyError(Exception):
    """A file of the copy cannot be read; the message says why."""


class MissingFileError(CopyError):
    """The copy does not have the file."""

    def __init__(self) -> None:
        super().__init__("it is missing")


class LogCopy(Protocol):
    """Gives the files of a log."""

    def read(self, path: str, limit: int) -> bytes:
        """The file at a path relative to the log's own.

        MissingFileError where there is none, CopyError where it cannot be read or is longer than `limit` bytes.
        """


class FolderCopy:
    """A log in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, path: str, limit: int) -> bytes:
        """The file at a path."""
        try:
            with (self._folder / path).open("rb") as file:
                return _within(file.read(limit + 1), limit)
        except (FileNotFoundError, NotADirectoryError):
            raise MissingFileError from None
        except OSError as error:
            raise CopyError(error.strerror or str(error)) from error


class WebCopy:
    """A log below a URL of the scheme http or https."""

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")

    def read(self, path: str, limit: int) -> bytes:
        """The file at a path."""
        headers = {"Accept-Encoding": "gzip, identity"}
        request = Request(f"{self._url}/{path}", headers=headers)  # noqa: S310 -- one of two schemes: see `open_copy`
        try:
            with urlopen(request, timeout=_TIMEOUT) as response:  # noqa: S310 -- likewise
                data = _within(response.read(limit + 1), limit)
                if response.headers.get("Content-Encoding", "").lower() == "gzip":
                    return _within(zlib.decompressobj(_GZIP).decompress(data, limit + 1), limit)
                return data
        except HTTPError as error:
            with error:
                if error.code in (HTTPStatus.NOT_FOUND, HTTPStatus.GONE):
                    raise MissingFileError from None
                raise CopyError(f"the server answers {error.code}") from error
        except (OSError, HTTPException, zlib.error) as error:
            raise CopyError(str(error) or type(error).__name__) from error


def open_copy(place: str) -> LogCopy:
    """The copy at a URL (http, https) or in a folder; ValueError where the place is neither."""
    if place.lower().startswith(("http://", "https://")):
        return WebCopy(place)
    folder = Path(place)
    if not folder.is_dir():
        raise ValueError(f"{place} is neither a folder nor an http(s) URL")
    return FolderCopy(folder)


def read_checkpoint(copy: LogCopy) -> Note:
    """The note in the copy's checkpoint; CopyError or NoteError where there is none. Nothing is verified."""
    return Note.parse(copy.read(tiles.CHECKPOINT, MAX_NOTE_BYTES))


def read_hashes(copy: LogCopy, tile: Tile) -> list[bytes]:
    """The hashes of a tile; CopyError or TileError where they cannot be read. Nothing is verified."""
    return _read(copy, tile, tiles.parse_hashes)


def read_entries(copy: LogCopy, bundle: Tile) -> list[bytes]:
    """The entries of a bundle; CopyError or TileError where they cannot be read. Nothing is verified."""
    return _read(copy, bundle, tiles.parse_entries)


def _read(copy: LogCopy, tile: Tile, parse: Callable[[Tile, bytes], list[bytes]]) -> list[bytes]:
    try:
        return parse(tile, copy.read(tile.path, _limit(tile)))
    except MissingFileError:
        if not tile.is_partial:
            raise
    # A log may remove a partial tile once it has the full one, which begins alike.
    try:
        data = copy.read(tile.full.path, _limit(tile.full))
    except MissingFileError:
        # What is missing is the partial one.
        raise MissingFileError from None
    return parse(tile.full, data)[: tile.width]


def _limit(tile: Tile) -> int:
    return tiles.MAX_TILE_BYTES if tile.level == tiles.ENTRIES else WIDTH * HASH_SIZE


def _within(data: bytes, limit: int) -> bytes:
    if len(data) > limit:
        raise CopyError(f"it is longer than {limit} bytes")
    return data
