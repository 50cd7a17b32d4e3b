"""Gives entries their place: group commit, one order per tenant whatever the number of replicas.

Entries that arrive together are sequenced together, in one batch. While a batch is written, the next one gathers.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

from proofloop_runtime.breaker import Breaker
from proofloop_runtime.database import DEPENDENCY, Database, is_unavailable
from proofloop_runtime.errors import DependencyUnavailable, Overloaded, RequestIdReused
from proofloop_runtime.ports import Clock

from proofloop_audit import telemetry
from proofloop_audit.log.domain import Receipt
from proofloop_audit.log.sealing import Sealed, Unsealed
from proofloop_audit.log.writer import Known, LogWriter

_BATCH = 500
"""Most entries of a batch, unless one group alone has more."""
_CHUNK = 100
"""Entries that are sealed before the event loop gets its turn."""
_PAUSE = 0.002
"""Seconds without an arrival after which a batch waits no longer."""
_LOCKED_ATTEMPTS = 4
"""Under the lock only entries that another replica appends just then, under the same ids, make an attempt fail."""

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Group:
    """Entries that are sequenced all or none, and who waits for them."""

    entries: Sequence[Sealed]
    receipts: "asyncio.Future[list[Receipt]]"


@dataclass(slots=True)
class _Waiting:
    """Entries that wait to be sequenced all or none, and who waits for them."""

    entries: Sequence[Unsealed]
    receipts: "asyncio.Future[list[Receipt]]"


class Sequencer:
    """Appends to the logs of all tenants.

    Args:
        database: The service's database.
        breaker: The database's breaker.
        tenants: Whose logs there are.
        clock: The clock.
        queue: Most entries that wait.
        linger: How long a batch waits for more under load, as long as they come.
    """

    def __init__(
        self,
        database: Database,
        breaker: Breaker,
        tenants: Sequence[str],
        clock: Clock,
        queue: int,
        linger: timedelta,
    ) -> None:
        self._queue = queue
        self._waiting = 0
        self._logs = {
            tenant: _TenantSequencer(LogWriter(tenant, database, clock), breaker, linger) for tenant in tenants
        }
        telemetry.observe_queue(lambda: self._waiting)

    async def append(self, entries: Sequence[Unsealed]) -> list[Receipt]:
        """Append entries of one tenant, all or none; returns when they are durable and sequenced.

        Raises:
            Overloaded: too many entries wait; nothing was done.
            RequestIdReused: an entry id was used before with another entry.
            DependencyUnavailable: PostgreSQL is not there. Whether the entries were appended is known only when it went
                away in between: a repetition finds out.
        """
        if self._waiting + len(entries) > self._queue:
            raise Overloaded("too many entries wait to be sequenced", retry_after=timedelta(milliseconds=100))
        self._waiting += len(entries)
        try:
            return await self._logs[entries[0].draft.tenant].append(entries)
        finally:
            self._waiting -= len(entries)

    async def appended(self, tenant: str, most: timedelta) -> None:
        """Return at the next append of this replica to a log, or after `most`."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._logs[tenant].appended.wait(), most.total_seconds())

    async def run(self) -> None:
        """Sequence, for ever."""
        async with asyncio.TaskGroup() as group:
            for tenant in self._logs.values():
                group.create_task(tenant.run())


