"""A span for every SQL statement: its text with placeholders, never its values."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from opentelemetry import trace as opentelemetry_trace
from opentelemetry.trace import Span, SpanKind
from sqlalchemy.engine import Connection, Engine, ExceptionContext

from proofloop_runtime import telemetry

_LONGEST = 2000


def trace(engine: Engine, system: str) -> None:
    """Give each statement that is executed inside a span a span of its own.

    Statements outside of any span are those of workers that look whether there is something to do; when there is,
    they open one.
    """

    @sa.event.listens_for(engine, "before_cursor_execute")
    def before(connection: Connection, _cursor: Any, statement: str, *_rest: Any) -> None:
        if (span := _started(statement, system)) is not None:
            connection.info["span"] = span

    @sa.event.listens_for(engine, "after_cursor_execute")
    def after(connection: Connection, *_rest: Any) -> None:
        if (span := _taken(connection)) is not None:
            span.end()

    @sa.event.listens_for(engine, "handle_error")
    def failed(context: ExceptionContext) -> None:
        if context.connection is not None and (span := _taken(context.connection)) is not None:
            # The driver's own error, such as DivisionByZeroError, says more than what SQLAlchemy makes of it.
            original = context.original_exception
            # A statement whose caller has gone is nobody's failure.
            if not isinstance(original, asyncio.CancelledError):
                telemetry.failed(span, type(original.__cause__ or original).__name__)
            span.end()


@contextmanager
def span(statement: str, system: str) -> Iterator[None]:
    """Give the statement that is executed in the block a span, as those of an engine have."""
    started = _started(statement, system)
    try:
        yield
    except Exception as error:
        if started is not None:
            telemetry.failed(started, type(error).__name__)
        raise
    finally:
        if started is not None:
            started.end()


def _started(statement: str, system: str) -> Span | None:
    if not opentelemetry_trace.get_current_span().get_span_context().is_valid:
        return None
    operation = statement.split(None, 1)[0].upper()
    attributes = {
        telemetry.DB_SYSTEM: system,
        telemetry.DB_OPERATION: operation,
        telemetry.DB_QUERY: statement[:_LONGEST],
    }
    return telemetry.start_span(operation, SpanKind.CLIENT, attributes)


def _taken(connection: Connection) -> Span | None:
    span: Span | None = connection.info.pop("span", None)
    return span
