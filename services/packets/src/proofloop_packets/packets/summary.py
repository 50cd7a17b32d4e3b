"""Set the PDF summary of a packet: PDF/A-3b (ISO 19005-3) with ``packet.json`` attached.

Everything printed comes from ``packet.json``. The layout (``summary.typ``) reads it as data, which the
typesetter never parses as markup. Only the typesetter's own fonts are used and every time is the cut-off's,
so the same snapshot gives the same bytes on any machine.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import typst

from proofloop_packets.packets.display import displayed, encoded

if TYPE_CHECKING:
    from collections.abc import Mapping

    from proofloop_packets.packets.snapshot import Snapshot

_LAYOUT = files(__package__).joinpath("summary.typ").read_bytes()


def render_summary(packet_json: bytes, thumbnails: Mapping[str, bytes]) -> bytes:
    """The unsigned PDF of the snapshot in ``packet_json``, whose exact bytes are attached.

    ``thumbnails`` holds JPEG pictures by evidence id, as `thumbnail_in_process` makes them; evidence without
    one is described in words alone. Takes a second of processor time for a long claim: call it in a thread.
    """
    snapshot: Snapshot = json.loads(packet_json)
    pictures = {evidence_id: f"{number}.jpg" for number, evidence_id in enumerate(sorted(thumbnails))}
    model = displayed(snapshot, pictures) | {"snapshot_sha256": hashlib.sha256(packet_json).hexdigest()}
    with tempfile.TemporaryDirectory(prefix="proofloop-summary-") as folder:
        root = Path(folder)
        (root / "summary.typ").write_bytes(_LAYOUT)
        (root / "packet.json").write_bytes(packet_json)
        (root / "display.json").write_bytes(encoded(model))
        for evidence_id, name in pictures.items():
            (root / name).write_bytes(thumbnails[evidence_id])
        return typst.compile(
            root / "summary.typ",
            root=root,
            ignore_system_fonts=True,
            pdf_standards="a-3b",
            # PDF dates know no fractions of a second.
            timestamp=datetime.fromisoformat(snapshot["cutoff_time"]).astimezone(UTC).replace(microsecond=0),
        )
