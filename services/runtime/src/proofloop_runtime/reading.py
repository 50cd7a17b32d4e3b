"""Reads that need no transaction: every statement stands alone, and is one round trip.

A transaction names its tenants to PostgreSQL and takes a round trip each to begin, to name them and to end. Here a
connection sees the rows of one tenant from its first to its last moment, so that there is nothing to set before a
statement, nothing to reset behind it, and nothing that could be forgotten.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager, asynccontextmanager
from datetime import timedelta
from typing import Any, Protocol

import asyncpg

from proofloop_runtime import statements
from proofloop_runtime.errors import Overloaded

_MOST = 4
"""Connections per tenant and process: two keep the process's one thread busy, more only wait where statements do."""
_PATIENCE = 5
"""Seconds that a statement waits for a connection."""
_IDLE = 60
"""Seconds after which a connection that nobody uses is closed."""

Row = Mapping[str, Any]


class Reader(Protocol):
    """What statements read the rows of one tenant through: a transaction, or `Database.reader` where none is needed."""

    @property
    def tenant(self) -> str:
        """Whose rows there are."""

    async def fetch(self, statement: str, *values: object) -> Sequence[Row]:
        """Return the rows of a statement in PostgreSQL's own words, with $1, $2, … for the values.

        Raises:
            DependencyUnavailable: PostgreSQL is not there, or did not answer in time.
            Overloaded: too many statements wait.
        """


class TenantReader:
    """Reads the rows of one tenant, on a few connections that are opened when they are needed.

    Args:
        tenant: Whose rows.
        connect: Opens a connection that sees these rows and no others.
        guarded: Turns what says that PostgreSQL is gone into DependencyUnavailable.
        system: What spans call PostgreSQL.
    """

    def __init__(
        self,
        tenant: str,
        connect: Callable[[str], Awaitable[asyncpg.Connection]],
        guarded: Callable[[], AbstractContextManager[None]],
        system: str,
    ) -> None:
        self.tenant = tenant
        self._connect = connect
        self._guarded = guarded
        self._system = system
        self._turns = asyncio.Semaphore(_MOST)
        self._pool = asyncpg.create_pool(
            connect=self._open,
            min_size=0,
            max_size=_MOST,
            max_inactive_connection_lifetime=_IDLE,
            reset=_nothing_to_reset,
        )

    async def fetch(self, statement: str, *values: object) -> Sequence[Row]:
        """See `Reader`. The statement sees what is committed when it begins, and commits by itself."""
        with self._guarded():
            async with self._connection() as connection:
                with statements.span(statement, self._system):
                    rows: Sequence[Row] = await connection.fetch(statement, *values)
                    return rows

    async def close(self) -> None:
        """Close the connections. A statement under way breaks off."""
        (await self._pool).terminate()

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[asyncpg.Connection]:
        # The pool itself could not tell that all connections are taken from that none can be opened.
        try:
            async with asyncio.timeout(_PATIENCE):
                await self._turns.acquire()
        except TimeoutError as error:
            raise overloaded() from error
        try:
            # A connection that broke is replaced here; one whose reader has gone ends what it does before it is free.
            async with (await self._pool).acquire() as connection:
                yield connection
        finally:
            self._turns.release()

    async def _open(self, *_dsn: object, **_options: object) -> asyncpg.Connection:
        return await self._connect(self.tenant)


def overloaded() -> Overloaded:
    """Return the error of a call that waited for a connection in vain."""
    return Overloaded("too many calls wait for a database connection", retry_after=timedelta(seconds=1))


async def _nothing_to_reset(_connection: asyncpg.Connection) -> None:
    """Stand in for the pool's own reset, which costs as much as a read: statements here leave nothing behind."""
