"""Claims, evidence, packets."""

from alembic import op
from proofloop_runtime.migrations import create_runtime_tables, protect

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create the tables."""
    create_runtime_tables()
    op.execute("""
        CREATE TABLE claim (
            tenant text NOT NULL,
            claim_id uuid NOT NULL,
            title text NOT NULL,
            kind text NOT NULL,
            owner_id text NOT NULL,
            facts jsonb NOT NULL,
            state text NOT NULL,
            create_time timestamptz NOT NULL,
            update_time timestamptz NOT NULL,
            version bigint NOT NULL,
            last_event_id uuid NOT NULL,
            PRIMARY KEY (tenant, claim_id)
        )
    """)
    op.execute("CREATE INDEX claim_owner ON claim (tenant, owner_id, claim_id)")
    op.execute("""
        CREATE TABLE evidence (
            tenant text NOT NULL,
            evidence_id uuid NOT NULL,
            claim_id uuid NOT NULL,
            file_name text NOT NULL,
            media_type text NOT NULL,
            size bigint NOT NULL,
            sha256 text NOT NULL,
            md5 text NOT NULL,
            metadata jsonb NOT NULL,
            marks jsonb NOT NULL,
            uploaded_by text NOT NULL,
            create_time timestamptz NOT NULL,
            last_event_id uuid NOT NULL,
            PRIMARY KEY (tenant, evidence_id),
            FOREIGN KEY (tenant, claim_id) REFERENCES claim
        )
    """)
    op.execute("CREATE INDEX evidence_claim ON evidence (tenant, claim_id, evidence_id)")
    op.execute("""
        CREATE TABLE packet (
            tenant text NOT NULL,
            packet_id uuid NOT NULL,
            claim_id uuid NOT NULL,
            owner_id text NOT NULL,
            state text NOT NULL,
            step text NOT NULL,
            progress integer NOT NULL,
            attempts integer NOT NULL,
            attempt_time timestamptz NOT NULL,
            lease_worker text,
            lease_expire_time timestamptz,
            failure_reason text NOT NULL,
            file_name text,
            size bigint,
            sha256 text,
            requested_by text NOT NULL,
            cutoff_time timestamptz,
            create_time timestamptz NOT NULL,
            update_time timestamptz NOT NULL,
            end_time timestamptz,
            version bigint NOT NULL,
            event_ids uuid[] NOT NULL CHECK (cardinality(event_ids) > 0),
            PRIMARY KEY (tenant, packet_id),
            FOREIGN KEY (tenant, claim_id) REFERENCES claim,
            CHECK ((lease_worker IS NULL) = (lease_expire_time IS NULL)),
            CHECK ((lease_worker IS NOT NULL) = (state = 'generating')),
            CHECK ((sha256 IS NOT NULL) = (state = 'completed')),
            CHECK ((end_time IS NOT NULL) = (state IN ('completed', 'failed', 'cancelled')))
        )
    """)
    op.execute("CREATE INDEX packet_claim ON packet (tenant, claim_id, packet_id)")
    op.execute("CREATE INDEX packet_owner ON packet (tenant, owner_id, packet_id)")
    op.execute("CREATE INDEX packet_due ON packet (tenant, attempt_time) WHERE state IN ('pending', 'generating')")
    op.execute("""
        CREATE TABLE packet_material (
            tenant text NOT NULL,
            packet_id uuid NOT NULL,
            correlation_id text NOT NULL,
            trace_context jsonb NOT NULL,
            snapshot bytea,
            cutoff_index bigint,
            tree_size bigint,
            checkpoint text,
            verifier_key text,
            signer_sha256 text,
            PRIMARY KEY (tenant, packet_id),
            FOREIGN KEY (tenant, packet_id) REFERENCES packet
        )
    """)
    protect("claim", "evidence", "packet", "packet_material", privileges="SELECT, INSERT, UPDATE")
