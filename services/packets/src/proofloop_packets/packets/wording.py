"""How the summary writes texts, times, amounts and names: printable and bounded in length."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from proofloop_packets.packets.glyphs import printable

if TYPE_CHECKING:
    from proofloop_packets.packets.snapshot import Money

LINE = 300
"""Characters of a name or value."""
LONG_LINE = 600
"""Characters of a list or an instruction."""
_PARAGRAPH = 4_000
_SPELLINGS = {
    "ai": "AI",
    "asin": "ASIN",
    "bol": "BOL",
    "fba": "FBA",
    "fnsku": "FNSKU",
    "id": "ID",
    "md5": "MD5",
    "pdf": "PDF",
    "po": "PO",
    "sha256": "SHA-256",
    "sku": "SKU",
    "url": "URL",
}


def line(text: str, length: int = LINE) -> str:
    """One printable line of at most ``length`` characters."""
    flat = printable(" ".join(text[: 4 * length].split()))
    return flat if len(flat) <= length else flat[: length - 1] + "…"


def paragraph(text: str) -> str:
    """Printable text with its line ends, clipped with a note where it is very long."""
    shown = printable(text)
    if len(shown) <= _PARAGRAPH:
        return shown
    return f"{shown[:_PARAGRAPH]}… (shortened here; packet.json holds all {len(text):,} characters)"


def moment(time: str) -> str:
    """``2026-03-02 16:05:08 UTC`` for an RFC 3339 time."""
    return f"{datetime.fromisoformat(time).astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def money(value: Money) -> str:
    """``478.80 USD``."""
    return line(f"{value['amount']} {value['currency']}")


def words(name: str) -> str:
    """``fba_shipment_id`` as ``FBA shipment ID``."""
    parts = [_SPELLINGS.get(part, part) for part in name.replace(".", "_").split("_")]
    text = line(" ".join(parts))
    return text[:1].upper() + text[1:]
