"""Prompts and their feeds."""

from alembic import op
from proofloop_runtime import migrations

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create the tables."""
    migrations.create_runtime_tables()
    op.execute("""
        CREATE TABLE prompt (
            tenant text NOT NULL,
            prompt_id uuid NOT NULL,
            claim_id uuid NOT NULL,
            evidence_id uuid,
            assignee_id text NOT NULL,
            question text NOT NULL,
            context text NOT NULL,
            options jsonb NOT NULL,
            free_text_allowed boolean NOT NULL,
            priority text NOT NULL,
            channel text NOT NULL,
            expire_time timestamptz NOT NULL,
            state text NOT NULL CHECK (state IN ('pending', 'delivered', 'answered', 'expired', 'cancelled')),
            changes jsonb NOT NULL,
            answer jsonb,
            PRIMARY KEY (tenant, prompt_id),
            CHECK ((answer IS NOT NULL) = (state = 'answered'))
        )
    """)
    op.execute("CREATE INDEX prompt_claim ON prompt (tenant, claim_id, prompt_id)")
    op.execute("CREATE INDEX prompt_assignee ON prompt (tenant, assignee_id, prompt_id)")
    op.execute("CREATE INDEX prompt_due ON prompt (tenant, expire_time) WHERE state IN ('pending', 'delivered')")
    op.execute("""
        CREATE TABLE feed_head (
            tenant text NOT NULL,
            recipient text NOT NULL,
            last_sequence bigint NOT NULL,
            PRIMARY KEY (tenant, recipient)
        )
    """)
    op.execute("""
        CREATE TABLE feed (
            tenant text NOT NULL,
            recipient text NOT NULL,
            sequence bigint NOT NULL,
            append_time timestamptz NOT NULL,
            event bytea NOT NULL,
            PRIMARY KEY (tenant, recipient, sequence)
        )
    """)
    op.execute("CREATE INDEX feed_append_time ON feed (tenant, append_time)")
    migrations.protect("prompt", "feed_head", "feed")
