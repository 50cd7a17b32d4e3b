"""One replica at a time: leadership by an advisory lock, held by a connection of its own.

The lock ends with the connection, so a replica that dies or loses the database hands over at once and without a
clock.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress

import asyncpg

from proofloop_runtime.database import Database, is_unavailable

_RETRY = 1.0

log = logging.getLogger(__name__)


class Leader:
    """Runs a task on one replica at a time.

    Args:
        database: Whose lock it is.
        name: What is led, unique within the database.
    """

    def __init__(self, database: Database, name: str) -> None:
        self._database = database
        self._key = f"leader/{name}"

    async def lead(self, work: Callable[[], Awaitable[None]]) -> None:
        """Wait for the lock, then work until the lock is lost; for ever."""
        while True:
            try:
                connection = await self._database.connect()
            except Exception as error:
                if not is_unavailable(error):
                    raise
                await asyncio.sleep(_RETRY)
                continue
            try:
                await self._lead_on(connection, work)
            finally:
                with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                    await connection.close(timeout=1)

    async def _lead_on(self, connection: asyncpg.Connection, work: Callable[[], Awaitable[None]]) -> None:
        lost = asyncio.get_running_loop().create_future()

        def on_close(_connection: object) -> None:
            if not lost.done():
                lost.set_result(None)

        connection.add_termination_listener(on_close)
        try:
            await connection.execute("SELECT pg_advisory_lock(hashtextextended($1, 0))", self._key)
        except Exception as error:
            if not is_unavailable(error):
                raise
            await asyncio.sleep(_RETRY)
            return
        task = asyncio.ensure_future(work())
        try:
            await asyncio.wait((task, lost), return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                task.result()
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
