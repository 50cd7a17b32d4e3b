"""JSON, markup and plain text."""

from __future__ import annotations

import json
import re
from typing import BinaryIO, TypedDict

from proofloop_packets.evidence.metadata import Limits, Mark
from proofloop_packets.evidence.parsers.findings import Findings, excerpt

_ACTIVE_MARKUP = re.compile(
    rb"<script\b|\bon[a-z]{3,20}\s*=\s*[\"']|javascript:|<(iframe|object|embed)\b", re.IGNORECASE
)


class TextFacts(TypedDict, total=False):
    """Facts of a text."""

    text: str
    """Its beginning."""


def inspect_text(file: BinaryIO, limits: Limits) -> Findings:
    """The beginning of a plain text."""
    findings = Findings()
    head = file.read(16 * limits.text_characters)
    findings.add(TextFacts(text=excerpt(_decode(head), limits.text_characters)))
    return findings


def inspect_json(file: BinaryIO, limits: Limits) -> Findings:
    """Whether it parses (RFC 8259), and its beginning."""
    findings = inspect_text(file, limits)
    content = _whole(file, findings, limits)
    try:
        json.loads(content)
    except RecursionError:
        findings.mark(Mark.OVERSIZED_CONTENT)
    except ValueError:  # no JSON, or not in a Unicode encoding
        findings.mark(Mark.MALFORMED)
    return findings


def inspect_markup(file: BinaryIO, limits: Limits) -> Findings:
    """HTML and SVG: whether a browser would run something."""
    findings = Findings()
    if _ACTIVE_MARKUP.search(_whole(file, findings, limits)):
        findings.mark(Mark.ACTIVE_CONTENT)
    return findings


def _whole(file: BinaryIO, findings: Findings, limits: Limits) -> bytes:
    file.seek(0)
    content = file.read(limits.whole_file_bytes + 1)
    if len(content) > limits.whole_file_bytes:
        findings.mark(Mark.OVERSIZED_CONTENT)
    return content[: limits.whole_file_bytes]


def _decode(head: bytes) -> str:
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return head.decode("utf-16", errors="replace")
    try:
        return head.decode("utf-8-sig")
    except UnicodeDecodeError:
        return head.decode("cp1252", errors="replace")
