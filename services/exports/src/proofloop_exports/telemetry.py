"""Names of the exports service's spans, attributes and metrics."""

from opentelemetry import metrics

COMPARE_SPAN = "exports.compare"
RENDER_SPAN = "exports.render"
WORKFLOW_ID = "exports.workflow.id"
STAGE = "exports.stage"
CHANGE_COUNT = "exports.changes"
FORMAT = "exports.format"
TEMPLATE = "exports.template"
DELIVERABLE_SIZE = "exports.deliverable.size"

_meter = metrics.get_meter("proofloop_exports")

records = _meter.create_counter("proofloop.exports.records", unit="{record}", description="Stages recorded.")
changes = _meter.create_histogram(
    "proofloop.exports.changes", unit="{change}", description="Changes computed between two documents."
)
deliverable_size = _meter.create_histogram(
    "proofloop.exports.deliverable.size", unit="By", description="Size of rendered deliverables."
)
