"""Time, ids and randomness that tests control."""

import hashlib
from datetime import UTC, datetime, timedelta
from uuid import UUID


class FakeClock:
    """A clock that moves only when told to."""

    def __init__(self, start: datetime = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)) -> None:
        self._now = start

    def now(self) -> datetime:
        """Return the time it was set to."""
        return self._now

    def advance(self, by: timedelta) -> None:
        """Move; backwards too."""
        self._now += by


class SequentialIds:
    """UUIDv7s that count from one."""

    def __init__(self) -> None:
        self._last = 0

    def uuid7(self) -> str:
        """Return the next id."""
        self._last += 1
        return str(UUID(int=0x7 << 76 | 0b10 << 62 | self._last))


class CountingRandomness:
    """Bytes that differ at every call and are the same in every run."""

    def __init__(self) -> None:
        self._calls = 0

    def bytes(self, count: int) -> bytes:
        """Return the next `count` bytes."""
        self._calls += 1
        return hashlib.shake_256(self._calls.to_bytes(8, "big")).digest(count)
