"""Spans as the receiver keeps them: one JSON object a line."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Self

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1 import trace_pb2

Value = str | bool | int | float


class Kind(StrEnum):
    """What a span's work is towards others (OpenTelemetry SpanKind)."""

    INTERNAL = "internal"
    SERVER = "server"
    CLIENT = "client"
    PRODUCER = "producer"
    CONSUMER = "consumer"


KINDS = {
    trace_pb2.Span.SPAN_KIND_SERVER: Kind.SERVER,
    trace_pb2.Span.SPAN_KIND_CLIENT: Kind.CLIENT,
    trace_pb2.Span.SPAN_KIND_PRODUCER: Kind.PRODUCER,
    trace_pb2.Span.SPAN_KIND_CONSUMER: Kind.CONSUMER,
}


@dataclass(frozen=True, slots=True)
class Link:
    """Another span that this one has to do with without being its child."""

    trace_id: str
    span_id: str


@dataclass(frozen=True, slots=True)
class Span:
    """One span.

    Attributes:
        trace_id: 32 hexadecimal digits.
        span_id: 16 hexadecimal digits.
        parent_id: 16 hexadecimal digits, empty for a root.
        name: What it does.
        kind: Towards whom.
        service: `service.name` of who did it.
        start: Nanoseconds since the epoch.
        end: Nanoseconds since the epoch.
        failed: Whether its status is error.
        message: The status' description.
        attributes: Its attributes; lists and maps as JSON text.
        links: Its links.
    """

    trace_id: str
    span_id: str
    parent_id: str
    name: str
    kind: Kind
    service: str
    start: int
    end: int
    failed: bool
    message: str
    attributes: dict[str, Value]
    links: tuple[Link, ...]

    def to_json(self) -> str:
        """One line of JSON."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def from_json(cls, line: str) -> Self:
        """The span of a line that `to_json` wrote."""
        fields: dict[str, Any] = json.loads(line)
        fields["kind"] = Kind(fields["kind"])
        fields["links"] = tuple(Link(**link) for link in fields["links"])
        return cls(**fields)


def from_otlp(request: ExportTraceServiceRequest) -> Iterator[Span]:
    """The spans of an OTLP export request (opentelemetry-proto, trace service v1)."""
    for resource in request.resource_spans:
        service = str(_attributes(resource.resource.attributes).get("service.name", "unknown"))
        for scope in resource.scope_spans:
            for span in scope.spans:
                yield _span(service, span)


def _span(service: str, span: trace_pb2.Span) -> Span:
    return Span(
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        name=span.name,
        kind=KINDS.get(span.kind, Kind.INTERNAL),
        service=service,
        start=span.start_time_unix_nano,
        end=span.end_time_unix_nano,
        failed=span.status.code == trace_pb2.Status.STATUS_CODE_ERROR,
        message=span.status.message,
        attributes=_attributes(span.attributes),
        links=tuple(Link(link.trace_id.hex(), link.span_id.hex()) for link in span.links),
    )


def _attributes(pairs: Iterable[KeyValue]) -> dict[str, Value]:
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: AnyValue) -> Value:
    match value.WhichOneof("value"):
        case "string_value":
            return value.string_value
        case "bool_value":
            return value.bool_value
        case "int_value":
            return value.int_value
        case "double_value":
            return value.double_value
        case "bytes_value":
            return value.bytes_value.hex()
        case "array_value":
            return json.dumps([_value(item) for item in value.array_value.values])
        case "kvlist_value":
            return json.dumps(_attributes(value.kvlist_value.values))
        case _:
            return ""
