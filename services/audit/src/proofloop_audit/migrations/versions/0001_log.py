"""The log, its subtrees, checkpoints and subjects."""

from alembic import op
from proofloop_runtime import migrations

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create the tables."""
    migrations.create_runtime_tables()
    op.execute("""
        CREATE TABLE log_entry (
            tenant text NOT NULL,
            index bigint NOT NULL,
            entry_id uuid NOT NULL,
            fingerprint bytea NOT NULL,
            leaf bytea NOT NULL,
            leaf_hash bytea NOT NULL,
            append_time timestamptz NOT NULL,
            claim_id uuid,
            claim_sequence bigint,
            entity_type text NOT NULL,
            entity_id text NOT NULL,
            action text NOT NULL,
            pseudonym text NOT NULL,
            sealed_part bytea NOT NULL,
            PRIMARY KEY (tenant, index),
            UNIQUE (tenant, entry_id),
            CHECK ((claim_id IS NULL) = (claim_sequence IS NULL))
        )
    """)
    op.execute("CREATE INDEX log_entry_claim ON log_entry (tenant, claim_id, index) WHERE claim_id IS NOT NULL")
    op.execute("CREATE INDEX log_entry_entity ON log_entry (tenant, entity_id, index)")
    op.execute("CREATE INDEX log_entry_actor ON log_entry (tenant, pseudonym, index)")
    op.execute("CREATE INDEX log_entry_action ON log_entry (tenant, action, index)")
    op.execute("CREATE INDEX log_entry_time ON log_entry (tenant, append_time, index)")
    op.execute("""
        CREATE TABLE log_subtree (
            tenant text NOT NULL,
            level smallint NOT NULL,
            position bigint NOT NULL,
            root bytea NOT NULL,
            PRIMARY KEY (tenant, level, position)
        )
    """)
    op.execute("""
        CREATE TABLE log_checkpoint (
            tenant text NOT NULL,
            size bigint NOT NULL,
            root bytea NOT NULL,
            note text NOT NULL,
            sign_time timestamptz NOT NULL,
            PRIMARY KEY (tenant, size)
        )
    """)
    op.execute("""
        CREATE TABLE subject (
            tenant text NOT NULL,
            blind_index bytea NOT NULL,
            pseudonym text NOT NULL,
            wrapped_key bytea NOT NULL,
            PRIMARY KEY (tenant, blind_index),
            UNIQUE (tenant, pseudonym)
        )
    """)
    # The application can add to the log and never change it.
    migrations.protect("log_entry", "log_subtree", "log_checkpoint", "subject", privileges="SELECT, INSERT")
