"""The media type of a file, from its first bytes alone: a name or a declared type proves nothing."""

from __future__ import annotations

import json
import re

import filetype

from proofloop_packets.evidence.parsers.delimited import find_delimiter

SNIFF_BYTES = 65_536
"""How much of a file's beginning `sniff` wants to see; less only where the file is shorter."""

UNKNOWN = "application/octet-stream"
TEXT = "text/plain"
CSV = "text/csv"
TSV = "text/tab-separated-values"
JSON = "application/json"
EMAIL = "message/rfc822"
PDF = "application/pdf"
ZIP = "application/zip"
HTML = "text/html"
SVG = "image/svg+xml"
XML = "application/xml"
RTF = "application/rtf"
OLE = "application/x-ole-storage"
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
PPTX = "application/vnd.openxmlformats-officedocument.presentationml.presentation"

_OOXML_PARTS = {b"xl/": XLSX, b"word/": DOCX, b"ppt/": PPTX}
_OOXML_PACKAGE = (b"[Content_Types].xml", b"_rels/", b"docProps/")
_ZIP_LOCAL_HEADER = b"PK\x03\x04"
_ZIP_EMPTY = b"PK\x05\x06"
_OLE_HEADER = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_HEADER_FIELD = re.compile(rb"([!-9;-~]{1,76}):[ \t]?[^\r\n]*(?:\r?\n[ \t][^\r\n]*)*(?:\r?\n|$)")
_MAIL_FIELDS = {
    b"from",
    b"to",
    b"date",
    b"subject",
    b"message-id",
    b"received",
    b"mime-version",
    b"return-path",
}
_MAIL_ORIGIN = {b"from", b"date", b"received"}
_MARKUP = (
    (re.compile(r"\s*(<!--.*?-->\s*)*<(!doctype\s+html|html|head|body)\b", re.IGNORECASE | re.DOTALL), HTML),
    (
        re.compile(r"\s*(<\?xml[^>]*>\s*)?(<!--.*?-->\s*|<!doctype[^>]*>\s*)*<svg\b", re.IGNORECASE | re.DOTALL),
        SVG,
    ),
    (re.compile(r"\s*<\?xml\b"), XML),
)
_JSON_START = re.compile(r'\s*(\{\s*["}]|\[\s*[\[{"\]\d-])')
_BINARY_CONTROLS = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f]")


def sniff(head: bytes) -> str:
    """The media type of the file that begins with ``head`` (`SNIFF_BYTES` of it, or all of a shorter one).

    Plain text that fits nothing narrower is ``text/plain``; bytes that fit nothing at all are
    ``application/octet-stream``. Never raises.
    """
    head = head[:SNIFF_BYTES]
    if b"%PDF-" in head[:1024]:  # ISO 32000-1, annex H: readers accept the header anywhere in the first 1024
        return PDF
    if head.startswith((_ZIP_LOCAL_HEADER, _ZIP_EMPTY)):
        return _sniff_zip(head)
    if head.startswith(_OLE_HEADER):
        return OLE
    if _is_mail(head):
        return EMAIL
    text = decode_text(head)
    if text is not None:
        return _sniff_text(text, complete=len(head) < SNIFF_BYTES)
    guess = filetype.guess(head)
    return str(guess.mime) if guess else UNKNOWN


def decode_text(head: bytes) -> str | None:
    """The text of a file's beginning, or None where it is no text.

    UTF-16 only with a byte order mark; UTF-8; else Windows-1252, the usual encoding of old exports, which
    must then have no control characters and mostly letters.
    """
    if not head:
        return None
    for mark, encoding in (
        (b"\xff\xfe", "utf-16-le"),
        (b"\xfe\xff", "utf-16-be"),
        (b"\xef\xbb\xbf", "utf-8"),
    ):
        if head.startswith(mark):
            text = head[len(mark) :].decode(encoding, errors="ignore")
            return None if _BINARY_CONTROLS.search(text) else text
    text = head.decode("utf-8", errors="replace")
    if "�" in text[:-4]:  # a character cut at the end of the head is no fault
        text = head.decode("cp1252", errors="replace")
        letters = sum(char.isascii() or char.isalpha() for char in text)
        if "�" in text or letters < 0.95 * len(text):
            return None
    return None if _BINARY_CONTROLS.search(text) else text


def _sniff_zip(head: bytes) -> str:
    names = [head[at + 30 : at + 30 + 64] for at in _positions(head, _ZIP_LOCAL_HEADER)]
    if names and names[0].startswith(b"mimetype"):  # OpenDocument and EPUB name their type in the first entry
        guess = filetype.guess(head)
        return str(guess.mime) if guess else ZIP
    if any(name.startswith(_OOXML_PACKAGE) for name in names):
        for part, media_type in _OOXML_PARTS.items():
            if any(name.startswith(part) for name in names):
                return media_type
    return ZIP


def _positions(data: bytes, needle: bytes) -> list[int]:
    return [match.start() for match in re.finditer(re.escape(needle), data)]


def _is_mail(head: bytes) -> bool:
    """RFC 5322: a block of header fields, two of which every message has."""
    position = head.find(b"\n") + 1 if head.startswith(b"From ") else 0  # the line an mbox file puts first
    names = set()
    while field := _HEADER_FIELD.match(head, position):
        names.add(field[1].lower())
        position = field.end()
    ended = position >= len(head) or head.startswith((b"\n", b"\r\n"), position)
    return ended and len(names & _MAIL_FIELDS) >= 2 and bool(names & _MAIL_ORIGIN)


def _sniff_text(text: str, *, complete: bool) -> str:
    if text.startswith("{\\rtf"):
        return RTF
    for pattern, media_type in _MARKUP:
        if pattern.match(text):
            return media_type
    if _is_json(text, complete=complete):
        return JSON
    match find_delimiter(text, complete=complete):
        case None:
            return TEXT
        case "\t":
            return TSV
        case _:
            return CSV


def _is_json(text: str, *, complete: bool) -> bool:
    if not _JSON_START.match(text):
        return False
    if not complete:
        return True
    try:
        json.loads(text)
    except ValueError:
        return text.lstrip().startswith("{")  # an object that is broken: still meant as JSON
    except RecursionError:  # nesting deeper than the interpreter's stack: no reader's JSON
        return True
    return True
