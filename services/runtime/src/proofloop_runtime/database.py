"""PostgreSQL: transactions that belong to tenants, and a unit of work that carries events with them."""

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import asyncpg
import sqlalchemy as sa
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from proofloop_runtime import schema, statements, telemetry
from proofloop_runtime.breaker import Breakers
from proofloop_runtime.call import CallContext, current, current_or_none
from proofloop_runtime.errors import DependencyUnavailable, RequestIdReused
from proofloop_runtime.events import Event, envelope
from proofloop_runtime.ports import Clock
from proofloop_runtime.reading import Reader, Row, TenantReader, overloaded

DEPENDENCY = "postgresql"

Response = TypeVar("Response", bound=Message)


class Repeatable(Protocol):
    """A request that carries a request id."""

    DESCRIPTOR: Descriptor
    request_id: str

    def SerializeToString(self, *, deterministic: bool = ...) -> bytes:  # noqa: N802 (protobuf's name)
        """Return the wire form."""


_SET_TENANTS = sa.text("SELECT set_config('app.tenants', :tenants, true)")


def is_unavailable(error: BaseException) -> bool:
    """Tell whether an error says that the server, and not the statement, is at fault."""
    if isinstance(error, DBAPIError):
        cause = error.orig.__cause__ if error.orig is not None else None
        # The driver calls its own misuse an InterfaceError too; of those, SQLAlchemy knows which end the connection.
        return error.connection_invalidated or (
            cause is not None and not isinstance(cause, asyncpg.InterfaceError) and is_unavailable(cause)
        )
    return isinstance(
        error,
        OSError
        | TimeoutError
        | asyncpg.PostgresConnectionError
        | asyncpg.InterfaceError
        # So the driver reports the next statement on a connection that broke with a reply half read.
        | asyncpg.InternalClientError
        | asyncpg.CannotConnectNowError
        | asyncpg.AdminShutdownError
        | asyncpg.CrashShutdownError
        | asyncpg.TooManyConnectionsError
        | asyncpg.ReadOnlySQLTransactionError
        | asyncpg.DiskFullError,
    )


class _NotOurs(Exception):
    """Carries an error of the block, such as a lost file or a call that timed out, past what judges PostgreSQL."""

    def __init__(self, error: OSError) -> None:
        super().__init__()
        self.error = error


@contextmanager
def _in_time() -> Iterator[None]:
    """Say of a statement that got no answer that PostgreSQL is at fault, for what else times out in a block is not."""
    try:
        yield
    except TimeoutError as error:
        raise DependencyUnavailable(DEPENDENCY) from error


@dataclass(slots=True)
class UnitOfWork:
    """One transaction: what is executed and published through it happens together or not at all.

    Attributes:
        connection: For statements; rows of other tenants do not exist on it.
        tenant: The tenant of new rows and events.
        service: Name of the service, the source of its events.
        clock: The clock.
    """

    connection: AsyncConnection
    tenant: str
    service: str
    clock: Clock
    _after_commit: list[Callable[[], None]] = field(default_factory=list)
    _published: bool = False

    async def execute(self, statement: sa.Executable, parameters: Any = None) -> sa.CursorResult[Any]:
        """Execute a statement.

        Raises:
            DependencyUnavailable: PostgreSQL did not answer in time.
        """
        with _in_time():
            return await self.connection.execute(statement, parameters)

    async def fetch(self, statement: str, *values: object) -> Sequence[Row]:
        """See `Reader`: so what reads without a transaction also reads within one."""
        with _in_time():
            rows = (await self.connection.exec_driver_sql(statement, values)).mappings()
            return [dict(row) for row in rows]

    async def publish(self, *events: Event) -> None:
        """Write events to the outbox, in order, with the context of the current call."""
        if not events:
            return
        rows = [self._outbox_row(event, current_or_none()) for event in events]
        await self.execute(sa.insert(schema.outbox), rows)
        self._published = True

    def _outbox_row(self, event: Event, call: CallContext | None) -> dict[str, Any]:
        travelling = envelope(
            event,
            tenant=self.tenant,
            service=self.service,
            correlation_id=call.correlation_id if call else "",
            ip_address=call.ip_address if call else "",
            user_agent=call.user_agent if call else "",
            trace_context=telemetry.inject(),
        )
        return {
            "tenant": self.tenant,
            "event_id": event.event_id,
            "subject": travelling.subject,
            "headers": travelling.headers(),
            "data": travelling.data,
            "create_time": self.clock.now(),
        }

    async def was_answered(self, request: Repeatable) -> bool:
        """Tell whether `Database.once` has answered this caller under the request's id, whatever was asked then."""
        row = (await self.execute(sa.select(sa.literal(1)).where(_same_request(_key(request))))).first()
        return row is not None

    async def first_time(self, consumer: str, event_id: str) -> bool:
        """Note that a consumer has taken an event; False if it had before.

        A concurrent delivery of the same event waits for this transaction to end.
        """
        result = await self.execute(
            pg.insert(schema.inbox)
            .values(tenant=self.tenant, consumer=consumer, event_id=event_id, create_time=self.clock.now())
            .on_conflict_do_nothing()
        )
        return result.rowcount == 1

    def after_commit(self, callback: Callable[[], None]) -> None:
        """Call back once, after the transaction has committed; never if it has not. The callback must not block."""
        self._after_commit.append(callback)

    @property
    def published(self) -> bool:
        """Tell whether an event was written."""
        return self._published

    def committed(self) -> None:
        """Run the callbacks."""
        for callback in self._after_commit:
            callback()


