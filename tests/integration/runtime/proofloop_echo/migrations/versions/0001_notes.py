"""Notes kept, and notes heard of."""

from alembic import op
from proofloop_runtime import migrations

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create the tables."""
    migrations.create_runtime_tables()
    op.execute("CREATE TABLE note (tenant text, note_id uuid, text text, PRIMARY KEY (tenant, note_id))")
    # No key: an effect that happened twice would show.
    op.execute("CREATE TABLE heard (tenant text, event_id uuid, text text, place bigserial)")
    migrations.protect("note", "heard")
    op.execute(f'GRANT USAGE ON SEQUENCE heard_place_seq TO "{op.get_context().config.attributes["application_role"]}"')
