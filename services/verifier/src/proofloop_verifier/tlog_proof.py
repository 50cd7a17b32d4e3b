"""A proof that an entry stands in a log, as one text file: C2SP tlog-proof."""

from __future__ import annotations

import re
from base64 import b64encode
from dataclasses import dataclass
from typing import TYPE_CHECKING

from proofloop_verifier import merkle
from proofloop_verifier.merkle import HASH_SIZE, ProofError
from proofloop_verifier.note import Checkpoint, Note, NoteError, VerifierKey, decode_base64

if TYPE_CHECKING:
    from collections.abc import Iterable

HEADER = "c2sp.org/tlog-proof@v1"
MAX_PROOF_BYTES = 1_200_000
"""Longer files are refused unread: a note, 63 hashes and the longest entry fit."""

_INDEX = re.compile(r"index (0|[1-9][0-9]{0,18})")
_MAX_HASHES = 63


@dataclass(frozen=True, slots=True)
class TlogProof:
    """An entry's place in the tree that a checkpoint signs. Until `verify` has passed, anybody's claim."""

    index: int
    hashes: tuple[bytes, ...]
    """From the leaf's sibling up (RFC 6962, 2.1.1)."""
    checkpoint: Note
    extra: bytes = b""
    """Whatever the proof's author added; nothing proves it by itself. Our logs put the entry there."""

    @classmethod
    def parse(cls, data: bytes) -> TlogProof:
        """Read a proof; ProofError says which line is malformed. Nothing is verified yet."""
        if len(data) > MAX_PROOF_BYTES:
            raise ProofError(f"the proof is longer than {MAX_PROOF_BYTES} bytes")
        head, blank, note = data.partition(b"\n\n")
        try:
            header, *lines = head.decode("ascii").split("\n")
        except UnicodeDecodeError as error:
            raise ProofError(f"the proof is not ASCII at byte {error.start}") from error
        if header != HEADER:
            raise ProofError(f"the first line of a proof is {HEADER!r}, not {header[:80]!r}")
        if not blank:
            raise ProofError("the proof lacks an empty line and the checkpoint after it")
        try:
            extra = _take_extra(lines)
            index = _INDEX.fullmatch(lines[0]) if lines else None
            if index is None:
                raise ProofError("the line 'index', with a plain decimal number, is missing")
            hashes = tuple(decode_base64(line, f"hash {number}") for number, line in enumerate(lines[1:]))
            checkpoint = Note.parse(note)
        except NoteError as error:
            raise ProofError(str(error)) from error
        if len(hashes) > _MAX_HASHES or any(len(digest) != HASH_SIZE for digest in hashes):
            raise ProofError(f"a proof has at most {_MAX_HASHES} hashes of {HASH_SIZE} bytes")
        return cls(int(index[1]), hashes, checkpoint, extra)

    def to_bytes(self) -> bytes:
        """The proof as it is kept and sent, in files that end in `.tlog-proof`."""
        lines = [HEADER]
        if self.extra:
            lines.append(f"extra {b64encode(self.extra).decode()}")
        lines.append(f"index {self.index}")
        lines += (b64encode(digest).decode() for digest in self.hashes)
        return "".join(f"{line}\n" for line in (*lines, "")).encode() + self.checkpoint.to_bytes()

    def verify(self, leaf_hash: bytes, trusted: Iterable[VerifierKey]) -> tuple[Checkpoint, VerifierKey]:
        """The checkpoint that proves the leaf, and the trusted key that signed it.

        ProofError where the checkpoint is none, none of the trusted keys of its origin signed it, or its tree does not
        hold this leaf hash at the index.
        """
        try:
            checkpoint = Checkpoint.parse(self.checkpoint.text)
            signers = self.checkpoint.verify(key for key in trusted if key.name == checkpoint.origin)
        except NoteError as error:
            raise ProofError(str(error)) from error
        if not signers:
            raise ProofError(f"no trusted key of {checkpoint.origin!r} signed the checkpoint")
        merkle.verify_inclusion(self.index, checkpoint.size, leaf_hash, self.hashes, checkpoint.root)
        return checkpoint, signers[0]


def _take_extra(lines: list[str]) -> bytes:
    if not lines or not lines[0].startswith("extra "):
        return b""
    extra = decode_base64(lines.pop(0).removeprefix("extra "), "extra")
    if not extra:
        raise ProofError("the line 'extra' is empty")
    return extra
