"""An entry as a line of JSON: the form in which a packet has its audit entries, so that one reader reads both."""

import json
from collections.abc import Mapping
from typing import Any

from proofloop_audit.log.domain import Entry


def write(entry: Entry) -> bytes:
    """Return the line: index, leaf, leaf hash, and what of the personal parts is not erased, with their salts.

    `proof` is empty, for a whole log is proven by all its leaves together.
    """
    return dump(
        {
            "index": entry.index,
            "leaf": entry.leaf_bytes.decode(),
            "leaf_hash": entry.leaf_hash.hex(),
            "proof": [],
            "personal": [
                {"pseudonym": part.pseudonym, "salt": part.salt.hex(), "part": part.part.decode()}
                for part in entry.parts
                if part.part
            ],
        }
    )


def dump(members: Mapping[str, Any]) -> bytes:
    """Return one line of JSON Lines."""
    return json.dumps(members, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
