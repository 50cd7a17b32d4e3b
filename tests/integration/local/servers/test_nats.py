"""NATS from the wheel keeps acknowledged messages and its address."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import nats
import pytest
from proofloop_local.process import is_running
from proofloop_local.servers import NatsServer


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[NatsServer]:
    async with NatsServer(tmp_path / "nats") as running:
        yield running


async def publish(server: NatsServer, count: int) -> None:
    client = await nats.connect(server.url)
    stream = client.jetstream()
    await stream.add_stream(name="EVENTS", subjects=["event.>"])
    for number in range(count):
        await stream.publish("event.sample", str(number).encode())
    await client.close()


async def kept(server: NatsServer) -> int:
    client = await nats.connect(server.url)
    messages = (await client.jetstream().stream_info("EVENTS")).state.messages
    await client.close()
    return messages


async def test_acknowledged_messages_survive_kill_9_and_restart(server: NatsServer) -> None:
    await publish(server, 3)
    url = server.url
    for end in (server.kill, server.stop):
        await end()
        await server.start()
        assert await kept(server) == 3
        assert server.url == url


async def test_a_client_without_the_password_is_refused(server: NatsServer) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    await reader.readline()
    writer.write(b'CONNECT {"verbose": true}\r\n')
    assert b"Authorization Violation" in await reader.readline()
    writer.close()
    await writer.wait_closed()


async def test_two_run_side_by_side(server: NatsServer, tmp_path: Path) -> None:
    async with NatsServer(tmp_path / "second") as second:
        await publish(server, 1)
        await publish(second, 2)
        assert (await kept(server), await kept(second)) == (1, 2)


async def test_stopping_leaves_no_process(server: NatsServer) -> None:
    pid = server.pid
    await server.stop()
    assert not is_running(pid)
