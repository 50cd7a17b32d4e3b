"""Names of the audit service's spans, attributes and metrics, and what is said of a batch."""

import time
from collections.abc import Callable, Iterable

from opentelemetry import metrics
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.trace import INVALID_SPAN_CONTEXT, SpanKind
from opentelemetry.util.types import AttributeValue
from proofloop_runtime import telemetry as spans
from proofloop_runtime.database import DEPENDENCY
from proofloop_runtime.spans import RecordedSpan, record

APPEND_SPAN = "audit.append"
PUBLISH_SPAN = "audit.publish"
ENTRY_COUNT = "audit.entries"
LOG_SIZE = "audit.log.size"
ENTRY_ID = "audit.entry.id"
ENTRY_INDEX = "audit.entry.index"
CHECK = "audit.check"

_meter = metrics.get_meter("proofloop_audit")

batch_size = _meter.create_histogram(
    "proofloop.audit.append.batch", unit="{entry}", description="Entries sequenced together."
)
checkpoints_signed = _meter.create_counter(
    "proofloop.audit.checkpoints", unit="{checkpoint}", description="Checkpoints signed."
)

entries_published = _meter.create_counter(
    "proofloop.audit.published", unit="{entry}", description="Entries published as tiles and bundles."
)
forks_found = _meter.create_counter(
    "proofloop.audit.forks", unit="{fork}", description="Logs found to contradict what is published of them."
)
damages_found = _meter.create_counter(
    "proofloop.audit.damages", unit="{damage}", description="Parts of logs found not to be what they should be."
)
subjects_expired = _meter.create_counter(
    "proofloop.audit.expired", unit="{key}", description="Keys of subjects destroyed because the retention ended."
)


def record_batch(tenant: str, entries: int, start: float, end: float, error_type: str) -> None:
    """Record that entries were sequenced together, or could not be, between two moments of `time.perf_counter`."""
    attributes: dict[str, AttributeValue] = {ENTRY_COUNT: entries, spans.TENANT: tenant, spans.DB_SYSTEM: DEPENDENCY}
    span = RecordedSpan(APPEND_SPAN, SpanKind.CLIENT, INVALID_SPAN_CONTEXT, attributes, record, start)
    if error_type:
        spans.failed(span, error_type)
    else:
        batch_size.record(entries)
    span.end(time.time_ns() - round((time.perf_counter() - end) * 1e9))


def observe_queue(depth: Callable[[], int]) -> None:
    """Report how many entries wait to be sequenced, whenever metrics are collected."""

    def observe(_options: CallbackOptions) -> Iterable[Observation]:
        return [Observation(depth())]

    _meter.create_observable_gauge(
        "proofloop.audit.append.queue",
        callbacks=[observe],
        unit="{entry}",
        description="Entries that wait to be sequenced.",
    )
