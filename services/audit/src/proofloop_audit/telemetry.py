"""Names of the audit service's spans, attributes and metrics."""

from collections.abc import Callable, Iterable

from opentelemetry import metrics
from opentelemetry.metrics import CallbackOptions, Observation

APPEND_SPAN = "audit.append"
ENTRY_COUNT = "audit.entries"
LOG_SIZE = "audit.log.size"
ENTRY_ID = "audit.entry.id"
ENTRY_INDEX = "audit.entry.index"

_meter = metrics.get_meter("proofloop_audit")

batch_size = _meter.create_histogram(
    "proofloop.audit.append.batch", unit="{entry}", description="Entries sequenced by one transaction."
)
checkpoints_signed = _meter.create_counter(
    "proofloop.audit.checkpoints", unit="{checkpoint}", description="Checkpoints signed."
)


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
