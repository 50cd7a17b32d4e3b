"""Tenants are kept apart by the database itself, in every service."""

import asyncio
import pkgutil
from importlib.util import find_spec
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import pytest
from proofloop_runtime.migrate import head_revision, migrate

SERVICES = [
    module.name.removeprefix("proofloop_")
    for module in pkgutil.iter_modules()
    if module.name.startswith("proofloop_") and find_spec(f"{module.name}.bootstrap")
]


@pytest.fixture(params=["echo", *SERVICES])
async def migrated(request, new_database):
    return await new_database(request.param)


async def test_every_table_is_under_forced_row_level_security_with_a_policy(migrated) -> None:
    connection = await asyncpg.connect(migrated.owner_url)
    try:
        tables = await connection.fetch("""
            SELECT relname, relrowsecurity, relforcerowsecurity,
                   ARRAY(SELECT pg_get_expr(polqual, polrelid) FROM pg_policy WHERE polrelid = c.oid) AS seen,
                   ARRAY(SELECT pg_get_expr(polwithcheck, polrelid) FROM pg_policy WHERE polrelid = c.oid) AS written
            FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
            WHERE relkind IN ('r', 'p', 'v', 'm') AND nspname NOT IN ('pg_catalog', 'information_schema')
              AND nspname NOT LIKE 'pg_toast%' AND relname <> 'alembic_version'
        """)
    finally:
        await connection.close()
    assert {"outbox", "inbox", "idempotency", "refusal"} < {table["relname"] for table in tables}
    for table in tables:
        assert table["relrowsecurity"], table["relname"]
        assert table["relforcerowsecurity"], table["relname"]
        assert len(table["seen"]) == len(table["written"]) == 1, table["relname"]
        assert "app.tenants" in table["seen"][0]
        assert "app.tenants" in table["written"][0]


async def test_the_application_can_neither_pass_the_policies_nor_change_the_schema(migrated) -> None:
    connection = await asyncpg.connect(migrated.application_url)
    try:
        role = await connection.fetchrow(
            "SELECT rolsuper, rolbypassrls, rolcreaterole, rolcreatedb FROM pg_roles WHERE rolname = current_user"
        )
        assert not any(role.values())
        assert await connection.fetchval("SELECT count(*) FROM pg_class WHERE relowner = current_user::regrole") == 0
        for statement in (
            "ALTER TABLE outbox DISABLE ROW LEVEL SECURITY",
            "DROP POLICY tenant_isolation ON outbox",
            "CREATE TABLE mine (id int)",
            "UPDATE alembic_version SET version_num = 'x'",
            "TRUNCATE outbox",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)
    finally:
        await connection.close()


async def test_two_migrators_at_once_leave_one_schema_and_migrating_again_changes_nothing(postgres) -> None:
    made = await postgres.create_database(f"echo_{uuid4().hex}", owner="echo_owner", application="echo_app")
    role = urlsplit(made.application_url).username or ""
    await asyncio.gather(*(migrate("proofloop_echo", made.owner_url, role) for _ in range(3)))
    await migrate("proofloop_echo", made.owner_url, role)
    connection = await asyncpg.connect(made.application_url)
    try:
        revisions = await connection.fetch("SELECT version_num FROM alembic_version")
    finally:
        await connection.close()
        await postgres.drop_database(made.name)
    assert [row["version_num"] for row in revisions] == [head_revision("proofloop_echo")]


async def test_databases_of_several_services_can_be_migrated_at_once(postgres) -> None:
    made = [
        await postgres.create_database(f"echo_{uuid4().hex}", owner="echo_owner", application="echo_app")
        for _ in range(4)
    ]
    try:
        await asyncio.gather(*(migrate("proofloop_echo", each.owner_url, "echo_app") for each in made))
        for each in made:
            connection = await asyncpg.connect(each.application_url)
            assert await connection.fetchval("SELECT version_num FROM alembic_version") == "0001"
            await connection.close()
    finally:
        for each in made:
            await postgres.drop_database(each.name)
