"""Sessions, their events and files, and their statistics."""

from alembic import context, op
from proofloop_runtime import migrations

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Create the tables."""
    op.execute("""
        CREATE TABLE session (
            tenant text NOT NULL,
            session_id uuid NOT NULL,
            user_id text,
            started_by text NOT NULL,
            kind text NOT NULL,
            title text NOT NULL,
            message text NOT NULL,
            claim_id uuid,
            start_time timestamptz NOT NULL,
            input_files jsonb NOT NULL,
            last_event_id uuid NOT NULL,
            state text NOT NULL CHECK (state IN ('running', 'succeeded', 'failed')),
            end_time timestamptz,
            error text NOT NULL,
            output_files jsonb NOT NULL,
            figures jsonb NOT NULL,
            event_count integer NOT NULL,
            PRIMARY KEY (tenant, session_id),
            CHECK ((end_time IS NULL) = (state = 'running')),
            CHECK (end_time >= start_time)
        )
    """)
    op.execute("CREATE INDEX session_by_user ON session (tenant, user_id, session_id) WHERE user_id IS NOT NULL")
    op.execute("CREATE INDEX session_by_kind ON session (tenant, kind, session_id)")
    op.execute("CREATE INDEX session_by_claim ON session (tenant, claim_id, session_id) WHERE claim_id IS NOT NULL")
    op.execute("CREATE INDEX session_by_state ON session (tenant, state, session_id)")
    op.execute("CREATE INDEX session_by_start_time ON session (tenant, start_time)")
    op.execute("""
        CREATE TABLE session_event (
            tenant text NOT NULL,
            session_id uuid NOT NULL,
            sequence bigint NOT NULL,
            event_id uuid NOT NULL,
            type text NOT NULL,
            event_time timestamptz NOT NULL,
            duration_us bigint,
            outcome text NOT NULL,
            message text NOT NULL,
            details text NOT NULL,
            figures jsonb NOT NULL,
            PRIMARY KEY (tenant, session_id, sequence)
        )
    """)
    op.execute("""
        CREATE TABLE session_file (
            tenant text NOT NULL,
            sha256 text NOT NULL,
            session_id uuid NOT NULL,
            PRIMARY KEY (tenant, sha256, session_id)
        )
    """)
    op.execute("""
        CREATE TABLE session_delta (
            tenant text NOT NULL,
            sequence bigint GENERATED ALWAYS AS IDENTITY,
            day date NOT NULL,
            kind text NOT NULL,
            measure text NOT NULL,
            key text NOT NULL,
            unit text NOT NULL,
            count bigint NOT NULL,
            amount numeric NOT NULL,
            PRIMARY KEY (tenant, sequence)
        )
    """)
    op.execute("""
        CREATE TABLE session_rollup (
            tenant text NOT NULL,
            day date NOT NULL,
            kind text NOT NULL,
            measure text NOT NULL,
            key text NOT NULL,
            unit text NOT NULL,
            count bigint NOT NULL,
            amount numeric NOT NULL,
            PRIMARY KEY (tenant, measure, kind, day, key, unit)
        )
    """)
    migrations.protect("session", privileges="SELECT, INSERT, UPDATE")
    migrations.protect("session_event", "session_file", privileges="SELECT, INSERT")
    # An erasure blanks words, and nothing else of an event ever changes.
    role = context.config.attributes["application_role"]
    op.execute(f'GRANT UPDATE (message, details) ON session_event TO "{role}"')
    # Locking a row is a right to update.
    migrations.protect("session_delta", privileges="SELECT, INSERT, UPDATE, DELETE")
    migrations.protect("session_rollup", privileges="SELECT, INSERT, UPDATE")
