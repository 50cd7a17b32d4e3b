"""An entry as a line of JSON: the form in which a packet has its audit entries, so that one reader reads both."""

import json
from collections.abc import Mapping
from typing import Any

from proofloop_audit.log.domain import PersonalPart
from proofloop_audit.log.store import EntryRow


def write(row: EntryRow, part: PersonalPart) -> bytes:
    """Return the line: index, leaf, leaf hash, and the personal part with its salt unless it is erased.

    `proof` is empty, for a whole log is proven by all its leaves together.
    """
    personal = [{"pseudonym": part.pseudonym, "salt": part.salt.hex(), "part": part.part.decode()}] if part.part else []
    return dump(
        {
            "index": row.index,
            "leaf": row.leaf.decode(),
            "leaf_hash": row.leaf_hash.hex(),
            "proof": [],
            "personal": personal,
        }
    )


def dump(members: Mapping[str, Any]) -> bytes:
    """Return one line of JSON Lines."""
    return json.dumps(members, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
