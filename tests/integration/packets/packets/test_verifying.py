"""VerifyPacket, of bytes that are no packet; of packets, see `making`."""

from google.api.httpbody_pb2 import HttpBody
from proofloop.packets.v1 import packets_pb2
from proofloop.packets.v1 import packets_service_pb2 as contract


async def pieces(*contents: bytes):
    for content in contents:
        yield contract.VerifyPacketRequest(body=HttpBody(data=content))


async def test_bytes_that_are_no_packet_are_an_answer_and_not_an_error(ann) -> None:
    report = await ann.packets.VerifyPacket(pieces(b"PK\x03\x04", b"nonsense"))
    assert report.verdict == packets_pb2.VERDICT_FAILED
    assert report.findings[0].check == "archive"
    assert (report.size, report.entries_proven, report.packet_id) == (12, 0, "")


async def test_nothing_at_all_is_refused(ann, refused) -> None:
    with refused("INVALID_ARGUMENT", "FILE_EMPTY"):
        await ann.packets.VerifyPacket(pieces())


async def test_a_packet_past_the_limit_is_refused(replica, connect, refused) -> None:
    async with replica(packet_bytes=10) as service, connect(service, "ann", "claimant") as ann:
        with refused("INVALID_ARGUMENT", "FILE_TOO_LARGE") as seen:
            await ann.packets.VerifyPacket(pieces(b"01234567", b"890"))
        assert seen[0].metadata["limit_bytes"] == "10"
