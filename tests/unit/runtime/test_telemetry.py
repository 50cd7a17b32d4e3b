"""Spans, and what becomes of them at the end."""

import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.trace import StatusCode
from proofloop_runtime import telemetry


@pytest.fixture
def receiver() -> Iterator[tuple[str, list[ExportTraceServiceRequest]]]:
    """An OTLP/HTTP receiver."""
    received: list[ExportTraceServiceRequest] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:  # http.server's name
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.path == "/v1/traces":
                if self.headers.get("content-encoding") == "gzip":
                    import gzip

                    body = gzip.decompress(body)
                received.append(ExportTraceServiceRequest.FromString(body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_arguments: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", received
    server.shutdown()
    thread.join()
    server.server_close()


def test_shutdown_flushes_what_was_recorded(receiver) -> None:
    endpoint, received = receiver
    exporters = telemetry.Telemetry("audit", "audit-7", endpoint)
    exporters._traces.get_tracer("test").start_span("the last").end()
    exporters.shutdown()
    [resource] = [resource for request in received for resource in request.resource_spans]
    attributes = {item.key: item.value.string_value for item in resource.resource.attributes}
    assert attributes["service.name"] == "audit"
    assert attributes["service.instance.id"] == "audit-7"
    assert [span.name for scope in resource.scope_spans for span in scope.spans] == ["the last"]


def test_a_span_ends_when_it_is_said_to_have_ended(spans) -> None:
    work = telemetry.start_span("work")
    end = time.time_ns() + 7_000_000
    work.end(end)
    [span] = spans.named("work")
    # The length is kept as seconds.
    assert abs(span.end_time - end) < 1_000


def test_a_failed_span_tells_the_type_of_the_error_and_never_its_text(spans) -> None:
    with pytest.raises(ValueError, match="diagnosis"), telemetry.span("work"):
        raise ValueError("my diagnosis")
    [span] = spans.named("work")
    assert span.status.status_code is StatusCode.ERROR
    assert span.attributes[telemetry.ERROR_TYPE] == "ValueError"
    assert "diagnosis" not in span.to_json()


def test_the_trace_context_travels_in_headers(spans) -> None:
    with telemetry.span("here"):
        headers = telemetry.inject()
        here = telemetry.current_trace_id()
    assert telemetry.trace_id(headers) == here
    with telemetry.span("there", parent=telemetry.extract(headers)):
        assert telemetry.current_trace_id() == here
    assert spans.parent_of(spans.named("there")[0]) == spans.named("here")[0]


@pytest.mark.parametrize("headers", [{}, {"traceparent": ""}, {"traceparent": "00-zz-1-01"}])
def test_headers_without_a_trace_begin_one(spans, headers) -> None:
    assert telemetry.trace_id(headers) == ""
    with telemetry.span("there", parent=telemetry.extract(headers)):
        assert len(telemetry.current_trace_id()) == 32
    assert spans.named("there")[0].parent is None
