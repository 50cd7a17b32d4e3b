"""Read a ZIP file as hostile input: nothing is extracted, memory and time are bounded whatever it claims."""

from __future__ import annotations

import stat
import struct
import unicodedata
import zlib
from contextlib import ExitStack
from copy import copy
from dataclasses import dataclass
from hashlib import sha256
from itertools import chain
from typing import TYPE_CHECKING, BinaryIO, Self
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from proofloop_verifier.report import Check, Finding, bounded

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MAX_FILES = 50_000
MAX_DIRECTORY_BYTES = 16 * 2**20
"""Longest central directory; the one part of a ZIP file that is read into memory at once."""
MAX_UNPACKED_BYTES = 2**30
"""More than this, or a hundred times the archive's own size if that is more, is not unpacked."""
MAX_TEXT_BYTES = 32 * 2**20
"""Longest file that `Archive.read` hands out as a whole."""
MAX_LINE_BYTES = 4 * 2**20

_CHUNK = 2**20
_LOCAL_HEADER_BYTES = 30
_ENCRYPTED = 1
_UNSAFE_CATEGORIES = {"Cc", "Cs", "Zl", "Zp"}  # controls, surrogates, separators of lines
# Deflate cannot shrink anything further (zlib's technical notes); a file that claims it is a bomb.
_MAX_RATIO = 1032
_MAX_OVERALL_RATIO = 100
# What zipfile and zlib raise on damaged or made-up input, RuntimeError standing for NotImplementedError too.
_UNREADABLE = (BadZipFile, zlib.error, struct.error, EOFError, OSError, RuntimeError, ValueError, LookupError)


class ArchiveError(Exception):
    """The archive, or one file of it, cannot be read; the message says why."""


class UnsafeArchiveError(Exception):
    """The archive must not be read at all; `findings` say why."""

    def __init__(self, findings: list[Finding]) -> None:
        super().__init__(findings[0].sentence)
        self.findings = findings


@dataclass(frozen=True, slots=True)
class Digest:
    """Size in bytes and SHA-256 in hex of a file's content."""

    size: int
    sha256: str


class Archive:
    """A ZIP file that has passed `open`. Its files lie in one top folder, which their names leave out."""

    def __init__(self, archive: ZipFile, top: str, infos: list[ZipInfo], resources: ExitStack) -> None:
        self._archive = archive
        self._resources = resources
        self.top = top
        self._infos = {info.filename.removeprefix(f"{top}/"): info for info in infos}

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open the file and check all that its directory tells; UnsafeArchiveError lists what is wrong."""
        with ExitStack() as resources:
            try:
                file = resources.enter_context(path.open("rb"))
                archive = resources.enter_context(ZipFile(_BoundedFile(file)))
            except _UNREADABLE as error:
                sentence = f"The file is not a readable ZIP archive: {error}."
                raise UnsafeArchiveError([Finding(Check.ARCHIVE, path.name, sentence)]) from error
            infos = [info for info in archive.infolist() if not (_is_folder(info) and info.file_size == 0)]
            findings = bounded(chain(_check_whole(path, archive, infos), _check_names(archive), _check_infos(infos)))
            if findings:
                raise UnsafeArchiveError(findings)
            return cls(archive, infos[0].filename.partition("/")[0], infos, resources.pop_all())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._resources.close()

    @property
    def names(self) -> list[str]:
        """The names of all files, relative to the top folder, in the archive's order."""
        return list(self._infos)

    def chunks(self, name: str) -> Iterator[bytes]:
        """The content of a file in pieces of at most 1 MiB; ArchiveError when it is missing or damaged."""
        if name not in self._infos:
            raise ArchiveError(f"the file {name} is missing")
        declared = self._infos[name].file_size
        # zipfile cuts a file at its declared size; asking for one byte more shows content that goes on.
        info = copy(self._infos[name])
        info.file_size += 1
        size = 0
        try:
            with self._archive.open(info) as file:
                while chunk := file.read(_CHUNK):
                    size += len(chunk)
                    yield chunk
        except _UNREADABLE as error:
            raise ArchiveError(f"the file {name} is damaged in the archive: {error}") from error
        if size != declared:
            raise ArchiveError(f"the file {name} is not of the {declared} bytes that the archive declares")

    def digest(self, name: str) -> Digest:
        """Size and hash of a file, in constant memory; ArchiveError when it is missing or damaged."""
        size, digest = 0, sha256()
        for chunk in self.chunks(name):
            size += len(chunk)
            digest.update(chunk)
        return Digest(size, digest.hexdigest())

    def read(self, name: str) -> bytes:
        """A whole file of at most 32 MiB; ArchiveError when it is missing, damaged or longer."""
        info = self._infos.get(name)
        if info is not None and info.file_size > MAX_TEXT_BYTES:
            raise ArchiveError(f"the file {name} is longer than {MAX_TEXT_BYTES} bytes")
        return b"".join(self.chunks(name))

    def lines(self, name: str) -> Iterator[bytes]:
        """The lines of a file, newlines left out; ArchiveError when it is missing, damaged or not lines."""
        rest = b""
        for chunk in self.chunks(name):
            *lines, rest = (rest + chunk).split(b"\n")
            yield from lines
            if len(rest) > MAX_LINE_BYTES:
                raise ArchiveError(f"the file {name} has a line of more than {MAX_LINE_BYTES} bytes")
        if rest:
            raise ArchiveError(f"the file {name} does not end in a newline")


