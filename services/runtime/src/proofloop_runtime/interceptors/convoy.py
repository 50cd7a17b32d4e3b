"""Calls of a method that come thick and fast are let in together."""

import asyncio
import time
from collections.abc import Callable, Sequence

from proofloop_runtime.interceptors.call import Call

BUSY = 0.5
"""Part of the time that the thread works, above which calls wait for each other."""
WINDOW = 0.05
"""Seconds over which that is measured."""
LONGEST = 40
"""Calls that wait for no more."""
QUIET = 0.008
"""Seconds with nothing to do and without another call, after which no more seem to come."""
PATIENCE = 0.04
"""Seconds that a call waits for others at most."""
KEPT = 16
"""Convoys of the length that was learned when no more calls came, before one tries whether more come by now."""


class Convoy:
    """Lets in each call as it comes or, where the thread is busy, many together.

    A call that is served amid gRPC's own work finds nothing of what it needs in the processor's caches: what surrounds
    it costs two to four times as much as where the same is done for many calls in a row. A network card moderates its
    interrupts for the same reason. As long as the thread has time to spare, nobody waits; nor does a lone caller.

    Args:
        admit: Lets calls in.
        loop: The event loop.
        worked: Seconds that the thread has worked.
    """

    def __init__(
        self,
        admit: Callable[[Sequence[Call]], None],
        loop: asyncio.AbstractEventLoop,
        worked: Callable[[], float] = time.thread_time,
    ) -> None:
        self._admit = admit
        self._loop = loop
        self._worked = worked
        self._measured = (loop.time(), worked())
        self._busy = False
        self._here = 0
        """Calls that have come and are not over."""
        self._waiting: list[tuple[Call, asyncio.Future[None]]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._end = 0.0
        """When those who wait have waited long enough."""
        self._length = LONGEST
        self._kept = 0

    def join(self, call: Call) -> "asyncio.Future[None] | None":
        """Return what a call that has just come has to wait for; None where it is in already."""
        now = self._loop.time()
        if now - self._measured[0] >= WINDOW:
            self._measure(now)
        self._here += 1
        if not self._waiting and not (self._busy and self._here > 1):
            self._admit((call,))
            return None
        let_in = self._loop.create_future()
        self._waiting.append((call, let_in))
        if len(self._waiting) >= self._length:
            self._kept += 1
            if self._kept == KEPT:
                self._length = LONGEST
            self._go()
        elif self._timer is None:
            self._end = now + PATIENCE
            self._look_later(now)
        return let_in

    def leave(self) -> None:
        """Take note that a call is over."""
        self._here -= 1

    def _measure(self, now: float) -> None:
        (then, worked_then), self._measured = self._measured, (now, self._worked())
        self._busy = self._measured[1] - worked_then > BUSY * (now - then)

    def _look_later(self, now: float) -> None:
        self._timer = self._loop.call_at(now + QUIET, self._look, now + QUIET, len(self._waiting))

    def _look(self, due: float, waited: int) -> None:
        """Go if no more calls come. A timer that is late says nothing, for calls may have come unheard meanwhile."""
        now = self._loop.time()
        quiet = len(self._waiting) == waited and now - due < QUIET / 2
        if quiet or now >= self._end:
            # At most halved, for once in a while fewer come than usual.
            self._length, self._kept = max(len(self._waiting), self._length // 2), 0
            self._go()
        else:
            self._look_later(now)

    def _go(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        waiting, self._waiting = self._waiting, []
        # The callers of the others have gone.
        staying = [(call, let_in) for call, let_in in waiting if not let_in.done()]
        self._admit([call for call, _ in staying])
        for _, let_in in staying:
            let_in.set_result(None)
