"""Destroys keys of subjects when the retention ends, as an erasure does: what they sealed is gone, all else stays."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

from proofloop_runtime import telemetry as spans
from proofloop_runtime.call import CallerType
from proofloop_runtime.database import Database, UnitOfWork
from proofloop_runtime.ports import Ids
from proofloop_verifier.leaf import Outcome

from proofloop_audit import telemetry
from proofloop_audit.log import erasure_store, expiry_store, hold_store, writer
from proofloop_audit.log.domain import EXPIRED, Draft
from proofloop_audit.log.sealing import Sealer

_BATCH = 100
"""Keys that are destroyed in one transaction, each with an entry: nobody else appends meanwhile."""
_PAUSE = timedelta(seconds=1)
"""Between two such transactions, for those who append: every replica looks up its keys anew after each."""
_ENDED = 5_000


class Expiry:
    """Destroys keys.

    Args:
        database: The service's database.
        sealer: Knows the key of the service itself.
        ids: Makes ids.
    """

    def __init__(self, database: Database, sealer: Sealer, ids: Ids) -> None:
        self._database = database
        self._sealer = sealer
        self._ids = ids

    async def sweep(self, tenant: str, retention: timedelta) -> None:
        """Destroy every key of a tenant whose period ended a retention ago or more, unless a legal hold keeps it."""
        await self._end_periods(tenant)
        while True:
            if await self._destroy(tenant, retention) < _BATCH:
                return
            await asyncio.sleep(_PAUSE.total_seconds())

    async def _end_periods(self, tenant: str) -> None:
        """Let keys of before the tenant had a retention end now: entries that are sealed from now on have others."""
        ended = _ENDED
        while ended == _ENDED:
            async with self._database.transaction(tenant) as unit:
                ended = await expiry_store.end_periods(unit, unit.clock.now(), limit=_ENDED)

    async def _destroy(self, tenant: str, retention: timedelta) -> int:
        """Destroy some keys, and say so in the log; return how many.

        What is looked at before the log is locked does not change: holds wait for this transaction, and nobody has
        sealed with these keys for a retention.
        """
        async with self._database.transaction(tenant) as unit:
            await hold_store.lock(unit)
            held = await hold_store.held(unit)
            if held.everything:
                return 0
            pseudonyms = await expiry_store.select_expired(unit, unit.clock.now() - retention, held, limit=_BATCH)
            if not pseudonyms:
                return 0
            await writer.lock(unit)
            await erasure_store.delete_subjects(unit, pseudonyms)
            await self._tell(unit, pseudonyms)
        telemetry.subjects_expired.add(len(pseudonyms), {spans.TENANT: tenant})
        return len(pseudonyms)

    async def _tell(self, unit: UnitOfWork, pseudonyms: Sequence[str]) -> None:
        drafts = [
            Draft(
                entry_id=self._ids.uuid7(),
                tenant=unit.tenant,
                service=unit.service,
                actor_type=CallerType.SERVICE,
                actor_id=unit.service,
                action=EXPIRED,
                outcome=Outcome.SUCCESS,
                entity_type="subject",
                entity_id=pseudonym,
            )
            for pseudonym in pseudonyms
        ]
        entries = await self._sealer.unsealed_within(unit, drafts)
        await writer.append_within(unit, self._database, [entry.seal() for entry in entries])
