"""Signed notes and checkpoints: C2SP signed-note, C2SP tlog-checkpoint, signature type Ed25519."""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from proofloop_verifier.merkle import HASH_SIZE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

MAX_NOTE_BYTES = 1_000_000
"""Longer notes are refused unread."""

MAX_SIGNATURES = 100
"""Notes with more signatures are refused unread; C2SP asks for at least 16."""

_ED25519 = b"\x01"
_KEY_ID_BYTES = 4
_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")
_MAX_SIZE = 2**63 - 1
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")


class NoteError(Exception):
    """A note, checkpoint or key is malformed, or a signature does not hold; the message says which."""


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A public key together with the name it signs under, written `<name>+<key id>+<base64(0x01 || key)>`."""

    name: str
    public_key: bytes
    """Ed25519, 32 bytes (RFC 8032)."""

    def __post_init__(self) -> None:
        _check_name(self.name)
        if len(self.public_key) != HASH_SIZE:
            raise NoteError(f"an Ed25519 key has {HASH_SIZE} bytes, not {len(self.public_key)}")

    @classmethod
    def of(cls, name: str, key: Ed25519PublicKey) -> VerifierKey:
        """The verifier key of `key` under `name`; NoteError for a name that notes do not allow."""
        return cls(name, key.public_bytes_raw())

    @classmethod
    def parse(cls, text: str) -> VerifierKey:
        """Read a verifier key; NoteError unless it is exactly in the form that `str` writes."""
        name, plus, rest = text.partition("+")
        key_id, second_plus, encoded = rest.partition("+")
        if not (plus and second_plus):
            raise NoteError("a verifier key has the form <name>+<key id>+<base64 key>")
        material = decode_base64(encoded, "the verifier key")
        if material[:1] != _ED25519:
            raise NoteError("the verifier key is not of the type Ed25519")
        key = cls(name, material[1:])
        if key_id != key.key_id.hex():
            raise NoteError(f"the key id {key_id} is not that of this name and key, {key.key_id.hex()}")
        return key

    def __str__(self) -> str:
        return f"{self.name}+{self.key_id.hex()}+{b64encode(_ED25519 + self.public_key).decode()}"

    @property
    def key_id(self) -> bytes:
        """Four bytes that say, with the name, which key made a signature; a hint, not a proof."""
        return self._digest()[:_KEY_ID_BYTES]

    @property
    def fingerprint(self) -> str:
        """64 hex digits to compare by eye: SHA-256(name || 0x0A || 0x01 || key); the key id leads them."""
        return self._digest().hex()

    def _digest(self) -> bytes:
        return sha256(self.name.encode() + b"\n" + _ED25519 + self.public_key).digest()

    def verifies(self, text: str, signature: bytes) -> bool:
        """Whether `signature` is this key's signature of the note text."""
        try:
            Ed25519PublicKey.from_public_bytes(self.public_key).verify(signature, text.encode())
        except InvalidSignature:
            return False
        return True


@dataclass(frozen=True, slots=True)
class NoteSignature:
    """One signature line of a note."""

    name: str
    key_id: bytes
    signature: bytes

    @classmethod
    def parse(cls, line: str) -> NoteSignature:
        """Read a line without its newline; NoteError says what is malformed."""
        dash, _, rest = line.partition(" ")
        name, space, encoded = rest.partition(" ")
        if dash != "\N{EM DASH}" or not space:
            raise NoteError(f"not a signature line: {line[:80]!r}")
        _check_name(name)
        data = decode_base64(encoded, f"the signature of {name}")
        if len(data) <= _KEY_ID_BYTES:
            raise NoteError(f"the signature of {name} is too short")
        return cls(name, data[:_KEY_ID_BYTES], data[_KEY_ID_BYTES:])

    def __str__(self) -> str:
        return f"\N{EM DASH} {self.name} {b64encode(self.key_id + self.signature).decode()}"


