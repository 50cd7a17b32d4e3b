"""What a prompt keeps of what was shown, once its texts are erased."""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the column."""
    op.execute("ALTER TABLE prompt ADD COLUMN shown_sha256 text")
