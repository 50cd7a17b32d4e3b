"""The tables that every service has, as SQLAlchemy Core sees them, and the row policy that every table carries.

Migrations create them through `proofloop_runtime.migrations`.
"""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

metadata = sa.MetaData()

outbox = sa.Table(
    "outbox",
    metadata,
    sa.Column("sequence", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column("tenant", sa.Text, nullable=False),
    sa.Column("event_id", pg.UUID(as_uuid=False), nullable=False),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("headers", pg.JSONB, nullable=False),
    sa.Column("data", sa.LargeBinary, nullable=False),
    sa.Column("create_time", sa.DateTime(timezone=True), nullable=False),
    sa.Column("publish_time", sa.DateTime(timezone=True)),
)
"""Events written in the transaction of their change, until the relay has handed them to the broker."""

inbox = sa.Table(
    "inbox",
    metadata,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("consumer", sa.Text, primary_key=True),
    sa.Column("event_id", pg.UUID(as_uuid=False), primary_key=True),
    sa.Column("create_time", sa.DateTime(timezone=True), nullable=False),
)
"""Events whose effect is committed; a second delivery finds its row and does nothing."""

idempotency = sa.Table(
    "idempotency",
    metadata,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("caller", sa.Text, primary_key=True),
    sa.Column("method", sa.Text, primary_key=True),
    sa.Column("request_id", pg.UUID(as_uuid=False), primary_key=True),
    sa.Column("request_hash", sa.LargeBinary, nullable=False),
    sa.Column("response", sa.LargeBinary),
    sa.Column("create_time", sa.DateTime(timezone=True), nullable=False),
)
"""First answers of mutations by request id."""

refusal = sa.Table(
    "refusal",
    metadata,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("caller_type", sa.Text, primary_key=True),
    sa.Column("caller_id", sa.Text, primary_key=True),
    sa.Column("method", sa.Text, primary_key=True),
    sa.Column("reason", sa.Text, primary_key=True),
    sa.Column("window_start", sa.DateTime(timezone=True), primary_key=True),
    sa.Column("count", sa.BigInteger, nullable=False),
)
"""Refusals of known callers, summed per minute until they become an event."""
