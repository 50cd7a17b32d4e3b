"""Inspect a file of evidence without trusting it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, BinaryIO, TypeAlias

from proofloop_packets.evidence import sniffing
from proofloop_packets.evidence.confinement import (
    ChildCrashedError,
    ChildExhaustedError,
    run_confined,
    serve_confined,
)
from proofloop_packets.evidence.metadata import EvidenceMetadata, Limits, Mark
from proofloop_packets.evidence.parsers.delimited import inspect_table
from proofloop_packets.evidence.parsers.findings import Findings
from proofloop_packets.evidence.parsers.image import inspect_image
from proofloop_packets.evidence.parsers.mail import inspect_mail
from proofloop_packets.evidence.parsers.office import (
    inspect_archive,
    inspect_document,
    inspect_ole,
    inspect_workbook,
)
from proofloop_packets.evidence.parsers.pdf import inspect_pdf
from proofloop_packets.evidence.parsers.text import inspect_json, inspect_markup, inspect_text

if TYPE_CHECKING:
    from pathlib import Path

Parser: TypeAlias = Callable[[BinaryIO, Limits], Findings]

_PARSERS: dict[str, Parser] = {
    sniffing.PDF: inspect_pdf,
    sniffing.EMAIL: inspect_mail,
    sniffing.CSV: inspect_table,
    sniffing.TSV: inspect_table,
    sniffing.XLSX: inspect_workbook,
    sniffing.DOCX: inspect_document,
    sniffing.PPTX: inspect_document,
    sniffing.ZIP: inspect_archive,
    sniffing.OLE: inspect_ole,
    sniffing.JSON: inspect_json,
    sniffing.HTML: inspect_markup,
    sniffing.SVG: inspect_markup,
    sniffing.TEXT: inspect_text,
    "image/bmp": inspect_image,
    "image/gif": inspect_image,
    "image/jpeg": inspect_image,
    "image/png": inspect_image,
    "image/apng": inspect_image,
    "image/tiff": inspect_image,
    "image/webp": inspect_image,
}
_PROGRAMS = {
    "application/x-msdownload",
    "application/x-executable",
    "application/x-shockwave-flash",
    "application/wasm",
}


def inspect(file: BinaryIO, limits: Limits) -> EvidenceMetadata:
    """Sniff the type and read the metadata, in this process.

    ``file`` is seekable and binary. Raises whatever a parser raises on hostile bytes beyond what its library
    documents: services call `inspect_in_process`.
    """
    file.seek(0)
    media_type = sniffing.sniff(file.read(sniffing.SNIFF_BYTES))
    file.seek(0)
    parser = _PARSERS.get(media_type)
    findings = parser(file, limits) if parser else Findings()
    if media_type in _PROGRAMS:
        findings.mark(Mark.ACTIVE_CONTENT)
    return EvidenceMetadata(media_type, findings.facts, tuple(sorted(findings.marks)))


async def inspect_in_process(path: Path, limits: Limits) -> EvidenceMetadata:
    """Sniff the type and read the metadata of the file at ``path`` in a process that may die.

    A parser that crashes yields the mark ``malformed``; one that exceeds time or memory,
    ``oversized_content``; both without facts. Raises OSError only where the file cannot be opened or no
    process be started.
    """
    try:
        output = await run_confined(__name__, path, limits)
    except ChildExhaustedError:
        return EvidenceMetadata(await asyncio.to_thread(_sniff_file, path), marks=(Mark.OVERSIZED_CONTENT,))
    except ChildCrashedError:
        return EvidenceMetadata(await asyncio.to_thread(_sniff_file, path), marks=(Mark.MALFORMED,))
    found = json.loads(output)
    return EvidenceMetadata(found["media_type"], found["facts"], tuple(Mark(mark) for mark in found["marks"]))


def _sniff_file(path: Path) -> str:
    with path.open("rb") as file:
        return sniffing.sniff(file.read(sniffing.SNIFF_BYTES))


def _answer(file: BinaryIO, limits: Limits) -> bytes:
    return json.dumps(asdict(inspect(file, limits))).encode()


if __name__ == "__main__":
    serve_confined(_answer)
