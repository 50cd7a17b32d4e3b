"""A worker's hold on a packet, and how the making of one ends otherwise than well."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from proofloop_runtime.database import Database, UnitOfWork
from proofloop_runtime.ports import Clock

from proofloop_packets.packets import domain, store
from proofloop_packets.packets.domain import Packet, PacketStep, Sealed
from proofloop_packets.packets.store import Material


class Unmakeable(Exception):
    """The packet can never be made, however often it is tried; says why in plain words."""


class TryLater(Exception):
    """The packet cannot be made now; says why in plain words."""


@dataclass(slots=True)
class Hold:
    """A worker's hold on one packet: through it the packet is changed, for as long as the lease is not lost."""

    database: Database
    clock: Clock
    tenant: str
    worker: str
    packet: Packet
    changed: Callable[[str, str], None]

    async def change(
        self,
        step: Callable[[Packet], Packet],
        effect: Callable[[UnitOfWork, Packet], Awaitable[None]] | None = None,
    ) -> Packet:
        """Change the packet, and do what belongs to the change in the same transaction.

        Raises:
            LeaseLost: the packet is in other hands.
        """
        async with self.database.transaction(self.tenant) as unit:
            changed = step(await store.get(unit, self.packet.packet_id, lock=True))
            await store.save(unit, self.tenant, changed)
            if effect is not None:
                await effect(unit, changed)
        self.packet = changed
        self.changed(self.tenant, changed.packet_id)
        return changed

    async def begin(self, step: PacketStep) -> None:
        """Say that a step begins."""
        await self.change(lambda packet: domain.begin_step(packet, self.worker, step, self.clock.now()))


Make = Callable[[Hold, Material], Awaitable[Sealed]]
"""Makes one packet. Raises Unmakeable, TryLater or a DomainError of a dependency."""
