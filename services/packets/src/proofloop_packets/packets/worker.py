"""The worker: takes up packets that are due, on whichever replica, and keeps its hold on them.

A packet is worked on by one replica at a time. Its lease is renewed while the replica lives; when that dies,
another takes over where it stood, because every step keeps what it found out.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import timedelta

from opentelemetry.trace import SpanKind
from proofloop_runtime import telemetry as runtime_telemetry
from proofloop_runtime.call import background, serving
from proofloop_runtime.database import Database, UnitOfWork
from proofloop_runtime.errors import TRANSIENT, DomainError
from proofloop_runtime.ports import Clock, Ids
from proofloop_runtime.tasks import cancel
from proofloop_runtime.wakeup import Wakeup

from proofloop_packets import events, telemetry
from proofloop_packets.packets import domain, store
from proofloop_packets.packets.domain import Packet, Sealed
from proofloop_packets.packets.hold import Hold, Make, TryLater, Unmakeable
from proofloop_packets.packets.lease import LeaseLost, Patience
from proofloop_packets.packets.store import Material

POLL = timedelta(seconds=1)
"""How long a due packet waits at most when nobody wakes the worker, such as after a delay or a dead replica."""

SERVICE = "packets"

log = logging.getLogger(__name__)


class PacketWorker:
    """Takes up due packets for as long as the service lives.

    Args:
        tenants: Whose packets.
        patience: How long to hold and how often to try.
        wakeup: Says that there may be a packet to take up.
        changed: Called with tenant and id of a packet after each change, to wake those who watch it.
        make: Makes one packet.
        at_once: How many packets this replica makes at the same time.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        ids: Ids,
        tenants: Sequence[str],
        patience: Patience,
        wakeup: Wakeup,
        changed: Callable[[str, str], None],
        make: Make,
        at_once: int,
    ) -> None:
        self._database = database
        self._clock = clock
        self._ids = ids
        self._tenants = tuple(tenants)
        self._patience = patience
        self._wakeup = wakeup
        self._changed = changed
        self._make = make
        self._slots = asyncio.Semaphore(at_once)

    async def run(self) -> None:
        """Take up packets, for ever."""
        async with self._wakeup.listening(), asyncio.TaskGroup() as group:
            while True:
                await self._slots.acquire()
                hold = await self._next()
                group.create_task(self._work(hold)).add_done_callback(lambda _task: self._slots.release())

    async def _next(self) -> Hold:
        while True:
            try:
                hold = await self._take()
            except TRANSIENT as error:
                log.warning("the packet worker waits", extra={"error_type": type(error).__name__})
                hold = None
            if hold is not None:
                return hold
            await self._wakeup.wait(POLL)

    async def _take(self) -> Hold | None:
        worker = self._ids.uuid7()
        async with self._database.transaction(*self._tenants) as unit:
            now = self._clock.now()
            due = await store.next_due(unit, now)
            if due is None:
                return None
            tenant, packet = due
            taken = domain.take_up(packet, worker, now, self._patience)
            await store.save(unit, tenant, taken)
        return Hold(self._database, self._clock, tenant, worker, taken, self._changed)

    async def _work(self, hold: Hold) -> None:
        """Make one packet; whatever comes of it, it is the packet's fate and not the worker's."""
        try:
            async with self._database.transaction(hold.tenant) as unit:
                material = await store.get_material(unit, hold.packet.packet_id, hold.packet.cutoff_time)
            context = background(SERVICE, hold.tenant, material.correlation_id)
            attributes: dict[str, str | int] = {
                runtime_telemetry.TENANT: hold.tenant,
                telemetry.PACKET_ID: hold.packet.packet_id,
                telemetry.PACKET_ATTEMPT: hold.packet.attempts,
            }
            parent = runtime_telemetry.extract(material.trace_context)
            with (
                serving(context),
                runtime_telemetry.span(telemetry.PACKET_SPAN, SpanKind.INTERNAL, attributes, parent),
            ):
                outcome = await self._attempt(hold, material)
            telemetry.attempts.add(1, {telemetry.PACKET_OUTCOME: outcome})
        except asyncio.CancelledError:
            # This replica is leaving: another one goes on at once, not when the lease has run out.
            with suppress(LeaseLost, *TRANSIENT):
                await hold.change(lambda packet: domain.hand_back(packet, hold.worker, self._clock.now()))
                self._wakeup.notify()
            raise
        except LeaseLost:
            log.warning("another worker has the packet", extra={"packet_id": hold.packet.packet_id})
        except TRANSIENT:
            # Not even the failure can be kept: the lease runs out, then the packet is taken up again.
            log.warning("a packet waits for the database", extra={"packet_id": hold.packet.packet_id})

    async def _attempt(self, hold: Hold, material: Material) -> str:
        if hold.packet.attempts > self._patience.attempts:
            return await self._give_up(hold, f"given up after {self._patience.attempts} attempts")
        try:
            sealed = await self._while_held(hold, self._make(hold, material))
        except LeaseLost:
            raise
        except Unmakeable as error:
            return await self._give_up(hold, str(error))
        except (TryLater, DomainError) as error:
            return await self._fail(hold, str(error))
        # A defect is the packet's failure alone: the worker goes on with others, the traceback is in the log.
        except Exception:
            error_id = self._ids.uuid7()
            log.exception("a packet failed", extra={"packet_id": hold.packet.packet_id, "error_id": error_id})
            return await self._fail(hold, f"an unexpected error, logged as {error_id}")
        return await self._complete(hold, sealed)

    async def _while_held(self, hold: Hold, making: Awaitable[Sealed]) -> Sealed:
        """Make the packet and renew the lease meanwhile; stop making it when the lease is lost."""
        work = asyncio.ensure_future(making)
        renewal = asyncio.ensure_future(self._renew(hold))
        try:
            await asyncio.wait((work, renewal), return_when=asyncio.FIRST_COMPLETED)
            if renewal.done():
                renewal.result()
            return await work
        finally:
            await cancel((work, renewal))

    async def _renew(self, hold: Hold) -> None:
        """Renew the lease until it is lost, which raises LeaseLost."""
        while True:
            await asyncio.sleep(self._patience.lease.total_seconds() / 3)
            try:
                async with self._database.transaction(hold.tenant) as unit:
                    held = await store.get(unit, hold.packet.packet_id, lock=True)
                    renewed = domain.renew(held, hold.worker, self._clock.now(), self._patience)
                    await store.save(unit, hold.tenant, renewed)
            except TRANSIENT:
                # The work may still succeed; who holds the packet is decided when the database is back.
                log.warning("a lease was not renewed", extra={"packet_id": hold.packet.packet_id})

    async def _complete(self, hold: Hold, sealed: Sealed) -> str:
        async def publish(unit: UnitOfWork, packet: Packet) -> None:
            await unit.publish(events.packet_generated(packet, sealed))

        event_id = self._ids.uuid7()
        await hold.change(
            lambda packet: domain.complete(packet, hold.worker, sealed, event_id, self._clock.now()), publish
        )
        return "completed"

    async def _fail(self, hold: Hold, reason: str) -> str:
        if hold.packet.attempts >= self._patience.attempts:
            return await self._give_up(hold, reason)
        log.warning("a packet is tried later", extra={"packet_id": hold.packet.packet_id})
        await hold.change(
            lambda packet: domain.try_later(packet, hold.worker, reason, self._clock.now(), self._patience)
        )
        return "try_later"

    async def _give_up(self, hold: Hold, reason: str) -> str:
        async def publish(unit: UnitOfWork, packet: Packet) -> None:
            await unit.publish(events.packet_failed(packet))

        event_id = self._ids.uuid7()
        await hold.change(
            lambda packet: domain.give_up(packet, hold.worker, reason, event_id, self._clock.now()), publish
        )
        return "failed"
