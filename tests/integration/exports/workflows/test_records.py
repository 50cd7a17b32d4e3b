"""A record never changes, and nobody sees another tenant's."""

import asyncpg
import pytest
import sqlalchemy as sa
from proofloop_exports.workflows import store
from proofloop_runtime import schema


@pytest.fixture
async def connection(exports_database, request):
    """A connection as the application or as the owner of the tables, seeing the tenant acme."""
    url = getattr(exports_database, f"{request.param}_url")
    connection = await asyncpg.connect(url, server_settings={"app.tenants": "acme"})
    yield connection
    await connection.close()


CHANGES = [
    "UPDATE stage_record SET actor_id = 'somebody else'",
    "UPDATE stage_record SET content = ''",
    "DELETE FROM stage_record",
    "TRUNCATE stage_record",
    "TRUNCATE workflow CASCADE",
]


@pytest.mark.parametrize("connection", ["application"], indirect=True)
async def test_the_application_has_no_right_to_change_a_record(workflows, requests, connection) -> None:
    await requests.completed(workflows)
    for change in CHANGES:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(change)


@pytest.mark.parametrize("connection", ["owner"], indirect=True)
async def test_even_the_owner_of_the_tables_is_refused_a_change(workflows, requests, connection) -> None:
    await requests.completed(workflows)
    for change in CHANGES:
        with pytest.raises(asyncpg.RestrictViolationError, match="never changes"):
            await connection.execute(change)
    assert await connection.fetchval("SELECT count(*) FROM stage_record") == 3


@pytest.mark.parametrize("connection", ["owner"], indirect=True)
async def test_every_table_is_under_forced_row_security(exports, connection) -> None:
    tables = await connection.fetch(
        "SELECT relname, relrowsecurity AND relforcerowsecurity AS forced FROM pg_class "
        "WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND relname <> 'alembic_version'"
    )
    assert {table["relname"] for table in tables} >= {"workflow", "stage_record"}
    assert [table["relname"] for table in tables if not table["forced"]] == []


@pytest.mark.parametrize("connection", ["owner"], indirect=True)
async def test_the_tables_are_those_that_the_code_knows(exports, connection) -> None:
    for table in (store.workflow, store.stage_record, *schema.metadata.tables.values()):
        columns = await connection.fetch(
            "SELECT column_name, is_nullable FROM information_schema.columns WHERE table_name = $1", table.name
        )
        assert {column["column_name"]: column["is_nullable"] == "YES" for column in columns} == {
            column.name: column.nullable for column in table.columns if isinstance(column, sa.Column)
        }
