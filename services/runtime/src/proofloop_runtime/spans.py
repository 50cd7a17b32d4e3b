"""Spans: what OpenTelemetry's API asks of one, and no more.

The SDK's own span has locks, limits, events and links that nothing here needs, and costs a call more than everything
else that surrounds it. This one holds what is said of it and becomes the SDK's, for exporters, when it has ended.
"""

import random
import time
from collections.abc import Callable, Mapping

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Span, SpanContext, SpanKind, Status, StatusCode, TraceFlags
from opentelemetry.util.types import Attributes, AttributeValue

_SCOPE = InstrumentationScope("proofloop_runtime")
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)
_UNSET = Status()

_recorders: list[tuple[SpanProcessor, Resource]] = []


class RecordedSpan(Span):
    """A span that begins when it is made, or did a moment before.

    Args:
        name: What is done.
        kind: Its side of a call or of a message.
        parent: The span that it belongs to, invalid where there is none. If that is not sampled, this is not either.
        attributes: What is known of it by now.
        ended: Is told when it ends.
        start: When it began, in seconds of `time.perf_counter`; None: now.

    Attributes:
        trace_id: The trace's id, as 32 hex digits.
        attributes: What it says so far.
        seconds: How long it took, once it has ended.
    """

    def __init__(
        self,
        name: str,
        kind: SpanKind,
        parent: SpanContext,
        attributes: Mapping[str, AttributeValue],
        ended: "Callable[[RecordedSpan], None]",
        start: float | None = None,
    ) -> None:
        if parent.is_valid:
            trace_id, flags, state = parent.trace_id, parent.trace_flags, parent.trace_state
        else:
            trace_id, flags, state = random.getrandbits(128) or 1, _SAMPLED, None
        self.trace_id = f"{trace_id:032x}"
        self.attributes: dict[str, AttributeValue] = dict(attributes)
        self.seconds = 0.0
        self._name = name
        self._kind = kind
        self._parent = parent if parent.is_valid else None
        # Most spans have no children, and nobody asks for their context but the exporter, later.
        self._ids = (trace_id, random.getrandbits(64) or 1, False, flags, state)
        self._status = _UNSET
        self._ended: Callable[[RecordedSpan], None] | None = ended
        now = time.perf_counter()
        self._start = now if start is None else start
        self._start_nanoseconds = time.time_ns() - round((now - self._start) * 1e9)

    def end(self, end_time: int | None = None) -> None:
        """Stop the clock, now or at a time in nanoseconds since the epoch. To end it again does nothing."""
        if self._ended is not None:
            if end_time is None:
                self.seconds = time.perf_counter() - self._start
            else:
                self.seconds = (end_time - self._start_nanoseconds) / 1e9
            ended, self._ended = self._ended, None
            ended(self)

    def readable(self, resource: Resource) -> ReadableSpan:
        """Return the span as exporters take it."""
        return ReadableSpan(
            self._name,
            context=self.get_span_context(),
            parent=self._parent,
            resource=resource,
            attributes=self.attributes,
            kind=self._kind,
            status=self._status,
            start_time=self._start_nanoseconds,
            end_time=self._start_nanoseconds + round(self.seconds * 1e9),
            instrumentation_scope=_SCOPE,
        )

    def get_span_context(self) -> SpanContext:
        """Return its ids."""
        return SpanContext(*self._ids)

    def is_recording(self) -> bool:
        """Tell that it takes attributes."""
        return self._ended is not None

    def set_attribute(self, key: str, value: AttributeValue) -> None:
        """Say something about what is done."""
        self.attributes[key] = value

    def set_attributes(self, attributes: Mapping[str, AttributeValue]) -> None:
        """Say several things about what is done."""
        self.attributes.update(attributes)

    def set_status(self, status: Status | StatusCode, description: str | None = None) -> None:
        """Set the status."""
        self._status = status if isinstance(status, Status) else Status(status, description)

    def update_name(self, name: str) -> None:
        """Give it another name."""
        self._name = name

    def add_event(self, name: str, attributes: Attributes = None, timestamp: int | None = None) -> None:
        """Do nothing: what happens within a span has spans of its own."""

    def record_exception(
        self,
        exception: BaseException,
        attributes: Attributes = None,
        timestamp: int | None = None,
        escaped: bool = False,
    ) -> None:
        """Do nothing: an exception's text may name people."""


def record_with(processor: SpanProcessor, provider: TracerProvider) -> None:
    """Have these spans, and those that the provider makes, recorded by a processor, as the provider's resource."""
    provider.add_span_processor(processor)
    _recorders.append((processor, provider.resource))


def record(span: RecordedSpan) -> None:
    """Record a span that has ended, if its trace is sampled."""
    if _recorders and span.get_span_context().trace_flags.sampled:
        for processor, resource in _recorders:
            processor.on_end(span.readable(resource))
