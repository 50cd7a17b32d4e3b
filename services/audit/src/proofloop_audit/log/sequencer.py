"""Gives entries their place: group commit, one order per tenant whatever the number of replicas.

Entries that arrive together are sequenced together, in one batch. While a batch is written, the next one gathers.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Generic, TypeVar

from proofloop_runtime.breaker import Breaker
from proofloop_runtime.database import DEPENDENCY, Database, is_unavailable
from proofloop_runtime.errors import TRANSIENT, DependencyUnavailable, Overloaded, RequestIdReused
from proofloop_runtime.ports import Clock

from proofloop_audit import telemetry
from proofloop_audit.log.domain import Receipt
from proofloop_audit.log.sealing import Sealed, Sealer, Unsealed
from proofloop_audit.log.writer import Known, LogWriter

_BATCH = 500
"""Most entries of a batch, unless one group alone has more."""
_CHUNK = 100
"""Entries that are sealed before the event loop gets its turn."""
_LOCKED_ATTEMPTS = 4
"""Under the lock only entries that another replica appends just then, under the same ids, make an attempt fail; and
erasures, which are not counted, for each is somebody's progress."""

log = logging.getLogger(__name__)


EntryT = TypeVar("EntryT", Sealed, Unsealed)


@dataclass(slots=True)
class Group(Generic[EntryT]):
    """Entries that are sequenced all or none, and who waits for them."""

    entries: Sequence[EntryT]
    receipts: "asyncio.Future[list[Receipt]]"


