"""Asking for packets and looking at them, while nothing can be made: the other services are not there."""

import asyncio
from contextlib import AsyncExitStack, suppress
from uuid import uuid4

import pytest
from google.protobuf.duration_pb2 import Duration
from proofloop.packets.v1 import packets_pb2
from proofloop.packets.v1 import packets_service_pb2 as contract
from proofloop_runtime.errors import DependencyUnavailable


def request(claim_id: str, request_id: str | None = None) -> contract.GeneratePacketRequest:
    return contract.GeneratePacketRequest(request_id=request_id or str(uuid4()), claim_id=claim_id)


async def asked(client, claim_id: str) -> packets_pb2.Packet:
    return (await client.packets.GeneratePacket(request(claim_id))).packet


async def test_a_packet_that_is_asked_for_waits_its_turn(ann) -> None:
    claim = await ann.open_claim()
    packet = await asked(ann, claim.claim_id)
    assert (packet.state, packet.step) == (packets_pb2.PACKET_STATE_PENDING, packets_pb2.PACKET_STEP_QUEUED)
    assert (packet.claim_id, packet.requested_by, packet.progress_percent) == (claim.claim_id, "ann", 0)
    assert not packet.HasField("cutoff_time")
    assert packet.last_event_id


async def test_a_repeated_request_asks_once(ann, refused) -> None:
    claim, other = await ann.open_claim(), await ann.open_claim()
    repeated = request(claim.claim_id)
    answers = await asyncio.gather(*(ann.packets.GeneratePacket(repeated) for _ in range(4)))
    assert len({answer.packet.packet_id for answer in answers}) == 1
    with refused("FAILED_PRECONDITION", "REQUEST_ID_REUSED"):
        await ann.packets.GeneratePacket(request(other.claim_id, repeated.request_id))


async def test_the_newest_packet_of_a_claim_can_be_got(ann, refused) -> None:
    claim = await ann.open_claim()
    with refused("NOT_FOUND", "PACKET_NOT_FOUND"):
        await ann.packets.GetPacket(contract.GetPacketRequest(claim_id=claim.claim_id))
    await asked(ann, claim.claim_id)
    newest = await asked(ann, claim.claim_id)
    by_claim = (await ann.packets.GetPacket(contract.GetPacketRequest(claim_id=claim.claim_id))).packet
    by_id = (await ann.packets.GetPacket(contract.GetPacketRequest(packet_id=newest.packet_id))).packet
    assert by_claim.packet_id == by_id.packet_id == newest.packet_id


async def test_packets_are_listed_newest_first_in_pages(ann, ben, rita) -> None:
    claim, other = await ann.open_claim(), await ben.open_claim()
    packets = [(await asked(ann, claim.claim_id)).packet_id for _ in range(3)]
    of_ben = (await asked(ben, other.claim_id)).packet_id

    async def listed(client, **filters) -> list[str]:
        seen, request = [], contract.ListPacketsRequest(page_size=2, **filters)
        while True:
            page = await client.packets.ListPackets(request)
            seen += [packet.packet_id for packet in page.packets]
            if not page.next_page_token:
                return seen
            request.page_token = page.next_page_token

    assert await listed(ann) == await listed(rita, claim_id=claim.claim_id) == packets[::-1]
    assert await listed(rita) == [of_ben, *packets[::-1]]
    assert await listed(rita, state=packets_pb2.PACKET_STATE_COMPLETED) == []


async def test_nothing_unsealed_has_a_url(ann, refused) -> None:
    claim = await ann.open_claim()
    packet = await asked(ann, claim.claim_id)
    with refused("FAILED_PRECONDITION", "PACKET_NOT_COMPLETED") as seen:
        await ann.packets.GetPacketUrl(contract.GetPacketUrlRequest(packet_id=packet.packet_id))
    assert seen[0].conditions == (packet.packet_id,)
    with refused("NOT_FOUND", "PACKET_NOT_FOUND"):
        await ann.packets.GetPacketUrl(contract.GetPacketUrlRequest(claim_id=claim.claim_id))


@pytest.mark.parametrize("seconds", [59, 86_401, -1])
async def test_a_url_lives_from_a_minute_to_a_day(ann, refused, seconds) -> None:
    lifetime = Duration(seconds=seconds)
    with refused("INVALID_ARGUMENT", "INVALID_FIELD") as seen:
        await ann.packets.GetPacketUrl(contract.GetPacketUrlRequest(packet_id=str(uuid4()), lifetime=lifetime))
    assert seen[0].fields == ("lifetime",)


