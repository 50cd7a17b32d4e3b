"""Legal holds, and the right to erase a subject."""

from alembic import context, op
from proofloop_runtime import migrations

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Create the table; let the application remove subjects, and release holds."""
    op.execute("""
        CREATE TABLE legal_hold (
            tenant text NOT NULL,
            hold_id uuid NOT NULL,
            scope text NOT NULL CHECK (scope IN ('subject', 'claim', 'tenant')),
            claim_id uuid,
            subject_pseudonym text,
            subject_name bytea,
            reason text NOT NULL,
            place_time timestamptz NOT NULL,
            placer_pseudonym text NOT NULL,
            placer_name bytea NOT NULL,
            release_reason text,
            release_time timestamptz,
            releaser_pseudonym text,
            releaser_name bytea,
            last_event_id uuid NOT NULL,
            PRIMARY KEY (tenant, hold_id),
            CHECK ((scope = 'claim') = (claim_id IS NOT NULL)),
            CHECK ((scope = 'subject') = (subject_pseudonym IS NOT NULL)),
            CHECK (num_nulls(subject_pseudonym, subject_name) IN (0, 2)),
            CHECK (num_nulls(release_reason, release_time, releaser_pseudonym, releaser_name) IN (0, 4))
        )
    """)
    op.execute("CREATE INDEX legal_hold_active ON legal_hold (tenant, hold_id) WHERE release_time IS NULL")
    migrations.protect("legal_hold", privileges="SELECT, INSERT")
    role = context.config.attributes["application_role"]
    release = "release_reason, release_time, releaser_pseudonym, releaser_name, last_event_id"
    op.execute(f'GRANT UPDATE ({release}) ON legal_hold TO "{role}"')
    op.execute(f'GRANT DELETE ON subject TO "{role}"')
