"""Ask a server on loopback whether it answers, without an HTTP library."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from proofloop_local.servers.ports import LOOPBACK


@asynccontextmanager
async def connection(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A TCP connection to a port on loopback. Raises OSError when nobody listens."""
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    try:
        yield reader, writer
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


async def http_status(method: str, port: int, target: str) -> int:
    """The status of an HTTP/1.1 request without a body.

    Raises OSError when nobody listens or the answer is no HTTP.
    """
    async with connection(port) as (reader, writer):
        lines = (
            f"{method} {target} HTTP/1.1",
            f"Host: {LOOPBACK}:{port}",
            "Content-Length: 0",
            "Connection: close",
        )
        writer.write("\r\n".join([*lines, "", ""]).encode())
        await writer.drain()
        words = (await reader.readline()).split()
    if len(words) < 2 or not words[1].isdigit():
        raise ConnectionError(f"no HTTP answer from port {port}")
    return int(words[1])
