"""What the migrations of every service share. A function here is history: it is never changed, only followed."""

from alembic import context, op

POLICY = "tenant = ANY (string_to_array(NULLIF(current_setting('app.tenants', true), ''), ','))"
"""A transaction sees the rows of the tenants it has named. After a transaction a pooled connection reports '' and
not NULL, hence NULLIF: no tenant named, no row seen."""


def protect(*tables: str, privileges: str = "SELECT, INSERT, UPDATE, DELETE") -> None:
    """Put tables under row-level security by tenant and give the application role its privileges on them."""
    role = context.config.attributes["application_role"]
    for table in tables:
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        op.execute(f"CREATE POLICY tenant_isolation ON {table} USING ({POLICY}) WITH CHECK ({POLICY})")
        op.execute(f'GRANT {privileges} ON {table} TO "{role}"')


def create_runtime_tables() -> None:
    """Create the tables that every service has, and let the application read the schema revision."""
    op.execute("""
        CREATE TABLE outbox (
            sequence bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            tenant text NOT NULL,
            event_id uuid NOT NULL,
            subject text NOT NULL,
            headers jsonb NOT NULL,
            data bytea NOT NULL,
            create_time timestamptz NOT NULL,
            publish_time timestamptz,
            UNIQUE (tenant, event_id)
        )
    """)
    op.execute("CREATE INDEX outbox_unpublished ON outbox (sequence) WHERE publish_time IS NULL")
    op.execute("CREATE INDEX outbox_published ON outbox (publish_time) WHERE publish_time IS NOT NULL")
    op.execute("""
        CREATE TABLE inbox (
            tenant text NOT NULL,
            consumer text NOT NULL,
            event_id uuid NOT NULL,
            create_time timestamptz NOT NULL,
            PRIMARY KEY (tenant, consumer, event_id)
        )
    """)
    op.execute("CREATE INDEX inbox_create_time ON inbox (tenant, create_time)")
    op.execute("""
        CREATE TABLE idempotency (
            tenant text NOT NULL,
            caller text NOT NULL,
            method text NOT NULL,
            request_id uuid NOT NULL,
            request_hash bytea NOT NULL,
            response bytea,
            create_time timestamptz NOT NULL,
            PRIMARY KEY (tenant, caller, method, request_id)
        )
    """)
    op.execute("CREATE INDEX idempotency_create_time ON idempotency (tenant, create_time)")
    op.execute("""
        CREATE TABLE refusal (
            tenant text NOT NULL,
            caller_type text NOT NULL,
            caller_id text NOT NULL,
            method text NOT NULL,
            reason text NOT NULL,
            window_start timestamptz NOT NULL,
            count bigint NOT NULL,
            PRIMARY KEY (tenant, caller_type, caller_id, method, reason, window_start)
        )
    """)
    protect("outbox", "inbox", "idempotency", "refusal")
    role = context.config.attributes["application_role"]
    op.execute(f'GRANT SELECT ON alembic_version TO "{role}"')
