"""The body of every service's Alembic `env.py`."""

from alembic import context


def run() -> None:
    """Run the migrations on the connection that `proofloop migrate` opened."""
    context.configure(connection=context.config.attributes["connection"], transaction_per_migration=True)
    with context.begin_transaction():
        context.run_migrations()
