"""Takes in streams of entries: group after group, at the pace of the log, in constant memory."""

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from datetime import timedelta
from typing import NamedTuple, TypeVar

from proofloop_runtime.errors import DomainError, Draining, InvalidArgument, Overloaded, RequestIdReused
from proofloop_runtime.tasks import cancel

from proofloop_audit.log.domain import Draft, Receipt
from proofloop_audit.log.sealing import Sealer, Unsealed
from proofloop_audit.log.sequencer import Sequencer

LARGEST_GROUP = 500
"""Most entries of a group, by the contract."""
_CHUNK = 100
"""Entries that are sealed before the event loop gets its turn."""
_LOOK_EVERY = timedelta(milliseconds=100)
"""While the sequencer's queue is full, of other tenants' entries perhaps."""
_ENTRY = re.compile(r"entries\[(\d+)\]")

Item = TypeVar("Item")


class Progress(NamedTuple):
    """How far an import has come.

    Attributes:
        entries: Entries of the stream that are in the log.
        last: The last of them.
    """

    entries: int
    last: Receipt


class Importer:
    """Appends streams of entries.

    Args:
        sealer: Seals.
        sequencer: Appends. One group of an import waits in its queue at a time, for those behind a group that is
            refused must not be appended; and all imports together fill half of the queue, if it holds more than one
            group, so that they never keep out who appends a single entry.
        queue: Most entries that wait in the sequencer's queue.
        draining: Is set when this replica shuts down; every import then ends.
    """

    def __init__(self, sealer: Sealer, sequencer: Sequencer, queue: int, draining: asyncio.Event) -> None:
        self._sealer = sealer
        self._sequencer = sequencer
        self._turns = asyncio.Semaphore(max(1, queue // 2 // LARGEST_GROUP))
        self._draining = draining

    async def run(self, groups: AsyncIterator[Sequence[Draft]]) -> AsyncGenerator[Progress, None]:
        """Append groups of entries of one tenant, each all or none, and tell of each.

        The next group is read and sealed while one is being written.

        Raises:
            DomainError: a group could not be read or appended. Those before it were, and were told of; those behind
                it were not. The metadata has the `position` in the stream of an entry at fault.
            Draining: this replica shuts down.
        """
        done = 0
        entries: Sequence[Unsealed] = ()
        async with aclosing(_one_ahead(self._sealed(groups), self._draining)) as ahead:
            try:
                async for entries in ahead:
                    receipts = await self._append(entries)
                    done += len(entries)
                    yield Progress(done, receipts[-1])
            except (InvalidArgument, RequestIdReused) as error:
                _locate(error, entries, done)
                raise

    async def _sealed(self, groups: AsyncIterator[Sequence[Draft]]) -> AsyncGenerator[Sequence[Unsealed], None]:
        async for drafts in groups:
            entries = []
            for number, draft in enumerate(drafts):
                if number and number % _CHUNK == 0:
                    await asyncio.sleep(0)
                entry = await self._sealer.unsealed(draft)
                entry.seal()
                entries.append(entry)
            yield entries

    async def _append(self, entries: Sequence[Unsealed]) -> list[Receipt]:
        async with self._turns:
            while True:
                try:
                    return await self._sequencer.append(entries)
                except Overloaded:
                    # An import has time: it is slower then, and that is all.
                    await self._sequencer.appended(entries[0].draft.tenant, _LOOK_EVERY)


def _locate(error: DomainError, entries: Sequence[Unsealed], before: int) -> None:
    """Say where in the stream the entry at fault stands, if it is the fault of one."""
    found = _ENTRY.match(error.metadata.get("field", ""))
    if found:
        number = int(found[1])
    elif isinstance(error, RequestIdReused):
        number = [entry.draft.entry_id for entry in entries].index(error.metadata["request_id"])
    else:
        return
    error.metadata["position"] = str(before + number)


async def _one_ahead(items: AsyncGenerator[Item, None], stop: asyncio.Event) -> AsyncGenerator[Item, None]:
    """Yield items, each read while the one before is being worked on, until there are none.

    Raises:
        Draining: `stop` was set.
    """
    stopping = asyncio.ensure_future(stop.wait())
    reading = asyncio.ensure_future(anext(items, None))
    try:
        while True:
            await asyncio.wait((reading, stopping), return_when=asyncio.FIRST_COMPLETED)
            if stopping.done():
                raise Draining
            item = await reading
            if item is None:
                return
            reading = asyncio.ensure_future(anext(items, None))
            yield item
    finally:
        await cancel([reading, stopping])
