"""Schema migrations: run by `proofloop migrate` as the owner, never by a service."""

import asyncio
import os
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

import asyncpg
import sqlalchemy as sa
import typer
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy.ext.asyncio import create_async_engine

_LOCK = 0x70726F6F660000


_locks: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()


def _alembic() -> asyncio.Lock:
    """Return the lock of the running loop: Alembic keeps the migration under way in module-wide variables."""
    return _locks.setdefault(asyncio.get_running_loop(), asyncio.Lock())


def _config(package: str) -> Config:
    root = import_module(package).__file__
    if root is None:
        raise ValueError(f"{package} has no folder")
    config = Config()
    config.set_main_option("script_location", str(Path(root).parent / "migrations"))
    return config


@cache
def _revisions(package: str) -> tuple[str | None, frozenset[str]]:
    """Return the head and all revisions that the code of a service knows: read once, for Alembic runs every script."""
    scripts = ScriptDirectory.from_config(_config(package))
    return scripts.get_current_head(), frozenset(script.revision for script in scripts.walk_revisions())


def head_revision(package: str) -> str | None:
    """Return the revision that the code of a service expects."""
    return _revisions(package)[0]


def is_recent_enough(package: str, revision: str | None) -> bool:
    """Tell whether the code of a service can work with a schema.

    A revision that the code does not know is a later one: while a release rolls out, the migration is first.
    """
    if revision is None:
        return False
    head, known = _revisions(package)
    return revision not in known or revision == head


async def migrate(package: str, owner_url: str, application_role: str, revision: str = "head") -> None:
    """Bring a service's schema up to a revision, one migrator at a time.

    Args:
        package: The service's Python package.
        owner_url: `postgresql://…` as the owner of the schema.
        application_role: The role that gets its privileges on the tables.
        revision: Default: that which the service's code expects.
    """
    engine = create_async_engine("postgresql+asyncpg://", async_creator=lambda: asyncpg.connect(owner_url))
    config = _config(package)
    config.attributes["application_role"] = application_role
    try:
        async with engine.connect() as connection:
            await connection.execute(sa.text("SELECT pg_advisory_lock(:key)"), {"key": _LOCK})
            await connection.commit()

            def upgrade(sync_connection: sa.Connection) -> None:
                config.attributes["connection"] = sync_connection
                command.upgrade(config, revision)

            async with _alembic():
                await connection.run_sync(upgrade)
            await connection.commit()
    finally:
        await engine.dispose()


def main(
    services: Annotated[list[str] | None, typer.Argument(help="Services to migrate; default: all four.")] = None,
) -> None:
    """Bring the schema of services to what their code expects.

    Reads <SERVICE>_MIGRATION_DATABASE_URL (the owner) and <SERVICE>_DATABASE_URL (its user gets the privileges).
    """
    for service in services or ["audit", "prompts", "packets", "exports"]:
        prefix = service.upper()
        try:
            owner_url = os.environ[f"{prefix}_MIGRATION_DATABASE_URL"]
            application_url = os.environ[f"{prefix}_DATABASE_URL"]
        except KeyError as error:
            typer.echo(f"proofloop migrate: {error.args[0]} is not set", err=True)
            raise typer.Exit(2) from error
        role = urlsplit(application_url).username or ""
        asyncio.run(migrate(f"proofloop_{service}", owner_url, role))
        typer.echo(f"{service}: schema at {head_revision(f'proofloop_{service}')}")
