"""The schema keeps tenants apart, whatever a statement forgets."""

import asyncpg
import pytest


@pytest.fixture
async def owner(prompts_database, prompts):
    connection = await asyncpg.connect(prompts_database.owner_url)
    yield connection
    await connection.close()


async def test_every_table_is_under_row_level_security_even_for_its_owner(owner):
    open_tables = await owner.fetch("""
        SELECT relname FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace
        WHERE nspname = 'public' AND relkind = 'r' AND NOT (relrowsecurity AND relforcerowsecurity)
    """)
    assert [row["relname"] for row in open_tables] == ["alembic_version"]


async def test_the_application_sees_nothing_of_a_tenant_that_it_does_not_name(ask, prompts_database):
    await ask()
    counts = "SELECT (SELECT count(*) FROM prompt), (SELECT count(*) FROM feed), (SELECT count(*) FROM feed_head)"
    connection = await asyncpg.connect(prompts_database.application_url)
    try:
        assert tuple(await connection.fetchrow(counts)) == (0, 0, 0)
        for tenant, seen in (("globex", (0, 0, 0)), ("acme", (1, 2, 2))):
            async with connection.transaction():
                await connection.execute("SELECT set_config('app.tenants', $1, true)", tenant)
                assert tuple(await connection.fetchrow(counts)) == seen
        # As a pooled connection is when its transaction is over.
        assert tuple(await connection.fetchrow(counts)) == (0, 0, 0)
    finally:
        await connection.close()
