"""Entries are found by session, outcome and kind of entity; times are found without an index of their own."""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the columns, fill them from the leaves, and exchange one index for three, of which most entries are in one.

    Every index costs every append, so each has to be worth it:

    * Times go: `append_time` never decreases with the index, so halving finds the first index of a time through the
      primary key, and a range of indexes goes well with any other filter, which a range of times did not.
    * Kinds of entities are few, and a rare one would be looked for through the whole log.
    * Most entries have no session and are successes. Those are in neither of the partial indexes; whoever asks for
      successes reads the log as it is, for few others are in between.
    """
    op.execute("ALTER TABLE log_entry ADD session_id text, ADD outcome text")
    # The owner, too, sees only rows of the tenants it names, and does not know all of them.
    op.execute("ALTER TABLE log_entry NO FORCE ROW LEVEL SECURITY")
    op.execute("""
        UPDATE log_entry SET
            session_id = convert_from(leaf, 'UTF8')::json ->> 'session_id',
            outcome = convert_from(leaf, 'UTF8')::json ->> 'outcome'
    """)
    op.execute("ALTER TABLE log_entry FORCE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE log_entry ALTER outcome SET NOT NULL")
    op.execute("DROP INDEX log_entry_time")
    op.execute("CREATE INDEX log_entry_entity_type ON log_entry (tenant, entity_type, index)")
    op.execute("CREATE INDEX log_entry_session ON log_entry (tenant, session_id, index) WHERE session_id IS NOT NULL")
    op.execute("CREATE INDEX log_entry_outcome ON log_entry (tenant, outcome, index) WHERE outcome <> 'success'")
