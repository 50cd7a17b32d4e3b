"""ZIP archives and the office formats built on them (ECMA-376), and old OLE files."""

from __future__ import annotations

import io
import zipfile
import zlib
from itertools import islice
from typing import TYPE_CHECKING, BinaryIO, TypedDict
from xml.etree.ElementTree import ParseError

import openpyxl
from openpyxl.utils.exceptions import InvalidFileException

from proofloop_packets.evidence.metadata import Fact, Limits, Mark
from proofloop_packets.evidence.parsers.findings import Findings, clip

if TYPE_CHECKING:
    from collections.abc import Iterable

_MACRO_PARTS = ("vbaProject.bin", "xl/macrosheets/", "/activeX/")
_ENCRYPTED_FLAG = 0x1
_END_OF_DIRECTORY = b"PK\x05\x06"
_END_OF_DIRECTORY_SPAN = 65_535 + 22  # the record and its longest comment
_OLE_ENCRYPTED = "EncryptedPackage".encode("utf-16-le")
_OLE_MACROS = "_VBA_PROJECT".encode("utf-16-le")


class ArchiveFacts(TypedDict, total=False):
    """Facts of a ZIP archive."""

    entries: int
    expanded_size: int
    """Bytes, as the directory declares them."""


class WorkbookFacts(TypedDict, total=False):
    """Facts of an XLSX workbook."""

    sheet_count: int
    sheets: list[dict[str, Fact]]
    """``name``, ``columns`` (first row, clipped), ``column_count``, ``rows`` (after the first)."""
    rows: int
    """Of all sheets together."""


def inspect_archive(file: BinaryIO, limits: Limits) -> Findings:
    """Entries and declared size, from the directory alone: nothing is unpacked."""
    findings = Findings()
    try:
        with zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, ValueError):
        findings.mark(Mark.MALFORMED if _has_directory(file) else Mark.TRUNCATED)
        return findings
    expanded = sum(entry.file_size for entry in entries)
    findings.add(ArchiveFacts(entries=len(entries), expanded_size=expanded))
    if expanded > limits.expanded_bytes:
        findings.mark(Mark.OVERSIZED_CONTENT)
    if any(entry.flag_bits & _ENCRYPTED_FLAG for entry in entries):
        findings.mark(Mark.ENCRYPTED)
    if any(part in entry.filename for entry in entries for part in _MACRO_PARTS):
        findings.mark(Mark.ACTIVE_CONTENT)
    return findings


def inspect_document(file: BinaryIO, limits: Limits) -> Findings:
    """A DOCX or PPTX: the marks of its archive; the archive's facts would mean nothing to a reader."""
    return Findings(marks=inspect_archive(file, limits).marks)


def inspect_workbook(file: BinaryIO, limits: Limits) -> Findings:
    """Sheets with columns and row counts. Formulas are not computed, links are not followed."""
    findings = inspect_document(file, limits)
    if findings.marks - {Mark.ACTIVE_CONTENT}:
        return findings
    file.seek(0)
    try:
        workbook = openpyxl.load_workbook(file, read_only=True, data_only=True, keep_links=False)
        sheets: list[dict[str, Fact]] = []
        total = 0
        for sheet in workbook.worksheets[: limits.items]:
            described, rows = _describe_sheet(
                sheet.title, sheet.iter_rows(values_only=True), limits, limits.rows - total
            )
            sheets.append(described)
            total += rows
            findings.add(WorkbookFacts(sheet_count=len(workbook.sheetnames), sheets=sheets, rows=total))
        if total >= limits.rows or len(workbook.worksheets) > limits.items:
            findings.mark(Mark.OVERSIZED_CONTENT)
    except (
        InvalidFileException,
        zipfile.BadZipFile,
        zlib.error,
        ParseError,
        SyntaxError,  # lxml's XMLSyntaxError
        LookupError,  # a part that is named and is not there
        ValueError,
        TypeError,  # an attribute of the wrong type
        EOFError,
    ):
        findings.mark(Mark.MALFORMED)
    return findings


def inspect_ole(file: BinaryIO, limits: Limits) -> Findings:
    """An old office file or a locked new one: the names in its directory tell of macros and encryption."""
    findings = Findings()
    overlap = b""
    for _ in range(0, limits.whole_file_bytes, io.DEFAULT_BUFFER_SIZE):
        chunk = file.read(io.DEFAULT_BUFFER_SIZE)
        if not chunk:
            return findings
        window = overlap + chunk
        if _OLE_ENCRYPTED in window:
            findings.mark(Mark.ENCRYPTED)
        if _OLE_MACROS in window:
            findings.mark(Mark.ACTIVE_CONTENT)
        overlap = window[-len(_OLE_ENCRYPTED) :]
    findings.mark(Mark.OVERSIZED_CONTENT)
    return findings


def _describe_sheet(
    name: str, rows: Iterable[tuple[object, ...]], limits: Limits, row_budget: int
) -> tuple[dict[str, Fact], int]:
    remaining = iter(rows)
    header = [clip(str(value)) for value in next(remaining, ()) if value is not None]
    count = sum(any(value is not None for value in row) for row in islice(remaining, max(row_budget, 0)))
    described: dict[str, Fact] = {
        "name": clip(name),
        "columns": header[: limits.items],
        "column_count": len(header),
        "rows": count,
    }
    return described, count


def _has_directory(file: BinaryIO) -> bool:
    size = file.seek(0, io.SEEK_END)
    file.seek(max(0, size - _END_OF_DIRECTORY_SPAN))
    return _END_OF_DIRECTORY in file.read()
