"""Items of evidence, the bounds of what is taken in, and what is learnt of a file while it passes by."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from proofloop_runtime.errors import PreconditionViolation

from proofloop_packets.errors import ClaimFull, FileEmpty, FileTooLarge
from proofloop_packets.evidence.metadata import Mark


@dataclass(frozen=True, slots=True)
class Evidence:
    """One file that was handed in for a claim. It never changes.

    Attributes:
        evidence_id: UUIDv7.
        claim_id: The claim that it belongs to.
        file_name: Its name as it was handed in.
        media_type: Found from the content alone.
        size: Length in bytes.
        sha256: Of the bytes, in hex.
        md5: Of the bytes, in hex; for older tools, it proves nothing.
        metadata: What the file says about itself, as JSON.
        marks: Warnings about it.
        uploaded_by: Who handed it in.
        create_time: When it was taken in.
        last_event_id: The event that tells of it.
    """

    evidence_id: str
    claim_id: str
    file_name: str
    media_type: str
    size: int
    sha256: str
    md5: str
    metadata: Mapping[str, Any]
    marks: tuple[Mark, ...]
    uploaded_by: str
    create_time: datetime
    last_event_id: str


@dataclass(frozen=True, slots=True)
class Holdings:
    """How much evidence a claim has."""

    files: int
    size: int


@dataclass(frozen=True, slots=True)
class UploadLimits:
    """Bounds of what is taken in.

    Attributes:
        file_bytes: Longest file.
        claim_files: Most files of one claim.
        claim_bytes: Most bytes of one claim, all files together.
    """

    file_bytes: int
    claim_files: int
    claim_bytes: int

    def admit(self, claim_id: str, held: Holdings, size: int) -> None:
        """Check that a claim can take one more file of `size` bytes.

        Raises:
            ClaimFull: it cannot.
        """
        if held.files + 1 > self.claim_files:
            message = f"a claim takes at most {self.claim_files} files"
            raise ClaimFull(
                message,
                violations=[PreconditionViolation("FILES", claim_id, message)],
                limit_files=str(self.claim_files),
            )
        if held.size + size > self.claim_bytes:
            message = f"a claim takes at most {self.claim_bytes} bytes of evidence, and {held.size} are there"
            raise ClaimFull(
                message,
                violations=[PreconditionViolation("BYTES", claim_id, message)],
                limit_bytes=str(self.claim_bytes),
            )


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What identifies the bytes of a file: length in bytes, hashes in hex."""

    size: int
    sha256: str
    md5: str


class Intake:
    """Measures a file while its pieces pass by."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._size = 0
        self._sha256 = hashlib.sha256()
        self._md5 = hashlib.md5(usedforsecurity=False)

    def take(self, piece: bytes) -> None:
        """Take the next piece into account.

        Raises:
            FileTooLarge: with it the file is longer than it may be.
        """
        self._size += len(piece)
        if self._size > self._limit:
            raise FileTooLarge(
                f"a file may have at most {self._limit} bytes", field="body", limit_bytes=str(self._limit)
            )
        self._sha256.update(piece)
        self._md5.update(piece)

    def finish(self) -> Fingerprint:
        """Return what all pieces together come to.

        Raises:
            FileEmpty: there were no bytes.
        """
        if not self._size:
            raise FileEmpty("the file has no bytes", field="body")
        return Fingerprint(self._size, self._sha256.hexdigest(), self._md5.hexdigest())


def object_key(tenant: str, sha256: str) -> str:
    """Return where the object store keeps the bytes: once per tenant and content."""
    return f"evidence/{tenant}/{sha256}"
