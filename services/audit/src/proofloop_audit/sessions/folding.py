"""Moves what sessions added to the statistics into the sums, so that readers read few rows."""

import asyncio
import logging
from collections.abc import Sequence
from datetime import timedelta

from proofloop_runtime.database import Database
from proofloop_runtime.errors import TRANSIENT

from proofloop_audit.sessions import rollup_store

_BATCH = 5_000
_EVERY = timedelta(seconds=1)

log = logging.getLogger(__name__)


class Folding:
    """Folds the additions of all tenants, a batch per transaction. Replicas may do so side by side."""

    def __init__(self, database: Database, tenants: Sequence[str]) -> None:
        self._database = database
        self._tenants = tuple(tenants)

    async def run(self) -> None:
        """Fold once a second, for ever."""
        while True:
            try:
                for tenant in await self._with_additions():
                    await self.fold(tenant)
            except TRANSIENT as error:
                log.warning("folding waits", extra={"error_type": type(error).__name__})
            await asyncio.sleep(_EVERY.total_seconds())

    async def _with_additions(self) -> list[str]:
        """Return for whom there is something to fold: one statement, however many tenants there are."""
        async with self._database.transaction(*self._tenants) as unit:
            return await rollup_store.with_additions(unit, self._tenants)

    async def fold(self, tenant: str) -> None:
        """Fold everything that a tenant's sessions added."""
        moved = _BATCH
        while moved >= _BATCH:
            async with self._database.transaction(tenant) as unit:
                moved = await rollup_store.fold(unit, limit=_BATCH)