class _BoundedFile:
    """A file that refuses to be read in one piece larger than a central directory may be."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.seek = file.seek
        self.tell = file.tell
        self.seekable = file.seekable

    def read(self, size: int = -1) -> bytes:
        if size > MAX_DIRECTORY_BYTES:
            raise BadZipFile(f"its directory is longer than {MAX_DIRECTORY_BYTES} bytes")
        return self._file.read(size if size >= 0 else MAX_DIRECTORY_BYTES)


def _is_folder(info: ZipInfo) -> bool:
    # ZipInfo.is_dir raises IndexError for an empty name, in Python 3.11.
    return info.filename.endswith("/")


def _check_whole(path: Path, archive: ZipFile, infos: list[ZipInfo]) -> Iterator[Finding]:
    def finding(sentence: str) -> Finding:
        return Finding(Check.ARCHIVE, path.name, sentence)

    if not infos:
        yield finding("The archive is empty.")
    if len(infos) > MAX_FILES:
        yield finding(f"The archive has {len(infos)} files; at most {MAX_FILES} are read.")
    unpacked = sum(info.file_size for info in infos)
    if unpacked > max(MAX_UNPACKED_BYTES, _MAX_OVERALL_RATIO * path.stat().st_size):
        yield finding(f"The files claim to unpack to {unpacked} bytes, far beyond the archive's size.")
    if archive.comment:
        yield finding("The archive has a comment, behind which a second archive could hide.")
    if infos and min(info.header_offset for info in archive.infolist()) != 0:
        yield finding("Something stands before the archive's first file.")
    if len({info.filename.partition("/")[0] for info in infos}) > 1:
        yield finding("The files do not lie in one top folder.")
    end = 0
    for info in sorted(infos, key=lambda info: info.header_offset):
        if info.header_offset < end:
            yield finding(f"The file {info.filename!r} overlaps with another one.")
        end = info.header_offset + _LOCAL_HEADER_BYTES + info.compress_size


def _check_names(archive: ZipFile) -> Iterator[Finding]:
    seen: set[str] = set()
    for info in archive.infolist():
        name = info.filename
        if reason := _unsafe_name(info):
            yield Finding(Check.ARCHIVE, repr(name), f"The file name {name!r} is not safe: {reason}.")
        alike = unicodedata.normalize("NFC", name.removesuffix("/")).casefold()
        if alike in seen:
            sentence = f"Two files have the name {name!r}, or names that some systems cannot tell apart."
            yield Finding(Check.ARCHIVE, repr(name), sentence)
        seen.add(alike)


def _unsafe_name(info: ZipInfo) -> str | None:
    name = info.filename
    segments = name.removesuffix("/").split("/")
    if info.orig_filename != name or any(unicodedata.category(c) in _UNSAFE_CATEGORIES for c in name):
        return "it holds control characters"
    if "\\" in name:
        return "it holds a backslash"
    if name.startswith("/") or ":" in segments[0]:
        return "it is an absolute path"
    if any(segment in ("", ".", "..") for segment in segments):
        return "it has an empty part or a part of dots alone"
    if not _is_folder(info) and len(segments) == 1:
        return "it lies outside the top folder"
    return None


def _check_infos(infos: list[ZipInfo]) -> Iterator[Finding]:
    for info in infos:
        kind = stat.S_IFMT(info.external_attr >> 16)
        if _is_folder(info) or kind not in (0, stat.S_IFREG):
            reason = "it is a link, a folder with content or a device"
        elif info.flag_bits & _ENCRYPTED:
            reason = "it is encrypted"
        elif info.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
            reason = f"its compression method {info.compress_type} is neither stored nor deflated"
        elif info.file_size > _MAX_RATIO * info.compress_size:
            reason = "it claims to unpack to more than its bytes can hold"
        elif info.compress_type == ZIP_STORED and info.file_size != info.compress_size:
            reason = "its two sizes differ though it is stored as it is"
        else:
            continue
        yield Finding(Check.ARCHIVE, info.filename, f"The file {info.filename!r} is not read: {reason}.")
