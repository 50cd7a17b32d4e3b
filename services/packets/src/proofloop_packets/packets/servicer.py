"""PacketService: the edge between the contract and packets."""

from collections.abc import AsyncIterator
from contextlib import aclosing

from proofloop.packets.v1 import packets_service_pb2 as contract
from proofloop.packets.v1.error_reason_pb2 import ErrorReason
from proofloop.packets.v1.packets_pb2 import Heartbeat, StreamEnd
from proofloop.packets.v1.packets_service_pb2_grpc import PacketServiceServicer
from proofloop_runtime import paging
from proofloop_runtime.call import current
from proofloop_runtime.database import Database, UnitOfWork
from proofloop_runtime.errors import DomainError
from proofloop_runtime.grpc_types import ServicerContext
from proofloop_runtime.ports import Ids

from proofloop_packets.packets import conversion, handlers
from proofloop_packets.packets.delivery import Delivery
from proofloop_packets.packets.domain import Packet, PacketState
from proofloop_packets.packets.verification import Verification
from proofloop_packets.packets.watching import Changes


class PacketServicer(PacketServiceServicer):
    """Serves packets."""

    def __init__(
        self, database: Database, ids: Ids, changes: Changes, delivery: Delivery, verification: Verification
    ) -> None:
        self._database = database
        self._ids = ids
        self._changes = changes
        self._delivery = delivery
        self._verification = verification

    async def GeneratePacket(
        self, request: contract.GeneratePacketRequest, context: ServicerContext
    ) -> contract.GeneratePacketResponse:
        """See the contract."""

        async def effect(unit: UnitOfWork) -> contract.GeneratePacketResponse:
            packet = await handlers.generate_packet(unit, self._ids, claim_id=request.claim_id)
            unit.after_commit(self._delivery.requested)
            return contract.GeneratePacketResponse(packet=conversion.from_packet(packet))

        return await self._database.once(request, contract.GeneratePacketResponse, effect)

    async def GetPacket(
        self, request: contract.GetPacketRequest, context: ServicerContext
    ) -> contract.GetPacketResponse:
        """See the contract."""
        async with self._database.transaction() as unit:
            if request.claim_id:
                packet = await handlers.newest_packet(unit, claim_id=request.claim_id)
            else:
                packet = await handlers.get_packet(unit, packet_id=request.packet_id)
        return contract.GetPacketResponse(packet=conversion.from_packet(packet))

    async def ListPackets(
        self, request: contract.ListPacketsRequest, context: ServicerContext
    ) -> contract.ListPacketsResponse:
        """See the contract."""
        position = paging.decode(request)
        limit = paging.size(request)
        async with self._database.transaction() as unit:
            packets = await handlers.list_packets(
                unit,
                claim_id=request.claim_id or None,
                state=conversion.to_state(request.state),
                before=None if position is None else paging.identifier(position),
                limit=limit + 1,
            )
        response = contract.ListPacketsResponse(packets=map(conversion.from_packet, packets[:limit]))
        if len(packets) > limit:
            response.next_page_token = paging.encode(request, [packets[limit - 1].packet_id])
        return response

    async def WatchPacket(
        self, request: contract.WatchPacketRequest, context: ServicerContext
    ) -> AsyncIterator[contract.WatchPacketResponse]:
        """See the contract."""

        async def read() -> Packet:
            async with self._database.transaction() as unit:
                return await handlers.get_packet(unit, packet_id=request.packet_id)

        # Whoever may not see the packet gets no stream but an ordinary error.
        packet_id = (await read()).packet_id
        try:
            async with aclosing(self._changes.follow(current().caller.tenant, packet_id, read)) as changes:
                async for packet in changes:
                    yield _message(packet)
        except DomainError as error:
            # A reader of Server-Sent Events sees no status, only messages.
            reason = ErrorReason.DESCRIPTOR.values_by_number[error.reason].name
            yield contract.WatchPacketResponse(end=StreamEnd(reason=reason, message=error.message))
            raise

    async def GetPacketUrl(
        self, request: contract.GetPacketUrlRequest, context: ServicerContext
    ) -> contract.GetPacketUrlResponse:
        """See the contract."""
        async with self._database.transaction() as unit:
            if request.claim_id:
                packet = await handlers.newest_packet(unit, claim_id=request.claim_id, state=PacketState.COMPLETED)
            else:
                packet = await handlers.get_packet(unit, packet_id=request.packet_id)
        lifetime = request.lifetime.ToTimedelta() if request.HasField("lifetime") else None
        url, expire_time = await self._delivery.url(packet, lifetime)
        response = contract.GetPacketUrlResponse(url=url, packet=conversion.from_packet(packet))
        response.expire_time.FromDatetime(expire_time)
        return response

    async def VerifyPacket(
        self, request_iterator: AsyncIterator[contract.VerifyPacketRequest], context: ServicerContext
    ) -> contract.VerifyPacketResponse:
        """See the contract."""
        pieces = (request.body.data async for request in request_iterator)
        fingerprint, report = await self._verification.verify(pieces)
        return conversion.from_report(fingerprint, report)


def _message(packet: Packet | None) -> contract.WatchPacketResponse:
    if packet is None:
        return contract.WatchPacketResponse(heartbeat=Heartbeat())
    return contract.WatchPacketResponse(packet=conversion.from_packet(packet))
