"""Erasing people, and the legal holds that forbid it. All of it happens in the caller's transaction."""

from collections.abc import Sequence
from dataclasses import dataclass

from proofloop_runtime import erasure
from proofloop_runtime.call import current
from proofloop_runtime.database import Database, UnitOfWork
from proofloop_runtime.events import Actor
from proofloop_runtime.ports import Ids
from proofloop_runtime.telemetry import current_trace_id
from proofloop_verifier.leaf import Outcome

from proofloop_audit import events
from proofloop_audit.errors import LegalHoldActive, LegalHoldNotFound
from proofloop_audit.log import erasure_store, hold_store, writer
from proofloop_audit.log.domain import ERASED, Draft, Receipt
from proofloop_audit.log.hold_store import ActRow, HoldRow
from proofloop_audit.log.holds import Hold, HoldAct, HoldScope
from proofloop_audit.log.sealing import SealedName, Sealer, name_of, open_name, seal_name, to_actor
from proofloop_audit.log.store import select_size

_PACKETS = 1_000
_HOLDS_NAMED = 20


@dataclass(frozen=True, slots=True)
class Erasure:
    """What became of an erasure.

    Attributes:
        pseudonyms: What the person is called in leaves, the newest first; at least one.
        entry_count: How many entries they had.
        packet_ids: Packets that name them, as far as the log tells, newest first.
        more_packets: There are more.
        receipt: Where the log says so of the newest pseudonym.
    """

    pseudonyms: Sequence[str]
    entry_count: int
    packet_ids: Sequence[str]
    more_packets: bool
    receipt: Receipt


