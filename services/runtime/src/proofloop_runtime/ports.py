"""What truly varies between production, a laptop and a test: time, ids, randomness, keys.

Each port is a Protocol with the implementation that production uses beside it. Tests bring their own from
`proofloop_runtime.testing`.
"""

import secrets
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol
from uuid import UUID

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF


class Clock(Protocol):
    """Tells the time."""

    def now(self) -> datetime:
        """Return the current time, aware, in UTC."""


class Randomness(Protocol):
    """Yields unpredictable bytes, fit for keys."""

    def bytes(self, count: int) -> bytes:
        """Return `count` random bytes."""


class Ids(Protocol):
    """Makes identifiers."""

    def uuid7(self) -> str:
        """Return a new UUIDv7 (RFC 9562) in its text form; later ids sort after earlier ones."""


class KeyStore(Protocol):
    """Wraps data keys under a tenant's key that never leaves the store (a file, a KMS)."""

    def wrap(self, tenant: str, key: bytes) -> bytes:
        """Return `key` encrypted under the tenant's key."""

    def unwrap(self, tenant: str, wrapped: bytes) -> bytes:
        """Return the key inside `wrapped`.

        Raises:
            cryptography.exceptions.InvalidTag: it was not wrapped for this tenant, or was altered.
        """

    def derive(self, tenant: str, purpose: str) -> bytes:
        """Return a 32-byte key for one purpose, always the same for a tenant and purpose."""


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Return the current time, aware, in UTC."""
        return datetime.now(UTC)


class SystemRandomness:
    """The operating system's randomness."""

    def bytes(self, count: int) -> bytes:
        """Return `count` random bytes."""
        return secrets.token_bytes(count)


class SystemIds:
    """UUIDv7 of the machine's clock and randomness, monotonic within this process (RFC 9562, 6.2, method 3)."""

    def __init__(self, time_ns: Callable[[], int] = time.time_ns) -> None:
        self._time_ns = time_ns
        self._last = 0

    def uuid7(self) -> str:
        """Return a new UUIDv7 in its text form."""
        # 12 bits below the millisecond take the place of rand_a, so ids of one process sort as they were made.
        nanoseconds = self._time_ns()
        stamp = (nanoseconds // 1_000_000) << 12 | (nanoseconds % 1_000_000) * 4096 // 1_000_000
        self._last = stamp = max(stamp, self._last + 1)
        value = (stamp >> 12) << 80 | 0x7 << 76 | (stamp & 0xFFF) << 64 | 0b10 << 62 | secrets.randbits(62)
        return str(UUID(int=value))


class FileKeyStore:
    """Tenant keys derived from one 32-byte master key in a file: for one machine, or a mounted secret."""

    def __init__(self, master: bytes, randomness: Randomness) -> None:
        if len(master) != 32:
            raise ValueError(f"the master key has {len(master)} bytes, not 32")
        self._master = master
        self._randomness = randomness

    @classmethod
    def load(cls, path: Path, randomness: Randomness) -> "FileKeyStore":
        """Read the master key, 64 hex digits, from a file."""
        return cls(bytes.fromhex(path.read_text().strip()), randomness)

    def wrap(self, tenant: str, key: bytes) -> bytes:
        """Return nonce || AES-256-GCM(key) under the tenant's wrapping key."""
        nonce = self._randomness.bytes(12)
        return nonce + AESGCM(self.derive(tenant, "wrap")).encrypt(nonce, key, tenant.encode())

    def unwrap(self, tenant: str, wrapped: bytes) -> bytes:
        """Return the key inside `wrapped`."""
        return AESGCM(self.derive(tenant, "wrap")).decrypt(wrapped[:12], wrapped[12:], tenant.encode())

    def derive(self, tenant: str, purpose: str) -> bytes:
        """Return HKDF-SHA256(master, info = purpose and tenant)."""
        info = f"proofloop/{purpose}/{tenant}".encode()
        return HKDF(SHA256(), length=32, salt=None, info=info).derive(self._master)
