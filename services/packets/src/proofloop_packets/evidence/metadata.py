"""What an inspection tells about one file of evidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

Fact: TypeAlias = str | int | float | Sequence["Fact"] | Mapping[str, "Fact"]
"""A JSON value without null and booleans: what is not known is left out."""


class Mark(StrEnum):
    """A warning about a file. The file stays evidence, byte for byte; a mark never refuses it."""

    ENCRYPTED = "encrypted"
    """A password or key is needed to read it, or a part of it."""
    TRUNCATED = "truncated"
    """The end its format demands is missing: it was cut off, or is still being written."""
    MALFORMED = "malformed"
    """It breaks the rules of its format, so a reader may refuse it or show something else."""
    OVERSIZED_CONTENT = "oversized_content"
    """Reading all of it would take more memory, time or expanded size than the limits allow; facts
    gathered until then are kept."""
    ACTIVE_CONTENT = "active_content"
    """It carries something a viewer may run: a script, a macro, a launch action, a program."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one inspection. What exceeds them is marked ``oversized_content``, never refused."""

    seconds: float = 20.0
    """Wall-clock and processor time."""
    memory_bytes: int = 1 << 30
    """Address space of the inspecting process."""
    whole_file_bytes: int = 64 << 20
    """Largest file of a format that can only be parsed as a whole (e-mail, JSON, HTML)."""
    expanded_bytes: int = 128 << 20
    """Largest sum of uncompressed sizes an archive or workbook may declare."""
    pixels: int = 64_000_000
    """Largest image that is decoded to see whether it is complete."""
    rows: int = 1_000_000
    """Most rows of a table that are counted."""
    items: int = 100
    """Most names in any list: columns, sheets, attachments."""
    text_characters: int = 4_000
    """Length of the text excerpt."""
    pdf_pages: int = 20
    """Most PDF pages whose text is read for the excerpt."""
    pdf_objects: int = 50_000
    """Most PDF objects searched for active content."""


@dataclass(frozen=True, slots=True)
class EvidenceMetadata:
    """Type, facts and marks of one file.

    The keys of ``facts`` depend on the type; each parser documents its own in a ``TypedDict``.
    """

    media_type: str
    facts: Mapping[str, Fact] = field(default_factory=dict)
    marks: tuple[Mark, ...] = ()

    def as_json(self) -> dict[str, Fact]:
        """The facts as a JSON object of strings, numbers, lists and objects, at most three deep."""
        return dict(self.facts)
