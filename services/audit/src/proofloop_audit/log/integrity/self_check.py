"""The service checks its own logs, for ever and slowly, so that we find a damage before others do."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from datetime import timedelta
from uuid import UUID, uuid5

import sqlalchemy as sa
from proofloop_runtime import telemetry as spans
from proofloop_runtime.database import Database
from proofloop_runtime.errors import TRANSIENT
from proofloop_runtime.leader import Leader
from proofloop_runtime.ports import Randomness
from proofloop_runtime.schema import outbox
from proofloop_verifier.report import MAX_FINDINGS, Finding
from proofloop_verifier.tiles import WIDTH

from proofloop_audit import events, telemetry
from proofloop_audit.log.integrity.checker import WHOLE, LogChecker, Pages
from proofloop_audit.log.store import select_entry

PROBE = "integrity"
"""Name in health."""

_SOON = timedelta(minutes=1)
_RECENT = 4
"""Pages at the end that are checked again and again."""
_OLDER = 1
_PUBLISHED = 20
"""Most events of one check: a log that is gone altogether must not fill up with what is said about it."""
_NAMESPACE = UUID("6c0b7c5e-8a3f-5b1e-9d5c-0a7d3c0f2e11")

_LOCK_PUBLISHING = sa.text("SELECT pg_advisory_xact_lock(hashtextextended(:key, 0))")
_WAITING = sa.select(outbox.c.sequence)

log = logging.getLogger(__name__)


class SelfCheck:
    """Checks all logs, on one replica at a time.

    Each whole log once in a while, and once a minute what is new, the last pages, and a page anywhere before.

    Args:
        database: The service's database.
        checker: Checks a log.
        tenants: Whose logs there are.
        randomness: Chooses pages.
        every: How often to check whole logs.
        pause: How long to do nothing after each page.
    """

    def __init__(
        self,
        database: Database,
        checker: LogChecker,
        tenants: Sequence[str],
        randomness: Randomness,
        every: timedelta,
        pause: timedelta,
    ) -> None:
        self._database = database
        self._checker = checker
        self._tenants = tuple(tenants)
        self._randomness = randomness
        self._every = every
        self._pause = pause
        self._leader = Leader(database, "log-self-check")
        self._followed: dict[str, int] = {}
        self._damaged: dict[str, set[str]] = {}

    async def run(self) -> None:
        """Check, for ever, while this replica leads."""
        await self._leader.lead(self._lead)

    async def intact(self) -> bool:
        """Tell whether this replica has found all logs as they should be when it looked last; for health."""
        return not self._damaged

    async def _lead(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._repeat(self._check_whole, self._every))
            tasks.create_task(self._repeat(self._follow, min(_SOON, self._every)))

    async def _repeat(self, check: Callable[[str], Awaitable[None]], every: timedelta) -> None:
        while True:
            for tenant in self._tenants:
                try:
                    await check(tenant)
                except TRANSIENT as error:
                    log.warning("a log was not checked", extra={"tenant": tenant, "error_type": type(error).__name__})
            await asyncio.sleep(every.total_seconds())

    async def _check_whole(self, tenant: str) -> None:
        """Check a whole log. Only one that is found intact from end to end counts as mended."""
        if not await self._check(tenant, WHOLE):
            self._damaged.pop(tenant, None)

    async def _follow(self, tenant: str) -> None:
        """Check what is new, the last pages, and a page before those."""
        size = await self._checker.size(tenant)
        pages = -(-size // WIDTH)
        first = max(0, min(self._followed.get(tenant, pages), pages - _RECENT))
        await self._check(tenant, Pages(first))
        self._followed[tenant] = pages
        if first:
            older = int.from_bytes(self._randomness.bytes(8), "big") % first
            await self._check(tenant, Pages(older, _OLDER))

    async def _check(self, tenant: str, pages: Pages) -> bool:
        """Check a part of a log; return whether something is wrong with it."""
        damages = 0
        async with aclosing(self._checker.findings(tenant, pages, self._pause, completing=True)) as findings:
            async for finding in findings:
                if finding.not_checked:
                    log.warning("a part of a log was not checked", extra=_said(tenant, finding))
                    continue
                damages += 1
                await self._tell(tenant, finding, publish=damages <= _PUBLISHED)
                if damages == MAX_FINDINGS:
                    break
        return damages > 0

    async def _tell(self, tenant: str, finding: Finding, *, publish: bool) -> None:
        """Say what is wrong, once."""
        known = self._damaged.setdefault(tenant, set())
        event_id = str(uuid5(_NAMESPACE, "\n".join((tenant, finding.check, finding.subject, finding.sentence))))
        if event_id in known or len(known) >= MAX_FINDINGS:
            return
        if publish:
            await self._publish(tenant, event_id, finding)
            # The other of the two checks may have met it meanwhile.
            if event_id in known:
                return
        known.add(event_id)
        telemetry.damages_found.add(1, {spans.TENANT: tenant, telemetry.CHECK: finding.check})
        log.error("a log is damaged", extra=_said(tenant, finding))

    async def _publish(self, tenant: str, event_id: str, finding: Finding) -> None:
        """Publish a damage, unless that was done before: then it is on its way to the log, or there."""
        async with self._database.transaction(tenant) as unit:
            await unit.execute(_LOCK_PUBLISHING, {"key": f"log-damage/{tenant}"})
            waiting = (
                await unit.execute(_WAITING.where(outbox.c.tenant == tenant, outbox.c.event_id == event_id))
            ).first()
            if waiting is None and await select_entry(unit, event_id) is None:
                await unit.publish(events.log_damaged(event_id, tenant, finding, unit.clock.now()))


def _said(tenant: str, finding: Finding) -> dict[str, str]:
    return {"tenant": tenant, "check": finding.check, "subject": finding.subject, "what": finding.sentence}
