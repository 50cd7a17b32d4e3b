"""Names of deliverables that every file system and every HTTP client takes."""

import re
import unicodedata
from datetime import date
from urllib.parse import quote

from proofloop_exports.workflows.records import Format, Template

_UNSAFE = re.compile(r"[^\w.-]+")
_EXTENSION = re.compile(r"\.[A-Za-z0-9]{1,5}$")
_MAX_STEM_BYTES = 150


def file_name(document_name: str, template: Template, day: date, format_: Format) -> str:
    """Return `<document>_<template>_<date>.<ext>`, at most 200 bytes of UTF-8.

    The document is its name without folders and extension, in Unicode's composed form, with each run of
    anything but letters, digits, `_`, `.` and `-` turned into one `-`, cut to 150 bytes; `document` if nothing
    is left.
    """
    name = unicodedata.normalize("NFC", document_name).replace("\\", "/").rpartition("/")[2]
    stem = _UNSAFE.sub("-", _EXTENSION.sub("", name))
    stem = stem.encode()[:_MAX_STEM_BYTES].decode(errors="ignore").strip("-._") or "document"
    return f"{stem}_{template.name.lower()}_{day.isoformat()}.{format_.name.lower()}"


def content_disposition(name: str) -> str:
    """Return the header that makes a browser save a download under its name (RFC 6266 and RFC 8187)."""
    plain = name.encode("ascii", errors="replace").decode().replace("?", "_")
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"
