"""Keys of subjects end period by period in tenants that have a retention."""

from alembic import context, op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Let a subject have several rows.

    No table is rewritten. `subject` is locked as long as it takes to build three indexes over it: some seconds for each
    million of people. Who appends for people that a replica remembers does not wait.
    """
    op.execute("ALTER TABLE subject ADD seal_until timestamptz")
    op.execute("ALTER TABLE subject DROP CONSTRAINT subject_pkey")
    op.execute("ALTER TABLE subject DROP CONSTRAINT subject_tenant_pseudonym_key")
    op.execute("ALTER TABLE subject ADD PRIMARY KEY (tenant, pseudonym)")
    # One row per subject and period, whoever is first, and one without an end.
    op.execute("CREATE UNIQUE INDEX subject_name ON subject (tenant, blind_index, seal_until) NULLS NOT DISTINCT")
    op.execute("CREATE INDEX subject_age ON subject (tenant, seal_until)")
    role = context.config.attributes["application_role"]
    op.execute(f'GRANT UPDATE (seal_until) ON subject TO "{role}"')
