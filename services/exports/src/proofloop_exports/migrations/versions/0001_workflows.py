"""Workflows and the records of their stages."""

from alembic import op
from proofloop_runtime import migrations

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create the tables, and make a record unchangeable for whoever comes."""
    migrations.create_runtime_tables()
    op.execute("""
        CREATE TABLE workflow (
            tenant text NOT NULL,
            workflow_id uuid NOT NULL,
            document_id text NOT NULL,
            document_name text NOT NULL,
            claim_id uuid,
            owner_id text NOT NULL,
            state smallint NOT NULL,
            record_count integer NOT NULL,
            create_time timestamptz NOT NULL,
            update_time timestamptz NOT NULL,
            last_event_id uuid NOT NULL,
            PRIMARY KEY (tenant, workflow_id)
        )
    """)
    op.execute("CREATE INDEX workflow_claim ON workflow (tenant, claim_id, workflow_id) WHERE claim_id IS NOT NULL")
    op.execute("CREATE INDEX workflow_document ON workflow (tenant, document_id, workflow_id)")
    op.execute("CREATE INDEX workflow_owner ON workflow (tenant, owner_id, workflow_id)")
    op.execute("CREATE INDEX workflow_state ON workflow (tenant, state, workflow_id)")
    op.execute("""
        CREATE TABLE stage_record (
            tenant text NOT NULL,
            workflow_id uuid NOT NULL,
            number integer NOT NULL,
            record_id uuid NOT NULL,
            stage smallint NOT NULL,
            revision integer NOT NULL,
            based_on uuid,
            actor_type text NOT NULL,
            actor_id text NOT NULL,
            create_time timestamptz NOT NULL,
            event_id uuid NOT NULL,
            content bytea NOT NULL,
            PRIMARY KEY (tenant, workflow_id, number),
            UNIQUE (tenant, record_id),
            UNIQUE (tenant, workflow_id, stage, revision),
            FOREIGN KEY (tenant, workflow_id) REFERENCES workflow,
            FOREIGN KEY (tenant, based_on) REFERENCES stage_record (tenant, record_id)
        )
    """)
    op.execute("""
        CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION 'a stage record never changes' USING ERRCODE = 'restrict_violation';
        END
        $$
    """)
    op.execute("""
        CREATE TRIGGER stage_record_unchangeable BEFORE UPDATE OR DELETE ON stage_record
        FOR EACH ROW EXECUTE FUNCTION refuse_change()
    """)
    op.execute("""
        CREATE TRIGGER stage_record_not_truncated BEFORE TRUNCATE ON stage_record
        FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
    """)
    # The application has no right to change a record; the triggers refuse it to the owner of the tables as well.
    migrations.protect("workflow", privileges="SELECT, INSERT, UPDATE")
    migrations.protect("stage_record", privileges="SELECT, INSERT")
