"""Tables as text: CSV and its kin (RFC 4180, with other delimiters)."""

from __future__ import annotations

import codecs
import csv
import io
from collections import Counter
from itertools import islice
from typing import BinaryIO, TypedDict

from proofloop_packets.evidence.metadata import Limits, Mark
from proofloop_packets.evidence.parsers.findings import Findings, clip

_DELIMITERS = ",;\t|"
_SAMPLE_ROWS = 50
_FIELD_CHARACTERS = 1 << 20


class TableFacts(TypedDict, total=False):
    """Facts of a delimited table."""

    encoding: str
    """Python's name of the character encoding it was read with."""
    delimiter: str
    columns: list[str]
    """The first row, clipped; at most ``Limits.items`` names."""
    column_count: int
    rows: int
    """Records after the first row; with ``oversized_content``, those counted until the limit."""


def find_delimiter(text: str, *, complete: bool = True) -> str | None:
    """The delimiter with which the text is a table, or None.

    A table has at least two rows and two columns, and every sampled row has as many columns as the first;
    two columns want three rows, because prose has commas too. ``complete`` tells that the text is not cut.
    """
    lines = text.splitlines(keepends=True)
    if not complete:
        lines = lines[:-1]
    best: tuple[int, str] | None = None
    for delimiter in _DELIMITERS:
        width = _common_width(lines, delimiter)
        if width and (best is None or width > best[0]):
            best = (width, delimiter)
    return best[1] if best else None


def inspect_table(file: BinaryIO, limits: Limits) -> Findings:
    """Count rows and columns while reading line by line, in constant memory."""
    findings = Findings()
    encoding = _encoding(file)
    text = io.TextIOWrapper(file, encoding=encoding, errors="replace", newline="")
    sample = text.read(65_536)
    delimiter = find_delimiter(sample, complete=len(sample) < 65_536) or ","
    text.seek(0)
    csv.field_size_limit(_FIELD_CHARACTERS)
    rows = csv.reader(text, delimiter=delimiter)
    count = 0
    try:
        header = next(rows, [])
        findings.add(
            TableFacts(
                encoding=encoding,
                delimiter=delimiter,
                columns=[clip(name) for name in header[: limits.items]],
                column_count=len(header),
            )
        )
        widths: Counter[int] = Counter()
        for row in islice(rows, limits.rows):
            if row:
                count += 1
                widths[len(row)] += 1
        if next(rows, None) is not None:
            findings.mark(Mark.OVERSIZED_CONTENT)
        if set(widths) - {len(header)}:
            findings.mark(Mark.MALFORMED)
    except csv.Error:  # a field longer than the limit, or NUL bytes
        findings.mark(Mark.MALFORMED)
    findings.add(TableFacts(rows=count))
    text.detach()
    return findings


def _common_width(lines: list[str], delimiter: str) -> int | None:
    try:
        rows = [row for row in islice(csv.reader(lines, delimiter=delimiter), _SAMPLE_ROWS) if row]
    except csv.Error:
        return None
    widths = {len(row) for row in rows}
    if len(widths) != 1:
        return None
    width = widths.pop()
    return width if width >= 2 and len(rows) >= (3 if width == 2 else 2) else None


def _encoding(file: BinaryIO) -> str:
    """UTF-16 by its mark, UTF-8 where the whole file is, else Windows-1252; leaves the file at its start."""
    head = file.read(2)
    file.seek(0)
    if head in {codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE}:
        return "utf-16"
    decoder = codecs.getincrementaldecoder("utf-8")()
    encoding = "utf-8-sig" if head == codecs.BOM_UTF8[:2] else "utf-8"
    try:
        while chunk := file.read(1 << 16):
            decoder.decode(chunk)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        encoding = "cp1252"
    file.seek(0)
    return encoding
