"""Erased people: what every service's own tables forget of them, and how a service learns of an erasure.

The audit service publishes `subject.erased`; each service consumes it, blanks what its tables hold of the person, and
keeps hashes and states.
"""

import json
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime

import sqlalchemy as sa
from google.protobuf import json_format
from proofloop.audit.v1.events_pb2 import SubjectErased

from proofloop_runtime import schema
from proofloop_runtime.call import CallerType, background, serving
from proofloop_runtime.consuming import Consumer, PermanentFailure
from proofloop_runtime.database import Database, UnitOfWork
from proofloop_runtime.errors import DependencyUnavailable, DomainError
from proofloop_runtime.events import SUBJECT_PREFIX, Actor, Envelope, attribute_value
from proofloop_runtime.messaging import DEPENDENCY
from proofloop_runtime.processing import processing

SUBJECT = f"{SUBJECT_PREFIX}.*.audit.subject.erased"

Forget = Callable[[UnitOfWork, str], Awaitable[None]]
"""Blanks what the tables of a service hold of the person with an id."""


class ErasureInbox:
    """Obeys erasures, exactly once in effect.

    Args:
        database: The service's database.
        service: Its name.
        forget: Blanks the service's own tables; those of the runtime are seen to here.
    """

    def __init__(self, database: Database, service: str, forget: Forget | None = None) -> None:
        self._database = database
        self._service = service
        self._forget = forget
        self._name = f"{service}-erasure"

    def consumer(self) -> Consumer:
        """Return the durable consumer of erasures."""
        return Consumer(self._name, self.take, SUBJECT, batch=10)

    async def take(self, batch: Sequence[Envelope]) -> list[Exception | None]:
        """Obey each; return what kept one from being obeyed in full."""
        return [await self._take_one(event) for event in batch]

    async def _take_one(self, event: Envelope) -> Exception | None:
        try:
            with processing(self._name, event):
                await self._obey(event)
        except (DomainError, PermanentFailure) as error:
            return error
        return None

    async def _obey(self, event: Envelope) -> None:
        person, time = _erased(event)
        with serving(background(self._service, event.tenant, event.correlation_id)):
            async with self._database.transaction() as unit:
                # Once: what the person does when they come back is not erased by a second delivery.
                if await unit.first_time(self._name, event.event_id) and self._forget is not None:
                    await self._forget(unit, person.id)
                complete = await forget(unit, person, until=time)
        if not complete:
            # What is still to be told in their name goes out first; the event is delivered again until it has.
            raise DependencyUnavailable(DEPENDENCY)


async def forget(unit: UnitOfWork, person: Actor, *, until: datetime) -> bool:
    """Blank what the tables of the runtime hold of a person.

    Removes first answers that they got, and empties those that others got about them; removes published events that
    they caused or that name them. May be repeated.

    Args:
        unit: The transaction.
        person: Whom.
        until: When they were erased; events of later are of somebody new.

    Returns:
        Whether nothing is left; false while events and refusals in their name are still to be published.
    """
    await _forget_answers(unit, person)
    outbox = schema.outbox
    theirs = sa.and_(
        outbox.c.tenant == unit.tenant,
        sa.cast(outbox.c.headers["ce-time"].astext, sa.DateTime(timezone=True)) <= until,
        sa.or_(
            outbox.c.headers["ce-actorid"].astext == attribute_value(person.id),
            _holds(outbox.c.data, json.dumps(person.id, ensure_ascii=False).encode()),
        ),
    )
    await unit.execute(sa.delete(outbox).where(theirs, outbox.c.publish_time.is_not(None)))
    refusal = schema.refusal
    refused = sa.and_(
        refusal.c.tenant == unit.tenant,
        refusal.c.caller_type == person.type,
        refusal.c.caller_id == person.id,
        refusal.c.window_start <= until,
    )
    waiting = sa.or_(
        sa.exists(sa.select(outbox.c.sequence).where(theirs)), sa.exists(sa.select(refusal.c.count).where(refused))
    )
    return not (await unit.execute(sa.select(waiting))).scalar_one()


async def _forget_answers(unit: UnitOfWork, person: Actor) -> None:
    table = schema.idempotency
    await unit.execute(
        sa.delete(table).where(table.c.tenant == unit.tenant, table.c.caller == f"{person.type}:{person.id}")
    )
    # Emptied and not removed: the request of somebody else must not take effect again.
    await unit.execute(
        sa.update(table)
        .where(table.c.tenant == unit.tenant, _holds(table.c.response, _as_field(person.id)))
        .values(response=b"")
    )


def _holds(column: sa.ColumnElement[bytes | None], part: bytes) -> sa.ColumnElement[bool]:
    return sa.func.position(sa.literal(part, sa.LargeBinary).op("IN")(column)) > 0


def _as_field(text: str) -> bytes:
    """Return the text as it stands in a message: its length as a varint, and its bytes."""
    encoded = text.encode()
    length, prefix = len(encoded), bytearray()
    while length > 0x7F:
        prefix.append(length & 0x7F | 0x80)
        length >>= 7
    return bytes(prefix) + bytes([length]) + encoded


def _erased(event: Envelope) -> tuple[Actor, datetime]:
    """Return who was erased, and when.

    Raises:
        PermanentFailure: the event does not say so.
    """
    try:
        message = json_format.Parse(event.data, SubjectErased(), ignore_unknown_fields=True)
        time = datetime.fromisoformat(event.time)
    except (json_format.ParseError, ValueError) as error:
        raise PermanentFailure("the event is no erasure") from error
    if not message.subject_id:
        raise PermanentFailure("the event names nobody")
    return Actor(CallerType.USER, message.subject_id), time
