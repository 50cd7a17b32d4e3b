"""Write a packet: a BagIt bag (RFC 8493) in a ZIP, as a stream, the same bytes for the same content.

Entries are stored, not deflated. Compressed bytes depend on the zlib a Python was built with, so the same
packet made on two machines would differ; and evidence is mostly compressed already. A reader that checks a
packet then never expands anything, so no packet can be a bomb.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import zipfile
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeAlias

Chunks: TypeAlias = Callable[[], AsyncIterator[bytes]]
"""Opens a file's content: called once, when its turn comes."""

_PAYLOAD = "data/"
_DECLARATION = b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"
_UNIX = 3
_REGULAR_FILE = 0o100644
_EARLIEST_ZIP_YEAR = 1980


class ContentChangedError(Exception):
    """A file's bytes are not those its record speaks of: its storage lost or altered them.

    ``path`` is the file's path in the bag. What was streamed until then is no valid ZIP.
    """

    def __init__(self, path: str) -> None:
        super().__init__(f"the content of {path} does not have the size and SHA-256 recorded for it")
        self.path = path


@dataclass(frozen=True, slots=True)
class BagFile:
    """One file to go into the bag."""

    path: str
    """Relative to the bag's folder, with ``/``; below ``data/`` it is payload, else a tag file."""
    size: int
    """Bytes."""
    sha256: str
    """Lower-case hex."""
    chunks: Chunks

    @classmethod
    def of_bytes(cls, path: str, content: bytes) -> BagFile:
        """A file whose content is at hand."""

        async def chunks() -> AsyncIterator[bytes]:
            yield content

        return cls(path, len(content), hashlib.sha256(content).hexdigest(), chunks)


@dataclass(frozen=True, slots=True)
class Bag:
    """What goes into one packet."""

    folder: str
    """The one folder at the top of the ZIP: the packet's id."""
    time: datetime
    """Stands as modification time on every entry and as Bagging-Date: the packet's cut-off."""
    info: Mapping[str, str]
    """Further lines of ``bag-info.txt``, e.g. Source-Organization and External-Identifier, in this order."""
    files: Sequence[BagFile]
    """Everything except ``bagit.txt``, ``bag-info.txt`` and the manifests, which are made here."""


async def write_bag(bag: Bag) -> AsyncIterator[bytes]:
    """The ZIP's bytes, in pieces no larger than the chunks that come in plus some headers.

    Memory does not grow with the size of the files, only with their number. ZIP64 is used for a file or a
    whole beyond 4 GiB. Raises ContentChangedError where a file is not what its record says, ValueError for
    two files of one path.
    """
    sink = _Sink()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_STORED) as archive:
        for file in _complete(bag):
            with archive.open(_entry(bag, file), "w") as entry:
                digest, size = hashlib.sha256(), 0
                async for chunk in file.chunks():
                    size += len(chunk)
                    if size > file.size:
                        raise ContentChangedError(file.path)
                    await asyncio.to_thread(_digest_and_write, digest.update, entry.write, chunk)
                    yield sink.drain()
                if size != file.size or digest.hexdigest() != file.sha256:
                    raise ContentChangedError(file.path)
    yield sink.drain()


def manifest(files: Iterable[BagFile]) -> bytes:
    """``manifest-sha256.txt`` of the files (RFC 8493, section 2.1.3), sorted by path."""
    lines = (f"{file.sha256}  {_encoded(file.path)}\n" for file in sorted(files, key=lambda file: file.path))
    return "".join(lines).encode()


def _complete(bag: Bag) -> list[BagFile]:
    """All files of the bag in the order of the ZIP: by path."""
    payload = [file for file in bag.files if file.path.startswith(_PAYLOAD)]
    tags = [file for file in bag.files if not file.path.startswith(_PAYLOAD)]
    tags += [
        BagFile.of_bytes("bagit.txt", _DECLARATION),
        BagFile.of_bytes("bag-info.txt", _information(bag, payload)),
        BagFile.of_bytes("manifest-sha256.txt", manifest(payload)),
    ]
    tags.append(BagFile.of_bytes("tagmanifest-sha256.txt", manifest(tags)))
    files = sorted(payload + tags, key=lambda file: file.path)
    if len({file.path for file in files}) != len(files):
        raise ValueError("two files of the bag have the same path")
    return files


def _information(bag: Bag, payload: Sequence[BagFile]) -> bytes:
    lines = {
        **bag.info,
        "Bagging-Date": bag.time.astimezone(UTC).date().isoformat(),
        "Payload-Oxum": f"{sum(file.size for file in payload)}.{len(payload)}",
    }
    return "".join(f"{label}: {' '.join(value.split())}\n" for label, value in lines.items()).encode()


def _encoded(path: str) -> str:
    """Line breaks would end the manifest's line, so they and their escape are escaped (RFC 8493, 2.1.3)."""
    return path.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _entry(bag: Bag, file: BagFile) -> zipfile.ZipInfo:
    time = bag.time.astimezone(UTC)
    stamp = (max(time.year, _EARLIEST_ZIP_YEAR), time.month, time.day, time.hour, time.minute, time.second)
    entry = zipfile.ZipInfo(f"{bag.folder}/{file.path}", stamp)
    entry.file_size = file.size  # decides whether the header has room for ZIP64 sizes
    entry.create_system = _UNIX  # else it tells the platform
    entry.external_attr = _REGULAR_FILE << 16
    return entry


def _digest_and_write(digest: Callable[[bytes], None], write: Callable[[bytes], int], chunk: bytes) -> None:
    digest(chunk)
    write(chunk)


class _Sink(io.RawIOBase):
    """Where `zipfile` writes. It cannot seek, so sizes and checksums follow each entry in a descriptor."""

    def __init__(self) -> None:
        super().__init__()
        self._pieces: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: bytes, /) -> int:  # type: ignore[override] # any buffer in theory, bytes from zipfile
        self._pieces.append(bytes(data))
        return len(data)

    def drain(self) -> bytes:
        """What was written since the last call."""
        drained = b"".join(self._pieces)
        self._pieces.clear()
        return drained
