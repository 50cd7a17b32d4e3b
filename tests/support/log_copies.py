"""Copies of logs as plain files, written from nothing but the layout's description, C2SP tlog-tiles."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from proofloop_verifier.leaf import ClaimLink, Leaf, Outcome
from proofloop_verifier.log_copy import CopyError, MissingFileError
from proofloop_verifier.merkle import leaf_hash, root_of
from proofloop_verifier.note import Checkpoint, VerifierKey, sign

ORIGIN = "proofloop.local/acme"
SIGNER = Ed25519PrivateKey.from_private_bytes(b"\x01" * 32)
KEY = VerifierKey.of(ORIGIN, SIGNER.public_key())
OTHER_KEY = VerifierKey.of(ORIGIN, Ed25519PrivateKey.from_private_bytes(b"\x02" * 32).public_key())
START = datetime(2026, 1, 2, 3, 4, 5, 678901, UTC)


def leaves(count: int, claims: int = 3, **fields) -> list[Leaf]:
    """Entries of a log, of which all but each fourth belong to one of so many claims, in chains."""
    made: list[Leaf] = []
    ends: dict[str, ClaimLink] = {}
    for number in range(count):
        claim = None
        if number % 4:
            claim = ends.get(claim_id := f"claim-{number % claims}", ClaimLink(claim_id, 0, None))
        leaf = Leaf(
            entry_id=f"0190b5a0-0000-7000-8000-{number:012d}",
            event_time=START,
            append_time=START + timedelta(seconds=number),
            tenant="acme",
            service="packets",
            action="evidence.uploaded",
            outcome=Outcome.SUCCESS,
            entity_type="evidence",
            entity_id=f"evidence-{number}",
            claim=claim,
        )._replace(**fields)
        made.append(leaf)
        if claim:
            ends[claim.claim_id] = ClaimLink(claim.claim_id, claim.sequence + 1, leaf_hash(leaf.to_bytes()))
    return made


def note_of(entries: Sequence[bytes], origin: str = ORIGIN, signer: Ed25519PrivateKey = SIGNER) -> bytes:
    """The signed checkpoint of a log."""
    checkpoint = Checkpoint(origin, len(entries), root_of([leaf_hash(entry) for entry in entries]))
    return sign(checkpoint.to_text(), origin, signer).to_bytes()


def bundle_of(entries: Sequence[bytes]) -> bytes:
    return b"".join(len(entry).to_bytes(2, "big") + entry for entry in entries)


def files_of(entries: Sequence[bytes]) -> dict[str, bytes]:
    """The files of a log of at most 256,000 entries, by their names."""
    bundles = [bundle_of(entries[at : at + 256]) for at in range(0, len(entries), 256)]
    files = _level("entries", bundles, len(entries))
    level, hashes = 0, [leaf_hash(entry) for entry in entries]
    while hashes:
        tiles = [hashes[at : at + 256] for at in range(0, len(hashes), 256)]
        files |= _level(str(level), [b"".join(tile) for tile in tiles], len(hashes))
        level, hashes = level + 1, [root_of(tile) for tile in tiles if len(tile) == 256]
    return files | {"checkpoint": note_of(entries)}


def _level(level: str, contents: Sequence[bytes], items: int) -> dict[str, bytes]:
    full = items // 256
    return {
        f"tile/{level}/{number:03}" + (f".p/{items % 256}" if number == full else ""): content
        for number, content in enumerate(contents)
    }


def write_copy(folder: Path, entries: Sequence[bytes]) -> Path:
    """Write a log of at most 256,000 entries as files."""
    for name, content in files_of(entries).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


class CopyInMemory:
    """The files of a log, as the verifier reads them."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self._files = files

    def read(self, path: str, limit: int) -> bytes:
        if path not in self._files:
            raise MissingFileError
        if len(self._files[path]) > limit:
            raise CopyError(f"it is longer than {limit} bytes")
        return self._files[path]
