"""PostgreSQL from the wheel keeps what it acknowledged, whatever happens to it."""

from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
from proofloop_local.process import processes_in
from proofloop_local.servers import Database, PostgresServer


@pytest.fixture
async def postgres(tmp_path: Path) -> AsyncIterator[PostgresServer]:
    async with PostgresServer(tmp_path / "postgres") as server:
        yield server


async def create(postgres: PostgresServer) -> Database:
    return await postgres.create_database("audit", owner="audit_owner", application="audit_app")


async def run(url: str, statement: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


async def test_it_is_version_18_and_durable(postgres: PostgresServer) -> None:
    version = await run(postgres.superuser_url, "SHOW server_version_num")
    assert str(version).startswith("18")
    assert await run(postgres.superuser_url, "SHOW fsync") == "on"


async def test_what_was_committed_survives_kill_9_and_restart(postgres: PostgresServer) -> None:
    database = await create(postgres)
    await run(database.owner_url, "CREATE TABLE kept (n int)")
    await run(database.owner_url, "INSERT INTO kept VALUES (40)")
    for end in (postgres.kill, postgres.stop):
        await end()
        await postgres.start()
        assert await run(database.owner_url, "SELECT n FROM kept") == 40


async def test_the_application_role_owns_nothing_and_bypasses_nothing(postgres: PostgresServer) -> None:
    database = await create(postgres)
    asked = """
        SELECT rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb
        FROM pg_roles WHERE rolname = current_user
    """
    assert await run(database.application_url, asked) is False
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await run(database.application_url, "CREATE TABLE mine (n int)")


async def test_creating_a_database_again_changes_nothing(postgres: PostgresServer) -> None:
    database = await create(postgres)
    await run(database.owner_url, "CREATE TABLE kept (n int)")
    assert await create(postgres) == database
    assert await run(database.owner_url, "SELECT count(*) FROM kept") == 0


async def test_another_database_is_closed_to_the_roles_of_the_first(postgres: PostgresServer) -> None:
    database = await create(postgres)
    await postgres.create_database("prompts", owner="prompts_owner", application="prompts_app")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await run(database.application_url.removesuffix("audit") + "prompts", "SELECT 1")


async def test_a_wrong_password_is_refused(postgres: PostgresServer) -> None:
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(f"postgresql://postgres:guess@127.0.0.1:{postgres.port}/postgres")


async def test_a_pid_file_that_names_a_stranger_is_no_obstacle(postgres: PostgresServer) -> None:
    await postgres.kill()
    pid_file = postgres.cluster / "postmaster.pid"
    lines = pid_file.read_text().splitlines()
    pid_file.write_text("\n".join(["1", *lines[1:]]))
    await postgres.start()
    assert await run(postgres.superuser_url, "SELECT 1") == 1


async def test_two_run_side_by_side_and_stopping_leaves_no_process(postgres: PostgresServer, tmp_path: Path) -> None:
    async with PostgresServer(tmp_path / "second") as second:
        await create(second)
        names = "SELECT count(*) FROM pg_database WHERE datname = 'audit'"
        assert await run(second.superuser_url, names) == 1
        assert await run(postgres.superuser_url, names) == 0
    assert processes_in(second.cluster) == []