@dataclass(frozen=True, slots=True)
class Note:
    """A text and the signatures of it. Until `verify` has passed, the text is anybody's claim."""

    text: str
    """Ends in a newline, which is signed too."""
    signatures: tuple[NoteSignature, ...]

    def __post_init__(self) -> None:
        if not self.text.endswith("\n"):
            raise NoteError("the text of a note must end in a newline")
        if _CONTROL.search(self.text):
            raise NoteError("a note must not hold control characters")
        if not 0 < len(self.signatures) <= MAX_SIGNATURES:
            raise NoteError(f"a note has 1 to {MAX_SIGNATURES} signatures, not {len(self.signatures)}")

    @classmethod
    def parse(cls, data: bytes) -> Note:
        """Read a note; NoteError says what is malformed. No signature is checked yet."""
        if len(data) > MAX_NOTE_BYTES:
            raise NoteError(f"the note is longer than {MAX_NOTE_BYTES} bytes")
        try:
            note = data.decode()
        except UnicodeDecodeError as error:
            raise NoteError(f"the note is not UTF-8 at byte {error.start}") from error
        text, blank, signatures = note.rpartition("\n\n")
        if not blank or not signatures.endswith("\n"):
            raise NoteError("the note lacks a text, a blank line and signature lines that end in newlines")
        lines = signatures[:-1].split("\n")
        if len(lines) > MAX_SIGNATURES:
            raise NoteError(f"a note has at most {MAX_SIGNATURES} signatures, not {len(lines)}")
        return cls(text + "\n", tuple(NoteSignature.parse(line) for line in lines))

    def to_bytes(self) -> bytes:
        """The note as it is kept and sent."""
        return "".join([self.text, "\n", *(f"{signature}\n" for signature in self.signatures)]).encode()

    def verify(self, keys: Iterable[VerifierKey]) -> tuple[VerifierKey, ...]:
        """The keys that signed this note; empty when none did. Signatures by other keys are ignored.

        Raises NoteError when a line names one of `keys` and its signature does not hold.
        """
        signers = []
        for key in keys:
            claimed = [s for s in self.signatures if (s.name, s.key_id) == (key.name, key.key_id)]
            if any(not key.verifies(self.text, line.signature) for line in claimed):
                raise NoteError(f"the signature by {key.name} ({key.key_id.hex()}) does not hold")
            if claimed:
                signers.append(key)
        return tuple(signers)


def sign(text: str, name: str, key: Ed25519PrivateKey) -> Note:
    """The note of `text` with one signature by `key` under `name`."""
    signer = VerifierKey.of(name, key.public_key())
    return Note(text, (NoteSignature(name, signer.key_id, key.sign(text.encode())),))


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a log signs: at this size, its tree has this root (C2SP tlog-checkpoint)."""

    origin: str
    """Names the log, for all time."""
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()
    """Further lines, opaque to us; we write none."""

    def __post_init__(self) -> None:
        if any(not line or "\n" in line for line in (self.origin, *self.extensions)):
            raise NoteError("the lines of a checkpoint must not be empty")
        if not 0 <= self.size <= _MAX_SIZE:
            raise NoteError(f"a tree size lies between 0 and 2**63 - 1, not {self.size}")
        if len(self.root) != HASH_SIZE:
            raise NoteError(f"a root hash has {HASH_SIZE} bytes, not {len(self.root)}")

    @classmethod
    def parse(cls, text: str) -> Checkpoint:
        """Read the text of a note as a checkpoint; NoteError says which line is malformed."""
        origin, *lines = text.removesuffix("\n").split("\n")
        if len(lines) < 2 or not text.endswith("\n"):
            raise NoteError("a checkpoint has at least three lines: origin, size, root")
        size, root, *extensions = lines
        if not _SIZE.fullmatch(size):
            raise NoteError(f"the tree size {size[:20]!r} is not a plain decimal number")
        return cls(origin, int(size), decode_base64(root, "the root hash"), tuple(extensions))

    def to_text(self) -> str:
        """The note text: what is signed."""
        lines = (self.origin, str(self.size), b64encode(self.root).decode(), *self.extensions)
        return "".join(f"{line}\n" for line in lines)


def _check_name(name: str) -> None:
    if not name or "+" in name or any(c.isspace() or c < " " for c in name):
        raise NoteError(f"a key name is not empty and has no space, plus or control character: {name[:80]!r}")


def decode_base64(text: str, what: str) -> bytes:
    """RFC 4648 §4 with padding, and only the one spelling that an encoder would write; NoteError names `what`."""
    try:
        data = b64decode(text.encode("ascii"), validate=True)
    except ValueError as error:
        raise NoteError(f"{what} is not base64") from error
    if b64encode(data).decode() != text:
        raise NoteError(f"{what} is not in canonical base64")
    return data
