"""Alembic's entry."""

from proofloop_runtime.migrations import environment

environment.run()
