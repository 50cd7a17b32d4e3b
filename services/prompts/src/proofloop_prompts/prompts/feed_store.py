"""The tables of feeds.

A feed's counter row is raised in the transaction that appends, which holds the row until it commits. Hence numbers
become visible in order and without a gap: a reader that has read up to n has missed nothing before n.
"""

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from proofloop.prompts.v1.prompts_pb2 import FeedEvent
from proofloop_runtime.database import UnitOfWork
from sqlalchemy.dialects import postgresql as pg

from proofloop_prompts.errors import ResumeTokenOutOfRange
from proofloop_prompts.prompts.feed import Position, Recipient

_PAGE = 200

_metadata = sa.MetaData()

_head = sa.Table(
    "feed_head",
    _metadata,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("recipient", sa.Text, primary_key=True),
    sa.Column("last_sequence", sa.BigInteger, nullable=False),
)

_feed = sa.Table(
    "feed",
    _metadata,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("recipient", sa.Text, primary_key=True),
    sa.Column("sequence", sa.BigInteger, primary_key=True),
    sa.Column("append_time", sa.DateTime(timezone=True), nullable=False),
    sa.Column("event", sa.LargeBinary, nullable=False),
)


@dataclass(frozen=True, slots=True)
class Addressed:
    """An event and the feed that it goes to."""

    recipient: Recipient
    event: FeedEvent


async def append(unit: UnitOfWork, items: Sequence[Addressed]) -> None:
    """Append events to feeds, in the order given."""
    if not items:
        return
    sequences = await _reserve(unit, Counter(item.recipient for item in items))
    rows = []
    for item in items:
        sequences[item.recipient] += 1
        rows.append(
            {
                "tenant": unit.tenant,
                "recipient": item.recipient.key,
                "sequence": sequences[item.recipient],
                "append_time": unit.clock.now(),
                "event": item.event.SerializeToString(),
            }
        )
    await unit.execute(sa.insert(_feed), rows)


async def _reserve(unit: UnitOfWork, counts: Counter[Recipient]) -> dict[Recipient, int]:
    """Take as many numbers of each feed as asked for; return the last number before them."""
    # In one order everywhere, so that two transactions that append to the same feeds never wait for each other.
    recipients = sorted(counts)
    insert = pg.insert(_head).values(
        [{"tenant": unit.tenant, "recipient": one.key, "last_sequence": counts[one]} for one in recipients]
    )
    upsert = insert.on_conflict_do_update(
        index_elements=["tenant", "recipient"],
        set_={"last_sequence": _head.c.last_sequence + insert.excluded.last_sequence},
    ).returning(_head.c.recipient, _head.c.last_sequence)
    last = {row.recipient: row.last_sequence for row in await unit.execute(upsert)}
    return {one: last[one.key] - counts[one] for one in recipients}


async def end(unit: UnitOfWork, recipient: Recipient) -> Position:
    """Return the position behind the newest event."""
    query = sa.select(_head.c.last_sequence).where(_head.c.tenant == unit.tenant, _head.c.recipient == recipient.key)
    return Position(recipient, (await unit.execute(query)).scalar() or 0)


async def start(unit: UnitOfWork, recipient: Recipient) -> Position:
    """Return the position before the oldest event that is kept."""
    last = await end(unit, recipient)
    oldest = (await unit.execute(sa.select(sa.func.min(_feed.c.sequence)).where(*_is_of(unit, recipient)))).scalar()
    return last if oldest is None else Position(recipient, oldest - 1)


async def read(unit: UnitOfWork, position: Position, *, limit: int) -> list[tuple[Position, FeedEvent]]:
    """Return up to `limit` events behind a position, each with the position it leads to.

    Raises:
        ResumeTokenOutOfRange: the next event is not kept any more, or the feed never was as long.
    """
    # The counter first: what it counts is there, unless it was removed.
    last = await end(unit, position.recipient)
    if last == position:
        return []
    query = (
        sa.select(_feed.c.sequence, _feed.c.event)
        .where(*_is_of(unit, position.recipient), _feed.c.sequence > position.sequence)
        .order_by(_feed.c.sequence)
        .limit(limit)
    )
    rows = (await unit.execute(query)).all()
    if not rows or rows[0].sequence != position.sequence + 1:
        raise ResumeTokenOutOfRange(
            "what follows the resume token is not kept; list the prompts, then watch from the list's token",
            sequence=str(position.sequence),
            oldest_sequence=str(rows[0].sequence if rows else last.sequence + 1),
        )
    return [(Position(position.recipient, row.sequence), FeedEvent.FromString(row.event)) for row in rows]


async def everything(unit: UnitOfWork, recipient: Recipient) -> AsyncIterator[tuple[Position, FeedEvent]]:
    """Yield every event of a feed that is kept, with the position it leads to."""
    reached = -1
    while True:
        query = (
            sa.select(_feed.c.sequence, _feed.c.event)
            .where(*_is_of(unit, recipient), _feed.c.sequence > reached)
            .order_by(_feed.c.sequence)
            .limit(_PAGE)
        )
        rows = (await unit.execute(query)).all()
        for row in rows:
            reached = row.sequence
            yield Position(recipient, row.sequence), FeedEvent.FromString(row.event)
        if len(rows) < _PAGE:
            return


async def replace(unit: UnitOfWork, position: Position, event: FeedEvent) -> None:
    """Put an event in the place of the one that leads to a position."""
    place = (*_is_of(unit, position.recipient), _feed.c.sequence == position.sequence)
    await unit.execute(sa.update(_feed).where(*place).values(event=event.SerializeToString()))


async def remove(unit: UnitOfWork, recipient: Recipient) -> None:
    """Remove a feed, its counter included; whoever resumes it is OUT_OF_RANGE."""
    await unit.execute(sa.delete(_feed).where(*_is_of(unit, recipient)))
    await unit.execute(sa.delete(_head).where(_head.c.tenant == unit.tenant, _head.c.recipient == recipient.key))


async def trim(unit: UnitOfWork, before: datetime, *, limit: int) -> int:
    """Remove up to about `limit` events appended before a time, always the oldest of a feed; return how many."""
    old = (
        sa.select(_feed.c.recipient, _feed.c.sequence)
        .where(_feed.c.tenant == unit.tenant, _feed.c.append_time < before)
        .order_by(_feed.c.append_time)
        .limit(limit)
        .subquery()
    )
    # Up to a number and not by time: clocks of replicas differ, and a feed must lose no event from its middle.
    upto = (
        sa.select(old.c.recipient, sa.func.max(old.c.sequence).label("sequence")).group_by(old.c.recipient).subquery()
    )
    removed = await unit.execute(
        sa.delete(_feed).where(
            _feed.c.tenant == unit.tenant,
            _feed.c.recipient == upto.c.recipient,
            _feed.c.sequence <= upto.c.sequence,
        )
    )
    return removed.rowcount


def _is_of(unit: UnitOfWork, recipient: Recipient) -> tuple[sa.ColumnElement[bool], ...]:
    return _feed.c.tenant == unit.tenant, _feed.c.recipient == recipient.key
