"""Handing out sealed packets."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from proofloop_runtime.call import current
from proofloop_runtime.objects import ObjectStore
from proofloop_runtime.ports import Clock

from proofloop_packets.packets.domain import Packet, object_key

LIFETIME = timedelta(minutes=15)
"""How long a URL works where the caller does not say."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """Signs URLs of sealed packets.

    Attributes:
        objects: Where they are kept.
        clock: The clock.
        requested: Called when a packet was asked for, so that a worker takes it up at once.
    """

    objects: ObjectStore
    clock: Clock
    requested: Callable[[], None]

    async def url(self, packet: Packet, lifetime: timedelta | None) -> tuple[str, datetime]:
        """Return a URL that fetches a packet, and when it stops working.

        Raises:
            PacketNotCompleted: it is not sealed.
        """
        sealed = packet.require_sealed()
        key = object_key(current().caller.tenant, packet.packet_id, sealed.sha256)
        lifetime = lifetime or LIFETIME
        expire_time = self.clock.now() + lifetime
        return await self.objects.signed_url(key, lifetime), expire_time
