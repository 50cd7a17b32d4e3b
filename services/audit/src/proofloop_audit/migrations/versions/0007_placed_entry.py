"""Entries are appended as rows of one type, and not column by column."""

from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Add the type, which the driver writes for less than an array per column. Replicas of before do without it."""
    # Not the type of the table itself: after a column was added there, what running replicas send would lack it.
    op.execute("""
        CREATE TYPE placed_entry AS (
            index bigint,
            entry_id uuid,
            fingerprint bytea,
            leaf bytea,
            leaf_hash bytea,
            claim_id uuid,
            claim_sequence bigint,
            entity_type text,
            entity_id text,
            action text,
            session_id text,
            outcome text,
            pseudonym text,
            sealed_part bytea
        )
    """)
