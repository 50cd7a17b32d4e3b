"""Use cases of packets."""

from collections.abc import Sequence

from proofloop_runtime import telemetry
from proofloop_runtime.call import current
from proofloop_runtime.database import UnitOfWork
from proofloop_runtime.ports import Ids

from proofloop_packets import access, events
from proofloop_packets.claims import handlers as claims
from proofloop_packets.errors import PacketNotFound
from proofloop_packets.packets import store
from proofloop_packets.packets.domain import Packet, PacketState, request_packet


async def generate_packet(unit: UnitOfWork, ids: Ids, *, claim_id: str) -> Packet:
    """Ask for a packet of a claim.

    Raises:
        ClaimNotFound: there is no such claim.
        NotOwner: it is another claimant's.
    """
    claim = await claims.get_claim_to_change(unit, claim_id=claim_id)
    packet = request_packet(
        packet_id=ids.uuid7(),
        claim_id=claim.claim_id,
        owner_id=claim.owner_id,
        requested_by=current().caller.id,
        event_id=ids.uuid7(),
        now=unit.clock.now(),
    )
    await store.insert(unit, packet, correlation_id=current().correlation_id, trace_context=telemetry.inject())
    await unit.publish(events.packet_requested(packet))
    return packet


async def get_packet(unit: UnitOfWork, *, packet_id: str) -> Packet:
    """Return a packet that the caller may see.

    Raises:
        PacketNotFound: there is none of this id.
        NotOwner: it is about another claimant's claim.
    """
    packet = await store.get(unit, packet_id)
    access.must_see(packet.owner_id)
    return packet


async def newest_packet(unit: UnitOfWork, *, claim_id: str, state: PacketState | None = None) -> Packet:
    """Return the newest packet of a claim, or the newest in a state.

    Raises:
        ClaimNotFound: there is no such claim.
        NotOwner: it is another claimant's.
        PacketNotFound: the claim has none.
    """
    await claims.get_claim(unit, claim_id=claim_id)
    newest = await store.newest_first(unit, claim_id=claim_id, state=state, limit=1)
    if not newest:
        raise PacketNotFound(
            f"the claim has no {state} packet" if state else "the claim has no packet", claim_id=claim_id
        )
    return newest[0]


async def list_packets(
    unit: UnitOfWork, *, claim_id: str | None, state: PacketState | None, before: str | None, limit: int
) -> Sequence[Packet]:
    """Return packets that the caller may see, newest first, older than the packet `before`.

    Raises:
        ClaimNotFound: there is no such claim.
        NotOwner: it is another claimant's.
    """
    if claim_id is not None:
        await claims.get_claim(unit, claim_id=claim_id)
    return await store.newest_first(
        unit, claim_id=claim_id, owner_id=access.only_owner(), state=state, before=before, limit=limit
    )
