"""PDF documents (ISO 32000)."""

from __future__ import annotations

import io
from itertools import islice
from typing import TYPE_CHECKING, BinaryIO, TypedDict

from pypdf import PasswordType, PdfReader
from pypdf.errors import FileNotDecryptedError, LimitReachedError, PyPdfError
from pypdf.generic import ArrayObject, DictionaryObject, IndirectObject, PdfObject

from proofloop_packets.evidence.metadata import Limits, Mark
from proofloop_packets.evidence.parsers.findings import Findings, clip, excerpt

if TYPE_CHECKING:
    from collections.abc import Iterator

_ACTIVE_ACTIONS = {"/JavaScript", "/Launch", "/ImportData"}
_ACTIVE_KEYS = {"/JS", "/XFA"}
_END_MARKER = b"%%EOF"
_TAIL_BYTES = 2_048


class PdfFacts(TypedDict, total=False):
    """Facts of a PDF."""

    pages: int
    title: str | None
    producer: str | None
    """The program that wrote the file, or else the one that made the document."""
    text: str
    """Beginning of the text layer; absent in a scan without one."""


def inspect_pdf(file: BinaryIO, limits: Limits) -> Findings:
    """Page count, document information, text excerpt; marks for locks, cuts and active content."""
    findings = Findings()
    size = file.seek(0, io.SEEK_END)
    file.seek(max(0, size - _TAIL_BYTES))
    if _END_MARKER not in file.read():
        findings.mark(Mark.TRUNCATED)
    file.seek(0)
    try:
        reader = PdfReader(file)
        if reader.is_encrypted and reader.decrypt("") == PasswordType.NOT_DECRYPTED:
            findings.mark(Mark.ENCRYPTED)
            return findings
        _describe(reader, findings, limits)
        if _has_active_content(reader, findings, limits):
            findings.mark(Mark.ACTIVE_CONTENT)
    except FileNotDecryptedError:
        findings.mark(Mark.ENCRYPTED)
    except LimitReachedError:
        findings.mark(Mark.OVERSIZED_CONTENT)
    except PyPdfError:
        findings.mark(Mark.MALFORMED)
    return findings


def _describe(reader: PdfReader, findings: Findings, limits: Limits) -> None:
    findings.add(PdfFacts(pages=reader.get_num_pages()))
    if information := reader.metadata:
        findings.add(
            PdfFacts(
                title=clip(information.title or ""),
                producer=clip(information.producer or information.creator or ""),
            )
        )
    text = ""
    for page in islice(reader.pages, limits.pdf_pages):
        text += page.extract_text() + "\n"
        if len(text) >= limits.text_characters:
            break
    findings.add(PdfFacts(text=excerpt(text, limits.text_characters)))


def _has_active_content(reader: PdfReader, findings: Findings, limits: Limits) -> bool:
    """Look at every object the cross-reference table names: an action may hang anywhere."""
    seen = 0
    for reference in _references(reader):
        pending: list[PdfObject | None] = [reader.get_object(reference)]
        while pending:
            seen += 1
            if seen > limits.pdf_objects:
                findings.mark(Mark.OVERSIZED_CONTENT)
                return False
            match pending.pop():
                case DictionaryObject() as dictionary:
                    if dictionary.get("/S") in _ACTIVE_ACTIONS or _ACTIVE_KEYS & dictionary.keys():
                        return True
                    pending += [value for value in dictionary.values() if isinstance(value, _CONTAINERS)]
                case ArrayObject() as array:
                    pending += [value for value in array if isinstance(value, _CONTAINERS)]
                case _:
                    continue
    return False


_CONTAINERS = (DictionaryObject, ArrayObject)  # a reference is followed when its own turn comes


def _references(reader: PdfReader) -> Iterator[IndirectObject]:
    numbers = {(number, generation) for generation, offsets in reader.xref.items() for number in offsets}
    numbers |= {(number, 0) for number in reader.xref_objStm}
    return (IndirectObject(number, generation, reader) for number, generation in sorted(numbers))
