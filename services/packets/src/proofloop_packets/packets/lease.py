"""Who works on a packet, for how long, and when it is tried again.

A lease runs out unless it is renewed, and names its holder, so that one who has lost it can change nothing any more.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta


class LeaseLost(Exception):
    """The worker does not hold the packet any more; another one does, or it has ended."""


@dataclass(frozen=True, slots=True)
class Lease:
    """A worker's hold on a packet.

    Attributes:
        worker: Name of this one hold, not of the process: taken up again, it is another.
        expire_time: When it runs out.
    """

    worker: str
    expire_time: datetime


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a packet is worked on, and how often it is tried.

    Attributes:
        lease: How long a worker may be silent before another takes over.
        attempts: How often a packet is taken up before it is given up.
        first_delay: How long the second attempt waits; each one after waits twice as long as the one before.
        longest_delay: The longest wait between two attempts.
    """

    lease: timedelta = timedelta(seconds=30)
    attempts: int = 10
    first_delay: timedelta = timedelta(seconds=1)
    longest_delay: timedelta = timedelta(minutes=2)

    def delay(self, attempts: int) -> timedelta:
        """Return how long to wait after this many attempts, of which all failed."""
        doublings = min(attempts - 1, 32)
        return min(self.first_delay * (1 << doublings), self.longest_delay)
