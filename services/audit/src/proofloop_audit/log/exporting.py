"""Hands out entries in bulk, a line each: page after page, in constant memory, of a log that goes on growing."""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from proofloop_runtime.call import CallContext
from proofloop_runtime.database import Database
from proofloop_runtime.errors import Draining
from proofloop_runtime.ports import Ids
from proofloop_runtime.telemetry import current_trace_id
from proofloop_verifier.leaf import Outcome

from proofloop_audit.errors import TreeSizeOutOfRange
from proofloop_audit.log import handlers, lines, ocsf
from proofloop_audit.log.domain import Draft, EntryFilter, PersonalPart
from proofloop_audit.log.sealing import Sealer
from proofloop_audit.log.search import Span, select_entries, select_span
from proofloop_audit.log.sequencer import Sequencer
from proofloop_audit.log.store import EntryRow, select_size

ACTION = "log.exported"
SERVICE = "audit"

_PAGE = 250
"""Entries that are read in one transaction; of the longest ones, so many take 40 MB."""
_PIECE = 256 * 1024
"""Most bytes of a piece, unless one line alone is longer."""


class Format(StrEnum):
    """The form of a line."""

    JSONL = "jsonl"
    OCSF = "ocsf"


Opened: TypeAlias = tuple[EntryRow, PersonalPart]

_WRITERS: Mapping[Format, Callable[[EntryRow, PersonalPart], bytes]] = {
    Format.JSONL: lines.write,
    Format.OCSF: ocsf.write,
}


@dataclass(frozen=True, slots=True)
class Export:
    """What to export.

    Attributes:
        wanted: Which entries.
        tree_size: Of the first so many entries; 0: of all there are now.
        format: The form of a line.
    """

    wanted: EntryFilter
    tree_size: int
    format: Format


class Exporter:
    """Exports entries, and appends an entry about each export.

    Args:
        draining: Is set when this replica shuts down; every export then ends.
    """

    def __init__(
        self, database: Database, sealer: Sealer, sequencer: Sequencer, ids: Ids, draining: asyncio.Event
    ) -> None:
        self._database = database
        self._sealer = sealer
        self._sequencer = sequencer
        self._ids = ids
        self._draining = draining

    async def run(self, export: Export, call: CallContext) -> AsyncGenerator[bytes, None]:
        """Yield the lines, in pieces of whole lines; one empty piece where there are none.

        Raises:
            TreeSizeOutOfRange: the log does not have the size asked for.
            Draining: this replica shuts down.
        """
        span, size = await self._span(export)
        # Before anything is handed out: nobody reads the log in bulk without the log saying so.
        await handlers.append([self._record(export, size, call)], sealer=self._sealer, sequencer=self._sequencer)
        write = _WRITERS[export.format]
        piece: list[bytes] = []
        length, empty = 0, True
        async with aclosing(self._entries(export.wanted, span, call.caller.tenant)) as entries:
            async for row, part in entries:
                line = write(row, part)
                if length + len(line) > _PIECE and piece:
                    yield b"".join(piece)
                    piece, length, empty = [], 0, False
                piece.append(line)
                length += len(line)
        if piece or empty:
            yield b"".join(piece)

    async def _span(self, export: Export) -> tuple[Span, int]:
        """Return the indexes to look at, and the log's size of which they are a part."""
        async with self._database.transaction() as unit:
            log_size = await select_size(unit)
            size = export.tree_size or log_size
            if size > log_size:
                raise TreeSizeOutOfRange(size, log_size)
            span = await select_span(unit, export.wanted)
        return Span(span.begin, min(span.end, size)), size

    async def _entries(self, wanted: EntryFilter, span: Span, tenant: str) -> AsyncGenerator[Opened, None]:
        pseudonyms = None if wanted.actor_id is None else await self._sealer.pseudonyms(tenant, wanted.actor_id)
        while True:
            if self._draining.is_set():
                raise Draining
            async with self._database.transaction(tenant) as unit:
                rows = await select_entries(unit, wanted, pseudonyms, span, limit=_PAGE)
            async for opened in handlers.open_rows(rows, tenant, self._sealer):
                yield opened
            if len(rows) < _PAGE:
                return
            span = span.after(rows[-1].index, newest_first=False)

    def _record(self, export: Export, size: int, call: CallContext) -> Draft:
        caller = call.caller
        details = {"filters": export.wanted.names(), "format": export.format, "tree_size": size}
        return Draft(
            entry_id=self._ids.uuid7(),
            tenant=caller.tenant,
            service=SERVICE,
            actor_type=caller.type,
            actor_id=caller.id,
            action=ACTION,
            outcome=Outcome.SUCCESS,
            entity_type="log",
            entity_id=caller.tenant,
            correlation_id=call.correlation_id or None,
            trace_id=current_trace_id() or None,
            ip_address=call.ip_address,
            user_agent=call.user_agent,
            details=json.dumps(details),
        )