class Subjects:
    """What can be done about people.

    Args:
        database: The service's database.
        sealer: Knows their keys.
        ids: Makes ids.
    """

    def __init__(self, database: Database, sealer: Sealer, ids: Ids) -> None:
        self._database = database
        self._sealer = sealer
        self._ids = ids

    async def erase(self, unit: UnitOfWork, *, person: Actor, reason: str) -> Erasure:
        """Destroy a person's keys, and say so in the log and to the other services.

        The log is locked from before the holds are looked at until the transaction ends: whoever appends afterwards
        finds the entry of the erasure where they believed the log to end.

        Raises:
            LegalHoldActive: holds cover the person.
        """
        await hold_store.lock(unit)
        name = name_of(person)
        # What may take long is read while others still append.
        size = await select_size(unit)
        pseudonyms = await self._sealer.pseudonyms_within(unit, name)
        count = await erasure_store.count_entries(unit, pseudonyms, start=0, end=size)
        packets = await erasure_store.packets_after_acts(unit, pseudonyms, limit=_PACKETS + 1)
        await writer.lock(unit)
        # A period may have begun meanwhile, and what stands under its pseudonym is no older than `size`.
        pseudonyms = await self._sealer.pseudonyms_within(unit, name) or [self._sealer.new_pseudonym()]
        count += await erasure_store.count_entries(unit, pseudonyms, start=size)
        if holds := await hold_store.covering(unit, pseudonyms, limit=_HOLDS_NAMED):
            raise LegalHoldActive(holds)
        await erasure_store.delete_subjects(unit, pseudonyms)
        receipt = await self._tell(unit, person, pseudonyms, reason)
        return Erasure(pseudonyms, count, packets[:_PACKETS], len(packets) > _PACKETS, receipt)

    async def _tell(self, unit: UnitOfWork, person: Actor, pseudonyms: Sequence[str], reason: str) -> Receipt:
        """Append the entries that name nobody, publish the event that does, and forget the person ourselves."""
        newest, *others = pseudonyms
        event = events.subject_erased(self._ids.uuid7(), person, newest, _caller(), unit.clock.now(), reason)
        call = current()
        draft = Draft(
            entry_id=event.event_id,
            tenant=unit.tenant,
            service=unit.service,
            actor_type=event.actor.type,
            actor_id=event.actor.id,
            action=ERASED,
            outcome=Outcome.SUCCESS,
            entity_type=event.entity_type,
            entity_id=newest,
            event_time=event.time,
            correlation_id=call.correlation_id or None,
            trace_id=current_trace_id() or None,
            reason=reason,
            ip_address=call.ip_address,
            user_agent=call.user_agent,
        )
        drafts = [draft, *(draft._replace(entry_id=self._ids.uuid7(), entity_id=other) for other in others)]
        entries = await self._sealer.unsealed_within(unit, drafts)
        receipts = await writer.append_within(unit, self._database, [entry.seal() for entry in entries])
        await erasure.forget(unit, person, until=event.time)
        await unit.publish(event)
        return receipts[0]

    async def place_hold(self, unit: UnitOfWork, *, scope: HoldScope, reason: str) -> Hold:
        """Place a hold."""
        await hold_store.lock(unit)
        act = HoldAct(unit.clock.now(), _caller(), reason)
        hold = Hold(self._ids.uuid7(), scope, act, last_event_id=self._ids.uuid7())
        subject = None if scope.subject is None else await self._sealed(unit, hold, "subject", scope.subject)
        row = HoldRow(
            hold.hold_id,
            scope.kind,
            scope.claim_id,
            subject,
            ActRow(act.time, await self._sealed(unit, hold, "placer", _caller()), reason),
            None,
            hold.last_event_id,
        )
        await hold_store.insert(unit, row)
        await unit.publish(events.hold_placed(hold, _caller(), "" if subject is None else subject.pseudonym))
        return hold

    async def release_hold(self, unit: UnitOfWork, *, hold_id: str, reason: str) -> Hold:
        """Release a hold.

        Raises:
            LegalHoldNotFound: there is none of this id.
            LegalHoldReleased: it was released before.
        """
        await hold_store.lock(unit)
        row = await hold_store.select(unit, hold_id)
        if row is None:
            raise LegalHoldNotFound(hold_id)
        [hold] = await self._holds(unit, [row])
        act = HoldAct(unit.clock.now(), _caller(), reason)
        released = hold.release(act, self._ids.uuid7())
        actor = await self._sealed(unit, hold, "releaser", _caller())
        await hold_store.release(unit, hold_id, ActRow(act.time, actor, reason), released.last_event_id)
        await unit.publish(events.hold_released(released, act, _caller()))
        return released

    async def list_holds(
        self, unit: UnitOfWork, *, include_released: bool, after: str | None, limit: int
    ) -> list[Hold]:
        """Return up to `limit` holds behind the id `after`, oldest first."""
        rows = await hold_store.page(unit, include_released=include_released, after=after, limit=limit)
        return await self._holds(unit, rows)

    async def _sealed(self, unit: UnitOfWork, hold: Hold, part: str, actor: Actor) -> SealedName:
        subject = await self._sealer.subject_within(unit, name_of(actor))
        return seal_name(subject, _place(hold.hold_id, part), name_of(actor))

    async def _holds(self, unit: UnitOfWork, rows: Sequence[HoldRow]) -> list[Hold]:
        """Return holds with the names of those who are not erased."""
        keys = await self._sealer.keys_within(unit, {name.pseudonym for row in rows for name in row.names()})

        def opened(row: HoldRow, part: str, sealed: SealedName | None) -> Actor | None:
            name = None if sealed is None else open_name(keys, _place(row.hold_id, part), sealed)
            return None if name is None else to_actor(name)

        def act(row: HoldRow, part: str, stored: ActRow) -> HoldAct:
            return HoldAct(stored.time, opened(row, part, stored.actor), stored.reason)

        return [
            Hold(
                row.hold_id,
                HoldScope(row.scope, opened(row, "subject", row.subject), row.claim_id),
                act(row, "placer", row.placed),
                row.last_event_id,
                None if row.released is None else act(row, "releaser", row.released),
            )
            for row in rows
        ]


def _place(hold_id: str, part: str) -> str:
    return f"hold/{hold_id}/{part}"


def _caller() -> Actor:
    caller = current().caller
    return Actor(caller.type, caller.id)
