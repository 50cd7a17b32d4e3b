"""Gives entries their place: group commit, one order per tenant whatever the number of replicas.

Entries that arrive together are sequenced together, in one batch. While a batch is written, the next one is prepared:
its entries are sealed, and placed behind those that are being written, as if that could not fail. Where it does, they
are placed again.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial

from proofloop_runtime.breaker import Breaker
from proofloop_runtime.database import DEPENDENCY, Database, is_unavailable
from proofloop_runtime.errors import TRANSIENT, DependencyUnavailable, Overloaded
from proofloop_runtime.ports import Clock

from proofloop_audit import telemetry
from proofloop_audit.log import settling
from proofloop_audit.log.batch import Batch
from proofloop_audit.log.domain import Receipt
from proofloop_audit.log.sealing import Sealed, Sealer, Unsealed
from proofloop_audit.log.settling import Group, Known, settle
from proofloop_audit.log.writer import LogWriter

_BATCH = 500
"""Most entries of a batch, unless one group alone has more."""
_WORTH_HALVING = 64
"""Entries that wait while nothing is written, of which one half is written while the other one is prepared. With fewer,
a second statement costs more than that brings."""
_LANES = 2
"""One batch is prepared while another one is written."""
_CHUNK = 100
"""Entries that are sealed before the event loop gets its turn."""
_LOCKED_ATTEMPTS = 4
"""Under the lock only entries that another replica appends just then, under the same ids, make an attempt fail; and
erasures, which are not counted, for each is somebody's progress."""

log = logging.getLogger(__name__)


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


@dataclass(slots=True)
class _Prepared:
    """A batch that is ready to be written.

    Attributes:
        groups: Those who wait.
        unsettled: The entries, sealed, of those who are not answered yet.
        new: Those of them that have to be written.
        generation: Of the keys that they are sealed under.
        placed: What has to be written in its place, if it was known where the log would end.
        receipts: Of the unsettled, by entry id, when they are written.
    """

    groups: list[Group[Unsealed]]
    unsettled: list[Group[Sealed]]
    new: list[Sealed]
    generation: int
    placed: Batch | None
    receipts: dict[str, Receipt] = field(default_factory=dict)


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
        self._preparing = asyncio.Lock()
        self._writing = asyncio.Lock()
        self.appended = asyncio.Event()
        """Is set, and replaced, at every append."""

    def append(self, entries: Sequence[Unsealed]) -> "asyncio.Future[list[Receipt]]":
        receipts: asyncio.Future[list[Receipt]] = asyncio.get_running_loop().create_future()
        self._groups.append(Group(entries, receipts))
        self._arrival.set()
        return receipts

    async def run(self) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(_LANES):
                    group.create_task(self._sequence_batches())
        finally:
            self._writer.disconnect()

    async def _sequence_batches(self) -> None:
        """Prepare a batch and write it, for ever; whoever prepares is the next to write."""
        loop = asyncio.get_running_loop()
        while True:
            async with self._preparing:
                await self._arrival.wait()
                taken = self._take()
                prepared = await self._prepare(taken)
                await self._writing.acquire()
            start = time.perf_counter()
            try:
                error = await self._write(prepared)
            finally:
                # The statement of the next batch goes out before anybody is answered.
                self._writing.release()
            settling.answer(prepared.unsettled, prepared.receipts)
            # Afterwards, for by now somebody waits for nothing but to go on.
            loop.call_soon(self._record, taken, prepared, start, time.perf_counter(), error)

    def _take(self) -> list[Group[Unsealed]]:
        most = _BATCH
        if not self._writing.locked() and (waiting := settling.size(self._groups)) >= _WORTH_HALVING:
            most = min(most, waiting // 2)
        taken: list[Group[Unsealed]] = []
        entries = 0
        while self._groups and (not taken or entries + len(self._groups[0].entries) <= most):
            group = self._groups.popleft()
            taken.append(group)
            entries += len(group.entries)
        if not self._groups:
            self._arrival.clear()
        return taken

    async def _prepare(self, groups: Iterable[Group[Unsealed]]) -> _Prepared:
        """Seal and place what can be appended; nothing is left of what cannot, and who waited was told."""
        # Whoever gave up waiting will ask again with the same id, or not at all.
        staying = [group for group in groups if not group.receipts.cancelled()]
        try:
            sealed, generation = await self._seal(staying)
            unsettled, new = settle(sealed, {})
            placed = await self._writer.place(new)
        except Exception as error:  # noqa: BLE001 - whatever it is, those who wait are told, and the others go on
            self._refuse(staying, error)
            return _Prepared([], [], [], 0, None)
        return _Prepared(staying, unsettled, new, generation, placed)

    async def _write(self, prepared: _Prepared) -> str:
        """Append a batch; return the type of the error that all who wait for it got, if any."""
        try:
            await self._append(prepared)
        except Exception as error:  # noqa: BLE001 - as in `_prepare`
            self._writer.disconnect()
            self._refuse(prepared.groups, error)
            return type(error).__name__
        return ""

    def _record(self, taken: list[Group[Unsealed]], prepared: _Prepared, start: float, end: float, error: str) -> None:
        self._done(settling.size(taken))
        if prepared.groups:
            telemetry.record_batch(self._tenant, settling.size(prepared.groups), start, end, error)

    @staticmethod
    def _refuse(groups: Iterable[Group[Unsealed]], error: Exception) -> None:
        unavailable = is_unavailable(error)
        if not unavailable and not isinstance(error, TRANSIENT):
            log.error("a batch could not be sequenced", exc_info=error)
        for group in groups:
            if not group.receipts.done():
                group.receipts.set_exception(DependencyUnavailable(DEPENDENCY) if unavailable else error)

    async def _append(self, prepared: _Prepared) -> None:
        known: dict[str, Known] = {}
        generation, placed = prepared.generation, prepared.placed
        locked, attempts = False, 0
        while prepared.new and attempts <= _LOCKED_ATTEMPTS:
            if generation != self._sealer.generation(self._tenant):
                prepared.unsettled, generation = await self._seal(prepared.groups)
                prepared.unsettled, prepared.new = settle(prepared.unsettled, known)
                placed = None
                # Another one may have begun meanwhile.
                continue
            with self._breaker.calling():
                appended, found = await self._writer.append(prepared.new, placed, locked=locked)
            if appended:
                self._notify()
                prepared.receipts = {entry_id: entry.receipt for entry_id, entry in known.items()} | appended
                return
            known |= found
            prepared.unsettled, prepared.new = settle(prepared.unsettled, known)
            locked, placed = True, None
            if generation == self._sealer.generation(self._tenant):
                attempts += 1
        if prepared.new:
            raise DependencyUnavailable(DEPENDENCY)

    async def _seal(self, groups: Iterable[Group[Unsealed]]) -> tuple[list[Group[Sealed]], int]:
        """Return the entries sealed, and the generation of the keys that they are sealed under.

        Here, together: one by one, amid all that each call does, it costs three times as much. A generation that ends
        meanwhile is found out before anything is written.
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
