"""The span of the processing of an event."""

from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry.trace import SpanKind

from proofloop_runtime import telemetry
from proofloop_runtime.events import Envelope
from proofloop_runtime.messaging import DEPENDENCY
from proofloop_runtime.spans import RecordedSpan


@contextmanager
def processing(consumer: str, event: Envelope) -> Iterator[None]:
    """Run the block as the processing of one event, in the event's trace."""
    span = start_processing(consumer, event)
    try:
        with telemetry.within(span):
            yield
    finally:
        span.end()


def start_processing(consumer: str, event: Envelope) -> RecordedSpan:
    """Start the span of the processing of one event, in the event's trace; whoever starts it ends it."""
    attributes = {
        telemetry.MESSAGING_SYSTEM: DEPENDENCY,
        telemetry.MESSAGING_OPERATION: "process",
        telemetry.MESSAGING_DESTINATION: event.subject,
        telemetry.MESSAGING_ID: event.event_id,
        telemetry.MESSAGING_CONSUMER: consumer,
        telemetry.TENANT: event.tenant,
    }
    parent = telemetry.extract(event.trace_context)
    return telemetry.start_span(f"{telemetry.PROCESS_SPAN} {event.action}", SpanKind.CONSUMER, attributes, parent)
