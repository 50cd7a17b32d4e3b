"""What sessions forget when a tenant's retention ends: the same as of a person who is erased, and whoever it is."""

from datetime import timedelta

from proofloop_runtime.call import CallerType
from proofloop_runtime.database import Database
from proofloop_runtime.events import Actor

from proofloop_audit.log import hold_store
from proofloop_audit.log.hold_store import Held
from proofloop_audit.log.sealing import Sealer, name_of
from proofloop_audit.sessions import forgetting_store
from proofloop_audit.sessions.forgetting_store import OldSession

_BATCH = 100


class SessionExpiry:
    """Blanks sessions.

    Args:
        database: The service's database.
        sealer: Knows by what the log finds people, and thereby whom holds cover.
    """

    def __init__(self, database: Database, sealer: Sealer) -> None:
        self._database = database
        self._sealer = sealer

    async def sweep(self, tenant: str, retention: timedelta) -> None:
        """Blank every session of a tenant that did not change for a retention, unless a legal hold keeps it.

        That includes those that nobody ended.
        """
        last = None
        while True:
            async with self._database.transaction(tenant) as unit:
                await hold_store.lock(unit)
                held = await hold_store.held(unit)
                until = unit.clock.now() - retention
                old = await forgetting_store.lock_old(unit, until, last, limit=_BATCH)
                await forgetting_store.blank(
                    unit, [session.session_id for session in old if not self._keeps(tenant, held, session)]
                )
            if len(old) < _BATCH:
                return
            last = old[-1]

    def _keeps(self, tenant: str, held: Held, session: OldSession) -> bool:
        if held.everything or session.claim_id in held.claims:
            return True
        if session.user_id is None:
            return False
        name = name_of(Actor(CallerType.USER, session.user_id))
        return self._sealer.blind_index(tenant, name) in held.people
