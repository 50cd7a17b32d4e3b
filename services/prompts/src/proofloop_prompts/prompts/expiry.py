"""Expires prompts on time, on whichever replica comes first."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from proofloop_runtime import telemetry as runtime_telemetry
from proofloop_runtime.call import background, serving
from proofloop_runtime.database import Database
from proofloop_runtime.errors import DependencyUnavailable, Overloaded
from proofloop_runtime.ports import Clock
from proofloop_runtime.wakeup import Wakeup

from proofloop_prompts import telemetry
from proofloop_prompts.events import SERVICE
from proofloop_prompts.prompts import handlers, store
from proofloop_prompts.prompts.journal import Journal

_LEAST = timedelta(milliseconds=50)
"""Least time between two looks: a prompt that is due and locked is another replica's work, under way."""


class Expiry:
    """Sleeps until the next prompt is due, or until it hears of one that is due sooner.

    Args:
        look: How long it sleeps at most. Prompts due later need no wake-up: the next look finds them in time.
        batch: Most prompts in one transaction.
    """

    def __init__(
        self,
        database: Database,
        journal: Journal,
        wakeup: Wakeup,
        clock: Clock,
        tenants: Sequence[str],
        *,
        look: timedelta,
        batch: int,
    ) -> None:
        self._database = database
        self._journal = journal
        self._wakeup = wakeup
        self._clock = clock
        self._tenants = tuple(tenants)
        self._look = look
        self._batch = batch

    def expects(self, expire_time: datetime) -> None:
        """Hear of a new prompt."""
        if expire_time <= self._clock.now() + self._look:
            self._wakeup.notify()

    async def run(self) -> None:
        """Expire what is due, for ever."""
        async with self._wakeup.listening():
            while True:
                try:
                    next_due = await self.expire_all()
                except (DependencyUnavailable, Overloaded):
                    next_due = None
                idle = self._look if next_due is None else min(self._look, next_due - self._clock.now())
                await self._wakeup.wait(max(idle, _LEAST))

    async def expire_all(self) -> datetime | None:
        """Expire everything that is due now; return when the next prompt is, if any."""
        coming = []
        for tenant in self._tenants:
            with serving(background(SERVICE, tenant)):
                coming.append(await self._expire_tenant())
        return min((due for due in coming if due is not None), default=None)

    async def _expire_tenant(self) -> datetime | None:
        while True:
            now = self._clock.now()
            async with self._database.transaction() as unit:
                due = await store.next_due(unit)
                if due is None or due > now:
                    return due
                with runtime_telemetry.span(telemetry.EXPIRE_SPAN) as span:
                    expired = await handlers.expire_due(unit, self._journal, now=now, limit=self._batch)
                    span.set_attribute(telemetry.PROMPT_COUNT, len(expired))
            for prompt in expired:
                telemetry.expiry_lag.record((now - prompt.draft.expire_time).total_seconds())
            if not expired:
                # Another replica holds what is due.
                return due
