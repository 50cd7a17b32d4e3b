"""Removes feed events past their retention."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

from proofloop_runtime.database import Database
from proofloop_runtime.errors import DependencyUnavailable, Overloaded
from proofloop_runtime.ports import Clock

from proofloop_prompts.prompts import feed_store

_BATCH = 5_000
_EVERY = timedelta(minutes=10)


class Retention:
    """Trims the feeds of all tenants, a batch per transaction.

    Args:
        keep: How long a feed keeps an event.
    """

    def __init__(self, database: Database, clock: Clock, tenants: Sequence[str], keep: timedelta) -> None:
        self._database = database
        self._clock = clock
        self._tenants = tuple(tenants)
        self._keep = keep

    async def run(self) -> None:
        """Trim every ten minutes, for ever. Replicas may do so at once: what is gone is gone."""
        while True:
            for tenant in self._tenants:
                try:
                    await self.trim(tenant)
                except (DependencyUnavailable, Overloaded):
                    break
            await asyncio.sleep(_EVERY.total_seconds())

    async def trim(self, tenant: str) -> None:
        """Remove everything of a tenant's feeds that is past its retention."""
        removed = _BATCH
        while removed >= _BATCH:
            async with self._database.transaction(tenant) as unit:
                removed = await feed_store.trim(unit, self._clock.now() - self._keep, limit=_BATCH)
