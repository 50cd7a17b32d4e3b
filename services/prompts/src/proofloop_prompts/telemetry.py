"""Names of the prompts service's spans, attributes and metrics."""

from opentelemetry import metrics

EXPIRE_SPAN = "prompts.expire"
DELIVER_SPAN = "prompts.deliver"
PROMPT_COUNT = "prompts.count"
PROMPT_STATE = "prompts.state"
STREAM_END = "prompts.stream.end"

_meter = metrics.get_meter("proofloop_prompts")

changes = _meter.create_counter(
    "proofloop.prompts.changes", unit="{change}", description="State changes of prompts, by the state reached."
)
expiry_lag = _meter.create_histogram(
    "proofloop.prompts.expiry.lag", unit="s", description="How long after its time a prompt was recorded as expired."
)
open_streams = _meter.create_up_down_counter(
    "proofloop.prompts.streams", unit="{stream}", description="Open streams of WatchPrompts."
)
ended_streams = _meter.create_counter(
    "proofloop.prompts.streams.ended", unit="{stream}", description="Streams that ended, by how."
)
