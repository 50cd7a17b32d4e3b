"""Packets that are taken up again: after a failure, after a crash, by another replica."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta

import asyncpg
from proofloop.audit.v1 import log_pb2, log_service_pb2
from proofloop.audit.v1.log_service_pb2_grpc import LogServiceStub
from proofloop.packets.v1 import packets_pb2
from proofloop.packets.v1 import packets_service_pb2 as contract
from proofloop_local.servers.postgres import Database
from proofloop_packets.settings import PacketsSettings
from pydantic import SecretStr

from .conftest import asked, fetched, made, verified, watched


async def test_a_packet_made_again_is_the_same_byte_for_byte(ann, packets_database) -> None:
    claim = await ann.open_claim()
    await ann.upload(claim.claim_id, b"28 units received")
    first = await made(ann, claim.claim_id)
    await ann.upload(claim.claim_id, b"what comes later belongs to the next packet")

    await fall_silent(packets_database, first.packet_id)
    again = (await watched(ann, first.packet_id))[-1]

    assert (again.state, again.attempts) == (packets_pb2.PACKET_STATE_COMPLETED, 2)
    assert (again.sha256, again.size, again.cutoff_time) == (first.sha256, first.size, first.cutoff_time)


async def test_a_cut_off_that_stands_in_the_log_is_used_again(ann, packets_database, audit) -> None:
    claim = await ann.open_claim()
    first = await made(ann, claim.claim_id)

    await fall_silent(packets_database, first.packet_id, forget="cutoff_index = NULL")
    again = (await watched(ann, first.packet_id))[-1]

    assert again.state == packets_pb2.PACKET_STATE_COMPLETED
    report = await verified(ann, await fetched(ann, again.packet_id))
    assert report.verdict == packets_pb2.VERDICT_VERIFIED
    async with audit.channel() as channel:
        cut_offs = log_service_pb2.ListEntriesRequest(claim_id=claim.claim_id, action="packet.cutoff")
        assert len((await LogServiceStub(channel).ListEntries(cut_offs)).entries) == 1


async def test_a_cut_off_of_another_snapshot_is_never_reused(ann, packets_database) -> None:
    claim = await ann.open_claim()
    first = await made(ann, claim.claim_id)

    await fall_silent(packets_database, first.packet_id, forget="snapshot = 'other'::bytea, cutoff_index = NULL")
    again = (await watched(ann, first.packet_id))[-1]

    assert again.state == packets_pb2.PACKET_STATE_FAILED
    assert "cut-off" in again.failure_reason


async def test_a_packet_whose_signer_was_replaced_is_given_up(ann, packets_database) -> None:
    claim = await ann.open_claim()
    first = await made(ann, claim.claim_id)

    await fall_silent(packets_database, first.packet_id, forget="signer_sha256 = 'another'")
    again = (await watched(ann, first.packet_id))[-1]

    assert again.state == packets_pb2.PACKET_STATE_FAILED
    assert "signs summaries" in again.failure_reason


async def test_a_dependency_that_is_down_is_tried_again_and_then_named(replica, connect, audit, refused) -> None:
    async with (
        replica(exports_target="127.0.0.1:1", attempts=2) as service,
        connect(service, "ann", "claimant") as ann,
    ):
        claim = await ann.open_claim()
        packet = await asked(ann, claim.claim_id)
        seen = await watched(ann, packet.packet_id)
        failed = seen[-1]
        assert packets_pb2.PACKET_STATE_PENDING in {each.state for each in seen[1:]}
        assert (failed.state, failed.attempts) == (packets_pb2.PACKET_STATE_FAILED, 2)
        assert failed.failure_reason == "exports is not available"
        with refused("FAILED_PRECONDITION", "PACKET_NOT_COMPLETED") as refusal:
            await ann.packets.GetPacketUrl(contract.GetPacketUrlRequest(packet_id=packet.packet_id))
        assert refusal[0].metadata == {"state": "failed"}
        entry = await entry_of(audit, failed.last_event_id)
        assert (entry.action, entry.outcome) == ("packet.failed", log_pb2.OUTCOME_FAILURE)
        assert json.loads(entry.details_json)["failureReason"] == "exports is not available"


async def test_a_leaving_replica_hands_its_packet_over(replica, connect) -> None:
    async with (
        silent_server() as silent,
        replica(prompts_target=silent) as leaving,
        connect(leaving, "ann", "claimant") as ann,
    ):
        claim = await ann.open_claim()
        packet = await asked(ann, claim.claim_id)
        await until_begun(ann, packet.packet_id)
    async with replica() as staying, connect(staying, "ann", "claimant") as ann:
        last = (await watched(ann, packet.packet_id))[-1]
    assert (last.state, last.attempts) == (packets_pb2.PACKET_STATE_COMPLETED, 1)


async def test_two_replicas_share_the_work_and_make_each_packet_once(replica, connect) -> None:
    async with AsyncExitStack() as stack:
        one = await stack.enter_async_context(replica())
        two = await stack.enter_async_context(replica())
        ann = await stack.enter_async_context(connect(one, "ann", "claimant"))
        again = await stack.enter_async_context(connect(two, "ann", "claimant"))
        claim = await ann.open_claim()
        packets = await asyncio.gather(*(asked(client, claim.claim_id) for client in (ann, again) * 3))
        ends = [
            seen[-1]
            for seen in await asyncio.gather(
                *(watched(client, packet.packet_id) for client, packet in zip((again, ann) * 3, packets, strict=True))
            )
        ]
        assert {(end.state, end.attempts) for end in ends} == {(packets_pb2.PACKET_STATE_COMPLETED, 1)}
        assert len({end.packet_id for end in ends}) == 6


async def test_a_killed_replicas_packet_is_finished_by_another(packets_settings, replica, connect, elsewhere) -> None:
    lease = timedelta(seconds=1)
    async with silent_server() as silent:
        stuck = packets_settings.model_copy(update={"lease": lease, "prompts_target": silent})
        async with killable(stuck) as (process, address):
            async with connect(elsewhere(address), "ann", "claimant") as ann:
                claim = await ann.open_claim()
                packet = await asked(ann, claim.claim_id)
                await until_begun(ann, packet.packet_id)
            process.kill()
            await process.wait()
    async with replica(lease=lease) as survivor, connect(survivor, "ann", "claimant") as ann:
        last = (await watched(ann, packet.packet_id))[-1]
        report = await verified(ann, await fetched(ann, packet.packet_id))
    assert (last.state, last.attempts) == (packets_pb2.PACKET_STATE_COMPLETED, 2)
    assert report.verdict == packets_pb2.VERDICT_VERIFIED


async def until_begun(client, packet_id: str) -> None:
    """Watch a packet until a worker is in the middle of its first step."""
    async for message in client.packets.WatchPacket(contract.WatchPacketRequest(packet_id=packet_id)):
        if message.packet.step == packets_pb2.PACKET_STEP_SNAPSHOT:
            return


async def fall_silent(database: Database, packet_id: str, forget: str = "") -> None:
    """Leave a finished packet as a worker would that died before it could say so, and before what it forgot."""
    connection = await asyncpg.connect(database.owner_url, server_settings={"app.tenants": "acme"})
    try:
        if forget:
            await connection.execute(f"UPDATE packet_material SET {forget} WHERE packet_id = $1", packet_id)  # noqa: S608 - columns of the test's own
        await connection.execute(
            """
            UPDATE packet SET state = 'generating', lease_worker = 'dead', lease_expire_time = now(), end_time = NULL,
                sha256 = NULL, size = NULL, file_name = NULL
            WHERE packet_id = $1
            """,
            packet_id,
        )
    finally:
        await connection.close()


async def entry_of(audit, event_id: str) -> log_pb2.Entry:
    async with audit.channel() as channel:
        request = log_service_pb2.GetEntryRequest(entry_id=event_id, max_wait={"seconds": 20})
        return (await LogServiceStub(channel).GetEntry(request)).entry


@asynccontextmanager
async def silent_server() -> AsyncIterator[str]:
    """A server that takes connections and never says a word."""
    over = asyncio.Event()

    async def say_nothing(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await over.wait()
        writer.close()

    server = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    async with server:
        yield "{}:{}".format(*server.sockets[0].getsockname())
        over.set()


@asynccontextmanager
async def killable(settings: PacketsSettings) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """A packets service in a process of its own, and its address."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "proofloop_packets",
        env=dict(os.environ) | environment(settings),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        yield process, await serving_address(process.stdout)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def serving_address(output: asyncio.StreamReader) -> str:
    said = []
    async for line in output:
        said.append(line.decode())
        if '"message": "serving"' in said[-1]:
            return json.loads(said[-1])["address"]
    raise AssertionError(f"it ended before it served:\n{''.join(said)}")


def environment(settings: PacketsSettings) -> dict[str, str]:
    """The variables that say the same as the settings."""
    said: dict[str, str] = {}
    for name, value in settings:
        match value:
            case None:
                continue
            case SecretStr():
                text = value.get_secret_value()
            case tuple() | frozenset():
                text = json.dumps(sorted(value))
            case timedelta():
                text = f"PT{value.total_seconds()}S"
            case _:
                text = str(value)
        said[f"PACKETS_{name.upper()}"] = text
    return said
