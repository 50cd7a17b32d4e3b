"""Names of the packets service's spans, attributes and metrics."""

from opentelemetry import metrics

PACKET_SPAN = "packets.make"
STEP_SPAN = "packets.step"
PACKET_ID = "packets.packet.id"
PACKET_ATTEMPT = "packets.packet.attempt"
PACKET_STEP = "packets.packet.step"
PACKET_OUTCOME = "packets.packet.outcome"

_meter = metrics.get_meter("proofloop_packets")

evidence_bytes = _meter.create_counter(
    "proofloop.packets.evidence", unit="By", description="Bytes of evidence taken in."
)
attempts = _meter.create_counter(
    "proofloop.packets.attempts", unit="{attempt}", description="Attempts at packets, by how they ended."
)
