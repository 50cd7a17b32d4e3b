"""A log where it is kept, for tests that damage it there."""

import asyncpg
from proofloop_audit.fsck import check
from proofloop_audit.settings import AuditSettings
from proofloop_runtime.breaker import Breakers
from proofloop_runtime.objects import S3Objects
from proofloop_runtime.ports import SystemClock
from proofloop_verifier.merkle import leaf_hash
from proofloop_verifier.report import Verdict

SIZE = 600
"""Entries in the log: two full pages and a part of one."""
TABLES = ("log_entry", "log_subtree", "log_checkpoint", "subject")


class Kept:
    """A log where it is kept, and whoever may do anything to it, and undo it."""

    def __init__(self, settings: AuditSettings, superuser: asyncpg.Connection) -> None:
        assert settings.s3 is not None
        self.settings = settings
        self.superuser = superuser
        self.objects = S3Objects(settings.s3, Breakers(SystemClock()))
        self._overwritten: dict[str, bytes] = {}

    async def keep(self) -> None:
        # Whether what the test itself does is durable is no matter.
        await self.superuser.execute("SET synchronous_commit = off")
        for table in TABLES:
            await self.superuser.execute(f"CREATE TABLE kept_{table} AS TABLE {table}")

    async def undo(self) -> None:
        for table in TABLES:
            restore = f"DELETE FROM {table}; INSERT INTO {table} TABLE kept_{table}"  # noqa: S608 -- ours
            await self.superuser.execute(restore)
        for key, content in self._overwritten.items():
            await self._write(key, content)
        self._overwritten.clear()

    async def sql(self, statement: str, *parameters: object) -> None:
        assert await self.superuser.execute(statement, *parameters) not in ("UPDATE 0", "DELETE 0", "INSERT 0 0")

    async def set(self, index: int, column: str, value: object) -> None:
        statement = f"UPDATE log_entry SET {column} = $1 WHERE tenant = 'acme' AND index = $2"  # noqa: S608 -- a test's
        await self.sql(statement, value, index)

    async def entry(self, index: int) -> asyncpg.Record:
        return await self.superuser.fetchrow("SELECT * FROM log_entry WHERE tenant = 'acme' AND index = $1", index)

    async def replace(self, index: int, leaf: bytes) -> None:
        await self.set(index, "leaf", leaf)
        await self.set(index, "leaf_hash", leaf_hash(leaf))

    async def publish(self, name: str, content: bytes | None) -> None:
        """Replace what is published, or remove it."""
        stored = await self.objects.read(f"acme/{name}")
        assert stored is not None
        self._overwritten[f"acme/{name}"] = stored.content
        await self._write(f"acme/{name}", content)

    async def published(self, name: str) -> bytes:
        stored = await self.objects.read(f"acme/{name}")
        assert stored is not None
        return stored.content

    async def _write(self, key: str, content: bytes | None) -> None:
        await self.objects.delete(key)
        if content is not None:
            options = {"media_type": "text/plain", "cache_control": "no-cache"}
            assert await self.objects.put_if(key, content, replacing=None, **options)

    async def findings(self) -> list[str]:
        """What is found: `check: subject`."""
        [report] = await check(self.settings, ["acme"])
        assert (report.verdict is Verdict.VERIFIED) == (not report.findings)
        return [f"{finding.check}: {finding.subject}" for finding in report.findings]
