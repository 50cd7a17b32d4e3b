"""Finds entries: each filter has an index that ends with the entry's, so that no page costs more in a longer log.

A range of times becomes a range of indexes first, since the append time never decreases with the index.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa
from proofloop_runtime.database import UnitOfWork
from proofloop_verifier.leaf import Outcome

from proofloop_audit.log.domain import EntryFilter
from proofloop_audit.log.store import ENTRIES, EntryRow, log_entry

_ENDLESS = 2**63 - 1


class Span(NamedTuple):
    """The indexes begin … end - 1."""

    begin: int = 0
    end: int = _ENDLESS

    def after(self, index: int | None, *, newest_first: bool) -> "Span":
        """Return what is left of it behind an index, in the order asked for."""
        if index is None:
            return self
        if newest_first:
            return Span(self.begin, min(self.end, index))
        return Span(max(self.begin, min(index, _ENDLESS - 1) + 1), self.end)


async def select_span(unit: UnitOfWork, wanted: EntryFilter) -> Span:
    """Return the indexes of the entries that were appended in the filter's time."""
    begin, end = Span()
    if wanted.start_time is not None:
        begin = await _first_index(unit, wanted.start_time)
    if wanted.end_time is not None:
        end = await _first_index(unit, wanted.end_time)
    return Span(begin, end)


async def select_entries(
    unit: UnitOfWork,
    wanted: EntryFilter,
    pseudonyms: Sequence[str] | None,
    span: Span,
    *,
    limit: int,
    newest_first: bool = False,
) -> list[EntryRow]:
    """Return entries that match every condition, by index.

    Args:
        unit: The transaction.
        wanted: Conditions; its actor is given as `pseudonyms`, its time as `span`.
        pseudonyms: Pseudonyms of the actor; None: of any.
        span: Where to look.
        limit: Most entries.
        newest_first: Descending.
    """
    if pseudonyms == []:
        return []
    statement = entries_statement(unit.tenant, wanted, pseudonyms, span, limit=limit, newest_first=newest_first)
    return [EntryRow(**row) for row in (await unit.execute(statement)).mappings()]


def entries_statement(
    tenant: str,
    wanted: EntryFilter,
    pseudonyms: Sequence[str] | None,
    span: Span,
    *,
    limit: int,
    newest_first: bool,
) -> sa.Select[Any] | sa.CompoundSelect[Any]:
    """Return what `select_entries` executes; at least one pseudonym, if any."""
    pages = [
        _page(tenant, wanted, pseudonym, span, limit=limit, newest_first=newest_first)
        for pseudonym in (pseudonyms or (None,))
    ]
    if len(pages) == 1:
        return pages[0]
    # An index yields the entries of one pseudonym in order, and those of two one after the other.
    merged = sa.union_all(*(page.subquery().select() for page in pages))
    index = sa.column("index", sa.BigInteger)
    return merged.order_by(index.desc() if newest_first else index).limit(limit)


def _page(
    tenant: str, wanted: EntryFilter, pseudonym: str | None, span: Span, *, limit: int, newest_first: bool
) -> sa.Select[Any]:
    """Return a page as a range of one filter's index, that of the filter which likely fits the fewest; others sift.

    With plain equality the index would be PostgreSQL's to choose. It judges by which values a column had of late, and
    walks the whole log for one that is rare or new. A range of pairs fits one index alone.
    """
    given = {
        name: value
        for name, value in (
            ("session_id", wanted.session_id),
            ("claim_id", wanted.claim_id),
            ("entity_id", wanted.entity_id),
            ("pseudonym", pseudonym),
            ("outcome", wanted.outcome),
            ("action", wanted.action),
            ("entity_type", wanted.entity_type),
        )
        if value is not None
    }
    entry = log_entry.c
    key: list[sa.Column[Any]] = [entry.index]
    bounds: list[list[Any]] = [[span.begin], [span.end]]
    # Successes are in no index but the log's own.
    leading = next((name for name, value in given.items() if value != Outcome.SUCCESS), None)
    if leading is not None:
        key.insert(0, entry[leading])
        for bound in bounds:
            bound.insert(0, given[leading])
    begin, end = (sa.tuple_(*map(_literal, bound, key)) for bound in bounds)
    conditions = [entry.tenant == tenant, sa.tuple_(*key) >= begin, sa.tuple_(*key) < end]
    conditions += [(entry[name] == value).is_(sa.true()) for name, value in given.items() if name != leading]
    if leading in _PARTIAL:
        conditions.append(_PARTIAL[leading])
    return ENTRIES.where(*conditions).order_by(*(c.desc() if newest_first else c for c in key)).limit(limit)


def _literal(value: Any, column: sa.Column[Any]) -> sa.BindParameter[Any]:
    return sa.literal(value, column.type)


_PARTIAL = {
    "session_id": log_entry.c.session_id.is_not(None),
    "claim_id": log_entry.c.claim_id.is_not(None),
    "outcome": log_entry.c.outcome != sa.literal_column(f"'{Outcome.SUCCESS}'"),
}
"""What the partial indexes hold, in the words of their migrations."""


async def _first_index(unit: UnitOfWork, time: datetime) -> int:
    """Return the index of the first entry that was appended at `time` or later; the log's size where none was."""
    found = await unit.execute(FIRST_INDEX, {"tenant": unit.tenant, "time": time})
    index: int = found.scalar_one()
    return index


FIRST_INDEX = sa.text("""
    WITH RECURSIVE search (low, high) AS (
        SELECT CAST(0 AS bigint), coalesce((SELECT max(index) + 1 FROM log_entry WHERE tenant = :tenant), 0)
        UNION ALL
        SELECT
            CASE WHEN middle.append_time < :time THEN middle.index + 1 ELSE low END,
            CASE WHEN middle.append_time < :time THEN high ELSE middle.index END
        FROM search, LATERAL (
            SELECT index, append_time FROM log_entry WHERE tenant = :tenant AND index = (low + high) / 2 LIMIT 1
        ) AS middle
        WHERE low < high
    )
    SELECT max(low) FROM search
""").bindparams(sa.bindparam("time", type_=sa.DateTime(timezone=True)))
"""Halves the log until the first entry of a time is found: one look at the primary key for each bit of its size."""
