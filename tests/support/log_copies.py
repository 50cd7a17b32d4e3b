"""Copies of logs as plain files, written from nothing but the layout's description, C2SP tlog-tiles."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from proofloop_verifier.leaf import ClaimLink, Leaf, Outcome
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


def write_copy(folder: Path, entries: Sequence[bytes]) -> Path:
    """Write a log of at most 256,000 entries as files."""
    _write_level(folder / "tile" / "entries", [bundle_of(entries[at : at + 256]) for at in range(0, len(entries), 256)])
    if rest := len(entries) % 256:
        _make_partial(folder / "tile" / "entries" / f"{len(entries) // 256:03}", rest)
    level, hashes = 0, [leaf_hash(entry) for entry in entries]
    while hashes:
        tiles = [hashes[at : at + 256] for at in range(0, len(hashes), 256)]
        _write_level(folder / "tile" / str(level), [b"".join(tile) for tile in tiles])
        if rest := len(hashes) % 256:
            _make_partial(folder / "tile" / str(level) / f"{len(hashes) // 256:03}", rest)
        level, hashes = level + 1, [root_of(tile) for tile in tiles if len(tile) == 256]
    (folder / "checkpoint").write_bytes(note_of(entries))
    return folder


def _write_level(folder: Path, contents: Sequence[bytes]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number, content in enumerate(contents):
        (folder / f"{number:03}").write_bytes(content)


def _make_partial(file: Path, width: int) -> None:
    folder = file.with_name(f"{file.name}.p")
    folder.mkdir(exist_ok=True)
    file.rename(folder / str(width))
