"""What the figures are measured on: servers of their own, and services that each are a process."""

import asyncio
import json
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import grpc
import grpc.aio
from proofloop_local.authority import Authority
from proofloop_local.keys import Keys, make_keys
from proofloop_local.servers.nats import NatsServer
from proofloop_local.servers.postgres import Database, PostgresServer
from proofloop_local.token import ISSUER
from proofloop_runtime.client import TlsFiles
from proofloop_runtime.migrate import migrate

TENANT = "acme"


@dataclass(frozen=True, slots=True)
class Stand:
    """PostgreSQL, NATS, an authority and keys, for as long as the figures are measured."""

    postgres: PostgresServer
    nats: NatsServer
    authority: Authority
    keys: Keys
    stack: AsyncExitStack

    async def new_database(self, name: str) -> Database:
        """Make an audit database."""
        database = await self.postgres.create_database(name, owner="audit_owner", application="audit_app")
        await migrate("proofloop_audit", database.owner_url, urlsplit(database.application_url).username or "")
        return database

    def environment(self, database: Database) -> dict[str, str]:
        """Return the audit service's settings."""
        files = self.authority.credentials("audit")
        return {
            "AUDIT_DATABASE_URL": database.application_url,
            "AUDIT_NATS_URL": self.nats.url,
            "AUDIT_TLS_CERTIFICATE": str(files.certificate),
            "AUDIT_TLS_KEY": str(files.key),
            "AUDIT_TLS_AUTHORITY": str(files.authority),
            "AUDIT_TOKEN_KEYS": str(self.keys.token_key_set),
            "AUDIT_TOKEN_ISSUER": ISSUER,
            "AUDIT_TENANTS": f'["{TENANT}"]',
            "AUDIT_LOG_DOMAIN": "proofloop.local",
            "AUDIT_LOG_KEY": str(self.keys.log_key),
            "AUDIT_MASTER_KEY": str(self.keys.master_key),
            "AUDIT_LOG_LEVEL": "INFO",
        }

    async def audit(self, database: Database) -> "Process":
        """Start an audit service."""
        return await self.spawn([sys.executable, "-m", "proofloop_audit"], self.environment(database))

    async def spawn(self, command: Sequence[str], environment: Mapping[str, str]) -> "Process":
        """Start a service, which ends with the stand."""
        process = await asyncio.create_subprocess_exec(
            *command, env={**os.environ, **environment}, stdout=asyncio.subprocess.PIPE
        )
        self.stack.push_async_callback(process.wait)
        self.stack.callback(process.terminate)
        assert process.stdout is not None
        while line := await process.stdout.readline():
            fields = json.loads(line)
            if "address" in fields:
                self.stack.callback(asyncio.ensure_future(_drain(process.stdout)).cancel)
                return Process(fields["address"], process.pid)
        raise RuntimeError(f"{command} did not start")

    async def channel(self, process: "Process") -> grpc.aio.Channel:
        """Open a bare channel, without any interceptor, as the packets service."""
        channel = grpc.aio.secure_channel(process.address, credentials(self.authority, "packets").channel_credentials())
        return await self.stack.enter_async_context(channel)


@dataclass(frozen=True, slots=True)
class Process:
    """A service that runs."""

    address: str
    pid: int

    def pause(self) -> None:
        """Let it stand still."""
        os.kill(self.pid, signal.SIGSTOP)

    def proceed(self) -> None:
        """Let it go on."""
        os.kill(self.pid, signal.SIGCONT)

    def resident(self) -> int:
        """Return its resident memory in bytes (VmRSS)."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")


@asynccontextmanager
async def stand() -> AsyncIterator[Stand]:
    """Start the servers."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="proofloop-bench-")))
        postgres = await stack.enter_async_context(PostgresServer(folder / "postgres"))
        nats = await stack.enter_async_context(NatsServer(folder / "nats"))
        yield Stand(postgres, nats, Authority(folder / "authority"), make_keys(folder / "keys"), stack)


def credentials(authority: Authority, name: str) -> TlsFiles:
    """Return a service's certificate."""
    files = authority.credentials(name)
    return TlsFiles(files.certificate.read_bytes(), files.key.read_bytes(), files.authority.read_bytes())


async def _drain(output: asyncio.StreamReader) -> None:
    while await output.readline():
        pass