async def test_a_request_must_say_which_packet(ann, refused) -> None:
    for call, message in (
        (ann.packets.GetPacket, contract.GetPacketRequest()),
        (ann.packets.GetPacketUrl, contract.GetPacketUrlRequest()),
    ):
        with refused("INVALID_ARGUMENT", "INVALID_FIELD") as seen:
            await call(message)
        assert seen[0].fields == ("target",)


async def test_an_unknown_packet_or_claim_is_not_found(ann, refused) -> None:
    nobodys = str(uuid4())
    with refused("NOT_FOUND", "PACKET_NOT_FOUND"):
        await ann.packets.GetPacket(contract.GetPacketRequest(packet_id=nobodys))
    with refused("NOT_FOUND", "CLAIM_NOT_FOUND"):
        await ann.packets.GetPacket(contract.GetPacketRequest(claim_id=nobodys))
    with refused("NOT_FOUND", "CLAIM_NOT_FOUND"):
        await ann.packets.GeneratePacket(request(nobodys))
    with refused("NOT_FOUND", "CLAIM_NOT_FOUND"):
        await ann.packets.ListPackets(contract.ListPacketsRequest(claim_id=nobodys))
    with refused("NOT_FOUND", "PACKET_NOT_FOUND"):
        await anext(aiter(ann.packets.WatchPacket(contract.WatchPacketRequest(packet_id=nobodys))))


async def test_another_claimants_packet_is_refused(ann, ben, refused) -> None:
    claim = await ann.open_claim()
    packet = await asked(ann, claim.claim_id)
    calls = [
        (ben.packets.GeneratePacket, request(claim.claim_id)),
        (ben.packets.GetPacket, contract.GetPacketRequest(packet_id=packet.packet_id)),
        (ben.packets.GetPacket, contract.GetPacketRequest(claim_id=claim.claim_id)),
        (ben.packets.ListPackets, contract.ListPacketsRequest(claim_id=claim.claim_id)),
        (ben.packets.GetPacketUrl, contract.GetPacketUrlRequest(packet_id=packet.packet_id)),
    ]
    for call, message in calls:
        with refused("PERMISSION_DENIED", "NOT_OWNER"):
            await call(message)
    with refused("PERMISSION_DENIED", "NOT_OWNER"):
        await anext(aiter(ben.packets.WatchPacket(contract.WatchPacketRequest(packet_id=packet.packet_id))))
    assert not (await ben.packets.ListPackets(contract.ListPacketsRequest())).packets


async def test_another_tenants_packet_is_not_found(ann, stranger, refused) -> None:
    claim = await ann.open_claim()
    packet = await asked(ann, claim.claim_id)
    with refused("NOT_FOUND", "PACKET_NOT_FOUND"):
        await stranger.packets.GetPacket(contract.GetPacketRequest(packet_id=packet.packet_id))
    with refused("NOT_FOUND", "CLAIM_NOT_FOUND"):
        await stranger.packets.GeneratePacket(request(claim.claim_id))
    with refused("NOT_FOUND", "PACKET_NOT_FOUND"):
        await anext(aiter(stranger.packets.WatchPacket(contract.WatchPacketRequest(packet_id=packet.packet_id))))


async def test_an_auditor_asks_for_no_packet_but_sees_all(ann, audrey, refused) -> None:
    claim = await ann.open_claim()
    packet = await asked(ann, claim.claim_id)
    with refused("PERMISSION_DENIED", "ROLE_MISSING"):
        await audrey.packets.GeneratePacket(request(claim.claim_id))
    got = await audrey.packets.GetPacket(contract.GetPacketRequest(packet_id=packet.packet_id))
    assert got.packet.packet_id == packet.packet_id


async def test_a_watcher_sees_each_failure_and_is_told_when_the_replica_leaves(replica, connect) -> None:
    async with AsyncExitStack() as leaving:
        service = await leaving.enter_async_context(replica())
        async with connect(service, "ann", "claimant") as ann:
            claim = await ann.open_claim()
            packet = await asked(ann, claim.claim_id)
            stream = ann.packets.WatchPacket(contract.WatchPacketRequest(packet_id=packet.packet_id))
            async for message in stream:
                if message.packet.failure_reason:
                    break
            assert message.packet.failure_reason == "prompts is not available"
            rest = asyncio.ensure_future(collect(stream))
            await leaving.aclose()
            messages = await rest
    assert messages[-1].end.reason == "ERROR_REASON_DRAINING"


async def collect(stream) -> list[contract.WatchPacketResponse]:
    """What is left of a stream that the service ends."""
    messages = []
    with suppress(DependencyUnavailable):
        async for message in stream:
            messages.append(message)  # noqa: PERF401 - those before the error are wanted
        pytest.fail("the stream ended well")
    return messages
