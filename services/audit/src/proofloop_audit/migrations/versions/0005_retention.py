"""Keys of subjects end period by period, and words of sessions with their age, in tenants that have a retention."""

from alembic import context, op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Let a subject have several rows, and tell the age of a session.

    No table is rewritten. Both are locked until this is done, which is as long as it takes to build three indexes over
    the one and one over the other: some seconds for each million of people and sessions. Who appends for people that a
    replica remembers does not wait.
    """
    op.execute("ALTER TABLE subject ADD seal_until timestamptz")
    op.execute("ALTER TABLE subject DROP CONSTRAINT subject_pkey")
    op.execute("ALTER TABLE subject DROP CONSTRAINT subject_tenant_pseudonym_key")
    op.execute("ALTER TABLE subject ADD PRIMARY KEY (tenant, pseudonym)")
    # One row per subject and period, whoever is first, and one without an end.
    op.execute("CREATE UNIQUE INDEX subject_name ON subject (tenant, blind_index, seal_until) NULLS NOT DISTINCT")
    op.execute("CREATE INDEX subject_age ON subject (tenant, seal_until)")
    # What is there counts as of today. The defaults are for these rows alone, which are not written for it.
    op.execute("ALTER TABLE session ADD change_time timestamptz NOT NULL DEFAULT now()")
    op.execute("ALTER TABLE session ADD blank boolean NOT NULL DEFAULT false")
    op.execute("ALTER TABLE session ALTER change_time DROP DEFAULT, ALTER blank DROP DEFAULT")
    op.execute("CREATE INDEX session_age ON session (tenant, start_time, session_id) WHERE NOT blank")
    role = context.config.attributes["application_role"]
    op.execute(f'GRANT UPDATE (seal_until) ON subject TO "{role}"')
