"""Ends what is kept for as long as a tenant's retention, on one replica at a time."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta

from proofloop_runtime.database import Database
from proofloop_runtime.errors import TRANSIENT
from proofloop_runtime.leader import Leader

Sweep = Callable[[str, timedelta], Awaitable[None]]
"""Ends what a tenant has kept for its retention or longer."""

log = logging.getLogger(__name__)


class Retention:
    """Sweeps the tenants that have a retention.

    Args:
        database: The service's database.
        retention: By tenant.
        sweeps: What to do for each.
        every: Time between two rounds.
    """

    def __init__(
        self, database: Database, retention: Mapping[str, timedelta], sweeps: Sequence[Sweep], every: timedelta
    ) -> None:
        self._retention = dict(retention)
        self._sweeps = tuple(sweeps)
        self._every = every
        self._leader = Leader(database, "retention")

    async def run(self) -> None:
        """Sweep, for ever, while this replica leads."""
        await self._leader.lead(self._lead)

    async def sweep(self) -> None:
        """Sweep every tenant. What cannot be done while the database is away is done in the next round."""
        for tenant, retention in self._retention.items():
            try:
                for sweep in self._sweeps:
                    await sweep(tenant, retention)
            except TRANSIENT as error:
                log.warning("retention waits", extra={"tenant": tenant, "error_type": type(error).__name__})

    async def _lead(self) -> None:
        while True:
            await self.sweep()
            await asyncio.sleep(self._every.total_seconds())
