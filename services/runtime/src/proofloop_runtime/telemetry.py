"""Traces and metrics: set-up, and the names that the runtime uses.

Attribute names follow the OpenTelemetry semantic conventions 1.37 where they have one. No attribute ever carries
personal data or a secret: SQL is recorded with its placeholders, never with values.
"""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager

from opentelemetry import context, metrics, trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import SERVICE_INSTANCE_ID, SERVICE_NAME, SERVICE_NAMESPACE, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import AttributeValue

from proofloop_runtime.spans import RecordedSpan, record, record_with

SEND_SPAN = "send"
PROCESS_SPAN = "process"
OBJECTS_SPAN = "objects"
RPC_SYSTEM = "rpc.system.name"
RPC_METHOD = "rpc.method"
RPC_STATUS = "rpc.response.status_code"
ERROR_TYPE = "error.type"
DB_SYSTEM = "db.system.name"
DB_OPERATION = "db.operation.name"
DB_QUERY = "db.query.text"
MESSAGING_SYSTEM = "messaging.system"
MESSAGING_OPERATION = "messaging.operation.type"
MESSAGING_DESTINATION = "messaging.destination.name"
MESSAGING_ID = "messaging.message.id"
MESSAGING_CONSUMER = "messaging.consumer.group.name"
ERROR_REASON = "proofloop.error.reason"
TENANT = "proofloop.tenant"
CALLER_TYPE = "proofloop.caller.type"
CORRELATION_ID = "proofloop.correlation_id"
DEPENDENCY = "proofloop.dependency"
OBJECT_KEY = "proofloop.object.key"
BREAKER_STATE = "proofloop.breaker.state"

_W3C = TraceContextTextMapPropagator()

meter = metrics.get_meter("proofloop_runtime")

rpc_duration = meter.create_histogram(
    "rpc.server.call.duration", unit="s", description="Duration of calls by method and status."
)
outbox_published = meter.create_counter(
    "proofloop.outbox.published", unit="{event}", description="Events handed to the broker."
)
consumed = meter.create_counter(
    "proofloop.events.consumed", unit="{event}", description="Events consumed, by consumer and outcome."
)
breaker_changes = meter.create_counter(
    "proofloop.breaker.changes", unit="{change}", description="State changes of circuit breakers."
)


class Telemetry:
    """The exporters of one process.

    Args:
        service: Name of the service, `service.name`.
        instance: Name of the replica, `service.instance.id`.
        endpoint: Base URL of an OTLP/HTTP receiver, such as `http://127.0.0.1:4318`; None keeps everything here.
    """

    def __init__(self, service: str, instance: str, endpoint: str | None) -> None:
        resource = Resource.create(
            {SERVICE_NAMESPACE: "proofloop", SERVICE_NAME: service, SERVICE_INSTANCE_ID: instance}
        )
        self._traces = TracerProvider(resource=resource)
        readers = []
        if endpoint:
            base = endpoint.rstrip("/")
            exporting = BatchSpanProcessor(OTLPSpanExporter(f"{base}/v1/traces"), schedule_delay_millis=500)
            record_with(exporting, self._traces)
            readers.append(PeriodicExportingMetricReader(OTLPMetricExporter(f"{base}/v1/metrics")))
        self._metrics = MeterProvider(resource=resource, metric_readers=readers)

    def install(self) -> None:
        """Make this the telemetry of the process."""
        trace.set_tracer_provider(self._traces)
        metrics.set_meter_provider(self._metrics)

    def shutdown(self) -> None:
        """Flush what is left and stop. Blocks up to the exporter's time-out."""
        self._traces.shutdown()
        self._metrics.shutdown()


def start_span(
    name: str,
    kind: SpanKind = SpanKind.INTERNAL,
    attributes: Mapping[str, AttributeValue] | None = None,
    parent: Context | None = None,
) -> RecordedSpan:
    """Start a span, a child of the current one or of that in `parent`; whoever starts it ends it."""
    within = trace.get_current_span(parent).get_span_context()
    return RecordedSpan(name, kind, within, attributes or {}, record)


@contextmanager
def span(
    name: str,
    kind: SpanKind = SpanKind.INTERNAL,
    attributes: Mapping[str, AttributeValue] | None = None,
    parent: Context | None = None,
) -> Iterator[trace.Span]:
    """Run the block in a span; an exception marks it as failed, with its type and never its text."""
    current = start_span(name, kind, attributes, parent)
    try:
        with within(current):
            yield current
    finally:
        current.end()


def within(current: trace.Span) -> AbstractContextManager[None]:
    """Make a span the current one inside the block; an exception marks it as failed, with its type, never its text."""
    return _Within(current)


class _Within(AbstractContextManager[None]):
    """As a generator it would cost each call and each event twice as much."""

    __slots__ = ("_span", "_token")

    def __init__(self, span: trace.Span) -> None:
        self._span = span

    def __enter__(self) -> None:
        self._token = context.attach(trace.set_span_in_context(self._span))

    def __exit__(self, _type: object, error: BaseException | None, _traceback: object) -> None:
        context.detach(self._token)
        if isinstance(error, Exception):
            failed(self._span, type(error).__name__)


def failed(current: trace.Span, error_type: str) -> None:
    """Mark a span as failed."""
    current.set_status(Status(StatusCode.ERROR))
    current.set_attribute(ERROR_TYPE, error_type)


def inject() -> dict[str, str]:
    """Return the W3C trace context headers of the current span."""
    carrier: dict[str, str] = {}
    _W3C.inject(carrier)
    return carrier


def extract(carrier: Mapping[str, str]) -> Context:
    """Return the trace context that headers carry; the empty one if they carry none."""
    return _W3C.extract(carrier, context=Context()) if "traceparent" in carrier else Context()


def trace_id(carrier: Mapping[str, str]) -> str:
    """Return the trace id that headers carry as 32 hex digits, or an empty string if they carry none."""
    context = trace.get_current_span(extract(carrier)).get_span_context()
    return f"{context.trace_id:032x}" if context.is_valid else ""


def current_trace_id() -> str:
    """Return the current trace id as 32 hex digits, or an empty string outside any span."""
    span = trace.get_current_span()
    if isinstance(span, RecordedSpan):
        return span.trace_id
    context = span.get_span_context()
    return f"{context.trace_id:032x}" if context.is_valid else ""
