"""File names that are safe on every desk a packet may land on, and still read like the originals."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_NAME_BYTES = 120
"""Of UTF-8. With folders and a packet id in front, paths stay below Windows' 260 characters."""

_FALLBACK = "evidence"
_MAX_EXTENSION_BYTES = 20
_RESERVED_CHARACTERS = re.compile(r'[<>:"|?*%]')  # Windows' own, and % which bag readers decode differently
_RESERVED_NAMES = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³])(\.|$)", re.IGNORECASE)
_INVISIBLE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
"""Control, format (right-to-left overrides among them), surrogate, private, unassigned, separators."""


def safe_name(original: str) -> str:
    """The file name in ``original``, safe to unpack anywhere.

    Folders are cut off, invisible characters removed, characters reserved on Windows replaced by ``_``; the
    rest is normalised to NFC and kept. A name that would be hidden, look like an option or mean a device gets
    ``_`` in front. Never longer than `MAX_NAME_BYTES`; the extension survives shortening.
    """
    name = re.split(r"[/\\]", original)[-1]
    name = "".join(char for char in unicodedata.normalize("NFC", name) if unicodedata.category(char) not in _INVISIBLE)
    name = " ".join(_RESERVED_CHARACTERS.sub("_", name).split()).rstrip(". ")
    if not name:
        return _FALLBACK
    if name.startswith((".", "-", "~")) or _RESERVED_NAMES.match(name):
        name = "_" + name
    return _fit(name)


def unique_names(originals: Iterable[str]) -> list[str]:
    """A safe name for each original, in order; no two are one file to a system that ignores case.

    A name that is taken gets `` (2)``, `` (3)``, … before its extension. The same originals in the same order
    always yield the same names.
    """
    taken: set[str] = set()
    names: list[str] = []
    for original in originals:
        wanted = safe_name(original)
        name, copy = wanted, 1
        while _folded(name) in taken:
            copy += 1
            name = _fit(wanted, f" ({copy})")
        taken.add(_folded(name))
        names.append(name)
    return names


def _folded(name: str) -> str:
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())


def _fit(name: str, suffix: str = "") -> str:
    """``name`` with ``suffix`` before its extension, shortened in the middle to `MAX_NAME_BYTES`."""
    stem, dot, extension = name.rpartition(".")
    if not stem or len(extension.encode()) > _MAX_EXTENSION_BYTES or " " in extension:
        stem, dot, extension = name, "", ""
    room = MAX_NAME_BYTES - len((suffix + dot + extension).encode())
    return stem.encode()[:room].decode(errors="ignore").rstrip(". ") + suffix + dot + extension