class Sequencer:
    """Appends to the logs of all tenants.

    Args:
        database: The service's database.
        sealer: Knows the keys.
        breaker: The database's breaker.
        tenants: Whose logs there are.
        clock: The clock.
        queue: Most entries that wait.
    """

    def __init__(
        self,
        database: Database,
        sealer: Sealer,
        breaker: Breaker,
        tenants: Sequence[str],
        clock: Clock,
        queue: int,
    ) -> None:
        self._queue = queue
        self._waiting = 0
        self._logs = {
            tenant: _TenantSequencer(
                tenant,
                LogWriter(tenant, database, clock, partial(sealer.end_generation, tenant)),
                sealer,
                breaker,
                self._done,
            )
            for tenant in tenants
        }
        telemetry.observe_queue(lambda: self._waiting)

    def append(self, entries: Sequence[Unsealed]) -> "asyncio.Future[list[Receipt]]":
        """Append entries of one tenant, all or none.

        Returns:
            Where they stand, when they are durable and sequenced.

        Raises:
            Overloaded: too many entries wait; nothing was done.
            RequestIdReused: an entry id was used before with another entry.
            DependencyUnavailable: PostgreSQL is not there. Whether the entries were appended is known only when it went
                away in between: a repetition finds out.
        """
        if self._waiting + len(entries) > self._queue:
            raise Overloaded("too many entries wait to be sequenced", retry_after=timedelta(milliseconds=100))
        self._waiting += len(entries)
        return self._logs[entries[0].draft.tenant].append(entries)

    async def appended(self, tenant: str, most: timedelta) -> None:
        """Return at the next append of this replica to a log, or after `most`."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._logs[tenant].appended.wait(), most.total_seconds())

    async def run(self) -> None:
        """Sequence, for ever."""
        async with asyncio.TaskGroup() as group:
            for tenant in self._logs.values():
                group.create_task(tenant.run())

    def _done(self, entries: int) -> None:
        self._waiting -= entries


class _TenantSequencer:
    """Appends to one tenant's log.

    Args:
        tenant: Whose log.
        writer: Of the log; ends the generation of keys when it finds an erasure.
        sealer: Knows the keys.
        breaker: The database's breaker.
        done: Is told how many entries wait no longer.
    """

    def __init__(
        self, tenant: str, writer: LogWriter, sealer: Sealer, breaker: Breaker, done: Callable[[int], None]
    ) -> None:
        self._tenant = tenant
        self._writer = writer
        self._sealer = sealer
        self._breaker = breaker
        self._done = done
        self._groups: deque[Group[Unsealed]] = deque()
        self._arrival = asyncio.Event()
        self.appended = asyncio.Event()
        """Is set, and replaced, at every append."""

    def append(self, entries: Sequence[Unsealed]) -> "asyncio.Future[list[Receipt]]":
        receipts: asyncio.Future[list[Receipt]] = asyncio.get_running_loop().create_future()
        self._groups.append(Group(entries, receipts))
        self._arrival.set()
        return receipts

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while True:
                await self._arrival.wait()
                groups = self._take()
                start = time.perf_counter()
                # Whoever gave up waiting will ask again with the same id, or not at all.
                staying = [group for group in groups if not group.receipts.cancelled()]
                error = await self._sequence(staying)
                self._done(_entries(groups))
                if staying:
                    # Afterwards, for by now somebody waits for nothing but to go on.
                    end = time.perf_counter()
                    loop.call_soon(telemetry.record_batch, self._tenant, _entries(staying), start, end, error)
                if not self._groups:
                    self._arrival.clear()
        finally:
            self._writer.disconnect()

    def _take(self) -> list[Group[Unsealed]]:
        taken: list[Group[Unsealed]] = []
        entries = 0
        while self._groups and (not taken or entries + len(self._groups[0].entries) <= _BATCH):
            group = self._groups.popleft()
            taken.append(group)
            entries += len(group.entries)
        return taken

    async def _sequence(self, groups: list[Group[Unsealed]]) -> str:
        """Answer those who wait; return the type of the error that all of them got, if any."""
        try:
            await self._append(groups)
        # Whatever it is belongs to those who wait for this batch, and must not end the sequencer for the others.
        except Exception as error:
            unavailable = is_unavailable(error)
            if not unavailable and not isinstance(error, TRANSIENT):
                log.exception("a batch could not be sequenced")
            self._writer.disconnect()
            for group in groups:
                if not group.receipts.done():
                    group.receipts.set_exception(DependencyUnavailable(DEPENDENCY) if unavailable else error)
            return type(error).__name__
        return ""

    async def _append(self, waiting: list[Group[Unsealed]]) -> None:
        known: dict[str, Known] = {}
        groups, generation = await self._seal(waiting)
        locked, attempts = False, 0
        while attempts <= _LOCKED_ATTEMPTS:
            groups = settle(groups, known)
            if not groups:
                return
            with self._breaker.calling():
                known |= await self._writer.append(_new_entries(groups, known), locked=locked)
            self._notify()
            locked = True
            if generation == self._sealer.generation(self._tenant):
                attempts += 1
            else:
                groups, generation = await self._seal(waiting)
        if settle(groups, known):
            raise DependencyUnavailable(DEPENDENCY)

    async def _seal(self, groups: Iterable[Group[Unsealed]]) -> tuple[list[Group[Sealed]], int]:
        """Return the entries sealed, and the generation of the keys that they are sealed under.

        Here, together: one by one, amid all that each call does, it costs three times as much. Only `LogWriter.append`
        ends a generation, and not meanwhile: all keys that are used here are of one.
        """
        generation = self._sealer.generation(self._tenant)
        sealed = []
        number = 0
        for group in groups:
            entries = []
            for entry in group.entries:
                fresh = entry if entry.subject.generation == generation else await self._sealer.renewed(entry)
                entries.append(fresh.seal())
                number += 1
                if number % _CHUNK == 0:
                    await asyncio.sleep(0)
            sealed.append(Group(entries, group.receipts))
        return sealed, generation

    def _notify(self) -> None:
        self.appended.set()
        self.appended = asyncio.Event()


def _entries(groups: Iterable[Group[Unsealed]]) -> int:
    return sum(len(group.entries) for group in groups)


def settle(groups: Iterable[Group[Sealed]], known: Mapping[str, Known]) -> list[Group[Sealed]]:
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


def _new_entries(groups: Iterable[Group[Sealed]], known: Mapping[str, Known]) -> list[Sealed]:
    """Return the entries that are not known, the first of each id; `settle` has seen to it that they are equals."""
    new: dict[str, Sealed] = {}
    for group in groups:
        for entry in group.entries:
            if entry.draft.entry_id not in known:
                new.setdefault(entry.draft.entry_id, entry)
    return list(new.values())