class Database:
    """The database of one service.

    Args:
        url: `postgresql://user:password@host:port/name?sslmode=…`, of the application role.
        service: Name of the service.
        clock: The clock.
        breakers: Where the breaker of this dependency lives.
        pool_size: Most connections of this process for transactions.
    """

    def __init__(self, url: str, service: str, clock: Clock, breakers: Breakers, pool_size: int = 10) -> None:
        self._url = url
        self._service = service
        self._clock = clock
        self._breaker = breakers.get(DEPENDENCY, is_unavailable)
        self._engine = create_async_engine(
            "postgresql+asyncpg://",
            async_creator=self.connect,
            pool_size=pool_size,
            max_overflow=0,
            # Values are personal, and errors go to the log.
            hide_parameters=True,
            pool_timeout=5,
            pool_pre_ping=False,
        )
        statements.trace(self._engine.sync_engine, DEPENDENCY)
        self._readers: dict[str, TenantReader] = {}
        self._on_published: list[Callable[[], None]] = []

    def on_published(self, callback: Callable[[], None]) -> None:
        """Call back after every commit that wrote events."""
        self._on_published.append(callback)

    async def connect(self, *tenants: str) -> asyncpg.Connection:
        """Open a connection outside the pool, for the one task that keeps it; it sees the rows of `tenants`."""
        return await asyncpg.connect(
            self._url,
            timeout=5,
            command_timeout=60,
            server_settings={
                "application_name": f"proofloop-{self._service}",
                "timezone": "UTC",
                "app.tenants": ",".join(tenants),
                # Our statements are few, prepared, and selective whatever their values: planning each anew costs
                # more than running it.
                "plan_cache_mode": "force_generic_plan",
            },
        )

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """Turn what says that the server is gone into DependencyUnavailable, and count it."""
        try:
            with self._breaker.calling():
                yield
        except PoolTimeout as error:
            raise overloaded() from error
        except Exception as error:
            if is_unavailable(error):
                raise DependencyUnavailable(DEPENDENCY) from error
            raise

    @asynccontextmanager
    async def transaction(self, *tenants: str) -> AsyncIterator[UnitOfWork]:
        """Open a transaction for the tenant of the current call, or for the tenants given.

        Commits when the block ends, rolls back when it raises.

        Raises:
            DependencyUnavailable: PostgreSQL is not there; nothing was done, unless it went away while the commit
                was under way: then a repetition with the same request id finds out.
        """
        named = tenants or (current().caller.tenant,)
        try:
            with self.guarded():
                async with self._engine.begin() as connection:
                    await connection.execute(_SET_TENANTS, {"tenants": ",".join(named)})
                    unit = UnitOfWork(connection, named[0], self._service, self._clock)
                    try:
                        yield unit
                    except OSError as error:
                        raise _NotOurs(error) from error
        except _NotOurs as carried:
            raise carried.error from carried.error.__cause__
        unit.committed()
        if unit.published:
            for callback in self._on_published:
                callback()

    def reader(self, tenant: str | None = None) -> Reader:
        """Return what reads the rows of a tenant, by default that of the current call, without a transaction.

        For rows that are never changed: what two statements see may differ by what was committed between them.
        """
        tenant = tenant or current().caller.tenant
        if tenant not in self._readers:
            self._readers[tenant] = TenantReader(tenant, self.connect, self.guarded, DEPENDENCY)
        return self._readers[tenant]

    async def once(
        self,
        request: Repeatable,
        response_type: type[Response],
        effect: Callable[[UnitOfWork], Awaitable[Response]],
    ) -> Response:
        """Run an effect exactly once for a caller, method and request id, and remember its answer.

        The row that marks the request stands in the transaction of the effect: a crash repeats nothing, and a
        concurrent repetition waits and gets the first answer.

        Raises:
            RequestIdReused: the id was used before with another request.
        """
        digest = hashlib.sha256(request.SerializeToString(deterministic=True)).digest()
        key = _key(request)
        async with self.transaction() as unit:
            inserted = await unit.execute(
                pg.insert(schema.idempotency)
                .values(**key, request_hash=digest, create_time=self._clock.now())
                .on_conflict_do_nothing()
            )
            same = _same_request(key)
            if inserted.rowcount:
                response = await effect(unit)
                await unit.execute(
                    sa.update(schema.idempotency).where(same).values(response=response.SerializeToString())
                )
                return response
            first = (await unit.execute(sa.select(schema.idempotency).where(same))).one()
        if first.request_hash != digest:
            raise RequestIdReused("request_id was used before with another request", field="request_id")
        return response_type.FromString(first.response)

    async def revision(self) -> str | None:
        """Return the schema revision; None where nothing was ever migrated."""
        with self.guarded():
            async with self._engine.connect() as connection:
                exists = await connection.scalar(sa.text("SELECT to_regclass('alembic_version') IS NOT NULL"))
                if not exists:
                    return None
                revision: str | None = await connection.scalar(sa.text("SELECT version_num FROM alembic_version"))
                return revision

    async def close(self) -> None:
        """Close all connections but those that others keep."""
        for reader in self._readers.values():
            await reader.close()
        await self._engine.dispose()


def _key(request: Repeatable) -> dict[str, str]:
    """Return what makes a request the same request: who asks, for what, under which id."""
    caller = current().caller
    return {
        "tenant": caller.tenant,
        "caller": caller.key,
        "method": request.DESCRIPTOR.full_name,
        "request_id": request.request_id,
    }


def _same_request(key: dict[str, str]) -> sa.ColumnElement[bool]:
    return sa.and_(*(schema.idempotency.c[name] == value for name, value in key.items()))
