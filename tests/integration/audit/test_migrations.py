"""Migrations of a log that has entries."""

from datetime import UTC, datetime
from uuid import uuid4

import asyncpg
import pytest
from proofloop_runtime.migrate import migrate
from proofloop_verifier.leaf import Leaf, Outcome

TIME = datetime(2026, 1, 2, tzinfo=UTC)


def leaf(tenant: str, entry_id: str, outcome: Outcome, session_id: str | None) -> bytes:
    return Leaf(
        entry_id=entry_id,
        event_time=TIME,
        append_time=TIME,
        tenant=tenant,
        service="packets",
        action="prompt.answered",
        outcome=outcome,
        entity_type="prompt",
        entity_id='Änne\'s "prompt" \u0001',
        session_id=session_id,
    ).to_bytes()


async def test_the_filters_columns_are_filled_from_the_leaves_of_every_tenant(postgres) -> None:
    name, owner, application = f"audit_{uuid4().hex}", "audit_owner", "audit_app"
    database = await postgres.create_database(name, owner=owner, application=application)
    superuser = await asyncpg.connect(f"{postgres.superuser_url.rpartition('/')[0]}/{name}")
    try:
        await migrate("proofloop_audit", database.owner_url, application, "0001")
        expected = []
        for tenant in ("acme", "globex"):
            for index, (outcome, session_id) in enumerate(
                [(Outcome.SUCCESS, None), (Outcome.DENIED, "session-1"), (Outcome.FAILURE, 'ü"\\')]
            ):
                entry_id = str(uuid4())
                await superuser.execute(
                    """
                    INSERT INTO log_entry (
                        tenant, index, entry_id, fingerprint, leaf, leaf_hash, append_time,
                        entity_type, entity_id, action, pseudonym, sealed_part
                    ) VALUES ($1, $2, $3, '', $4, '', $5, 'prompt', 'prompt-1', 'prompt.answered', '', '')
                    """,
                    tenant,
                    index,
                    entry_id,
                    leaf(tenant, entry_id, outcome, session_id),
                    TIME,
                )
                expected.append((tenant, index, outcome, session_id))
        await migrate("proofloop_audit", database.owner_url, application, "0002")
        rows = await superuser.fetch("SELECT tenant, index, outcome, session_id FROM log_entry ORDER BY tenant, index")
        assert [tuple(row) for row in rows] == expected
        # And the owner is held back again as everybody is.
        assert await superuser.fetchval("SELECT relforcerowsecurity FROM pg_class WHERE relname = 'log_entry'")
    finally:
        await superuser.close()
        await postgres.drop_database(name)


async def test_subjects_stay_who_they_are_and_sessions_count_as_of_the_day_of_the_migration(postgres) -> None:
    name, owner, application = f"audit_{uuid4().hex}", "audit_owner", "audit_app"
    database = await postgres.create_database(name, owner=owner, application=application)
    superuser = await asyncpg.connect(f"{postgres.superuser_url.rpartition('/')[0]}/{name}")
    row = "INSERT INTO subject VALUES ('acme', '\\x01', $1, '', $2)"
    try:
        await migrate("proofloop_audit", database.owner_url, application, "0004")
        await superuser.execute("INSERT INTO subject VALUES ('acme', '\\x01', 'one', '\\x02')")
        await superuser.execute(
            """
            INSERT INTO session (
                tenant, session_id, started_by, kind, title, message, start_time, input_files, last_event_id, state,
                error, output_files, figures, event_count
            ) VALUES ('acme', $1, '', '', '', '', $2, '[]', $1, 'running', '', '[]', '[]', 0)
            """,
            uuid4(),
            TIME,
        )
        began = await superuser.fetchval("SELECT now()")
        await migrate("proofloop_audit", database.owner_url, application, "0005")
        [subject] = await superuser.fetch("SELECT * FROM subject")
        assert tuple(subject) == ("acme", b"\x01", "one", b"\x02", None)
        # Of one subject there are several by now, and one without an end.
        await superuser.execute(row, "two", TIME)
        for twice in (None, TIME):
            with pytest.raises(asyncpg.UniqueViolationError):
                await superuser.execute(row, "three", twice)
        [session] = await superuser.fetch("SELECT change_time, blank FROM session")
        assert (session["change_time"] >= began, session["blank"]) == (True, False)
    finally:
        await superuser.close()
        await postgres.drop_database(name)