class _TenantSequencer:
    """Appends to one tenant's log."""

    def __init__(self, writer: LogWriter, breaker: Breaker, linger: timedelta) -> None:
        self._writer = writer
        self._breaker = breaker
        self._linger = linger.total_seconds()
        self._groups: deque[_Waiting] = deque()
        self._target = 1
        self._enough = asyncio.Event()
        self.appended = asyncio.Event()
        """Is set, and replaced, at every append."""

    async def append(self, entries: Sequence[Unsealed]) -> list[Receipt]:
        group = _Waiting(entries, asyncio.get_running_loop().create_future())
        self._groups.append(group)
        if len(self._groups) >= self._target:
            self._enough.set()
        return await group.receipts

    async def run(self) -> None:
        expected = 1
        try:
            while True:
                await self._arrival()
                await self._gather(expected)
                groups = self._take()
                await self._sequence(groups)
                # Callers in a loop come back: those just answered join those who came meanwhile. A lone caller is
                # expected alone, and never waits.
                expected = len(groups) + len(self._groups)
        finally:
            self._writer.disconnect()

    async def _arrival(self, target: int = 1) -> None:
        """Wait until so many groups are there."""
        if len(self._groups) < target:
            self._target = target
            self._enough.clear()
            await self._enough.wait()

    async def _gather(self, target: int) -> None:
        """Wait until so many groups are there, or no more come for the moment, or the batch has lingered enough."""
        loop = asyncio.get_running_loop()
        end = loop.time() + self._linger
        came = 0
        while came < len(self._groups) < target and loop.time() < end:
            came = len(self._groups)
            with suppress(TimeoutError):
                async with asyncio.timeout(_PAUSE):
                    await self._arrival(target)

    def _take(self) -> list[_Waiting]:
        taken: list[_Waiting] = []
        entries = 0
        while self._groups and (not taken or entries + len(self._groups[0].entries) <= _BATCH):
            group = self._groups.popleft()
            # Whoever gave up waiting will ask again with the same id, or not at all.
            if group.receipts.cancelled():
                continue
            taken.append(group)
            entries += len(group.entries)
        return taken

    async def _sequence(self, groups: list[_Waiting]) -> None:
        try:
            with self._breaker.calling():
                await self._append(await _seal(groups))
        # Whatever it is belongs to those who wait for this batch, and must not end the sequencer for the others.
        except Exception as error:
            unavailable = is_unavailable(error)
            if not unavailable and not isinstance(error, DependencyUnavailable):
                log.exception("a batch could not be sequenced")
            self._writer.disconnect()
            for group in groups:
                if not group.receipts.done():
                    group.receipts.set_exception(DependencyUnavailable(DEPENDENCY) if unavailable else error)

    async def _append(self, groups: list[Group]) -> None:
        known: dict[str, Known] = {}
        for locked in (False, *[True] * _LOCKED_ATTEMPTS):
            groups = settle(groups, known)
            if not groups:
                return
            known |= await self._writer.append(_new_entries(groups, known), locked=locked)
            self._notify()
        if settle(groups, known):
            raise DependencyUnavailable(DEPENDENCY)

    def _notify(self) -> None:
        self.appended.set()
        self.appended = asyncio.Event()


async def _seal(groups: Iterable[_Waiting]) -> list[Group]:
    """Seal the entries here, together: one by one, amid all that each call does, it costs three times as much."""
    sealed = []
    number = 0
    for group in groups:
        entries = []
        for entry in group.entries:
            entries.append(entry.seal())
            number += 1
            if number % _CHUNK == 0:
                await asyncio.sleep(0)
        sealed.append(Group(entries, group.receipts))
    return sealed


def settle(groups: Iterable[Group], known: Mapping[str, Known]) -> list[Group]:
    """Answer the groups whose entries are all known, refuse those that reuse an id; return the others.

    Among new entries, the first of each id counts; a later one of the same id must be its equal.
    """
    unsettled = []
    new: dict[str, bytes] = {}
    for group in groups:
        if group.receipts.done():
            continue
        own: dict[str, bytes] = {}
        reused = None
        for entry in group.entries:
            entry_id, fingerprint = entry.draft.entry_id, entry.fingerprint
            if entry_id in known:
                expected = known[entry_id].fingerprint
            else:
                expected = new.get(entry_id) or own.setdefault(entry_id, fingerprint)
            if fingerprint != expected:
                reused = entry_id
        if reused is not None:
            message = "request_id was used before with another entry"
            group.receipts.set_exception(RequestIdReused(message, field="request_id", request_id=reused))
        elif all(entry.draft.entry_id in known for entry in group.entries):
            group.receipts.set_result([known[entry.draft.entry_id].receipt for entry in group.entries])
        else:
            new |= own
            unsettled.append(group)
    return unsettled


def _new_entries(groups: Iterable[Group], known: Mapping[str, Known]) -> list[Sealed]:
    """Return the entries that are not known, the first of each id; `settle` has seen to it that they are equals."""
    new: dict[str, Sealed] = {}
    for group in groups:
        for entry in group.entries:
            if entry.draft.entry_id not in known:
                new.setdefault(entry.draft.entry_id, entry)
    return list(new.values())
