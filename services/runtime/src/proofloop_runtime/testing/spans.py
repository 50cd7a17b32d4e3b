"""Spans of this process, recorded for assertions."""

from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from proofloop_runtime.spans import record_with


class SpanRecorder:
    """What was recorded."""

    def __init__(self, exporter: InMemorySpanExporter) -> None:
        self._exporter = exporter

    def finished(self) -> list[ReadableSpan]:
        """Return all finished spans in the order they ended."""
        return list(self._exporter.get_finished_spans())

    def named(self, name: str) -> list[ReadableSpan]:
        """Return the finished spans of a name."""
        return [span for span in self.finished() if span.name == name]

    def parent_of(self, span: ReadableSpan) -> ReadableSpan | None:
        """Return the finished span that is the parent of another, if it was recorded."""
        if span.parent is None:
            return None
        return next((s for s in self.finished() if s.context and s.context.span_id == span.parent.span_id), None)


_exporter = InMemorySpanExporter()


@contextmanager
def recording() -> Iterator[SpanRecorder]:
    """Record the spans of this process inside the block."""
    provider = trace.get_tracer_provider()
    if not isinstance(provider, TracerProvider):
        # A process has one provider, for ever; this one serves all tests of the process.
        provider = TracerProvider()
        record_with(SimpleSpanProcessor(_exporter), provider)
        trace.set_tracer_provider(provider)
    _exporter.clear()
    yield SpanRecorder(_exporter)
    _exporter.clear()
