"""Calls that come thick and fast go on together."""

import asyncio
from collections import deque

_DENSE = 8
_WITHIN = 0.008
"""Seconds: so many calls in so short a time are a crowd: 1,000 a second."""
_LENGTH = 24
"""Calls that wait for no more of their kind."""
_PATIENCE = 0.004
"""Seconds that a call waits for company at most."""


class Convoy:
    """Holds calls back, in a crowd and for a moment, so that many run one right after the other.

    A call that is served amid gRPC's own work finds nothing of what it needs in the processor's caches, and costs a
    quarter more than one that follows others of its kind. A network card moderates its interrupts for the same reason.
    Without a crowd nobody waits.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._arrivals: deque[float] = deque([float("-inf")] * _DENSE, maxlen=_DENSE)
        self._waiting: list[asyncio.Future[None]] = []
        self._timer: asyncio.TimerHandle | None = None

    def join(self) -> "asyncio.Future[None] | None":
        """Return what a call that has just come has to wait for; None where it may go on."""
        now = self._loop.time()
        self._arrivals.append(now)
        if now - self._arrivals[0] > _WITHIN:
            return None
        company = self._loop.create_future()
        self._waiting.append(company)
        if len(self._waiting) == _LENGTH:
            self._go()
        elif self._timer is None:
            self._timer = self._loop.call_later(_PATIENCE, self._go)
        return company

    def _go(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        waiting, self._waiting = self._waiting, []
        for company in waiting:
            # Its caller may have gone.
            if not company.done():
                company.set_result(None)
