"""Ask a server on loopback whether it answers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from http.client import HTTPConnection, HTTPException

from proofloop_local.servers.ports import LOOPBACK

PROBE_SECONDS = 2
"""How long a server that is about to start may take to answer."""


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


async def http_answer(method: str, port: int, target: str) -> tuple[int, bytes]:
    """The status and the body that answer an HTTP request without a body.

    Raises OSError when nobody listens, the answer is no HTTP, or none comes within `PROBE_SECONDS`.
    """
    return await asyncio.to_thread(_ask, method, port, target)


def _ask(method: str, port: int, target: str) -> tuple[int, bytes]:
    connection = HTTPConnection(LOOPBACK, port, timeout=PROBE_SECONDS)
    try:
        connection.request(method, target, headers={"Connection": "close"})
        answer = connection.getresponse()
        return answer.status, answer.read()
    except HTTPException as error:
        raise ConnectionError(f"no HTTP answer from port {port}") from error
    finally:
        connection.close()
