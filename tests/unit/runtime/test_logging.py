"""Log lines."""

import json
import logging

from proofloop_runtime import telemetry
from proofloop_runtime.call import CallContext, Caller, CallerType, serving
from proofloop_runtime.logging import JsonFormatter

FORMATTER = JsonFormatter("audit", "audit-7")


def line(record: logging.LogRecord) -> dict[str, object]:
    text = FORMATTER.format(record)
    assert "\n" not in text
    return json.loads(text)


def record(message: str, exc_info=None, **extra: object) -> logging.LogRecord:
    return logging.getLogger("proofloop").makeRecord(
        "proofloop", logging.WARNING, "file.py", 1, message, (), exc_info, extra=extra
    )


def test_a_line_is_one_json_object_with_its_fields() -> None:
    said = line(record("the relay\nwaits", dependency="nats"))
    assert said.pop("time").endswith("+00:00")
    assert said == {
        "level": "WARNING",
        "message": "the relay\nwaits",
        "logger": "proofloop",
        "service": "audit",
        "instance": "audit-7",
        "dependency": "nats",
    }


def test_a_line_within_a_call_names_its_trace_tenant_and_correlation_id_and_not_the_person(spans) -> None:
    caller = Caller(CallerType.USER, "jane@example.org", "acme", frozenset(), "envoy", "token-7")
    with serving(CallContext(caller, "request-7", "192.0.2.7", "curl/8")), telemetry.span("a call") as span:
        said = line(record("done"))
    assert (said["tenant"], said["correlation_id"]) == ("acme", "request-7")
    assert said["trace_id"] == f"{span.get_span_context().trace_id:032x}"
    for personal in ("jane", "192.0.2.7", "curl", "token-7"):
        assert personal not in json.dumps(said)


def test_an_exception_shows_its_type_and_its_stack_and_not_its_text() -> None:
    try:
        int("my diagnosis")
    except ValueError as error:
        said = line(record("failed", (type(error), error, error.__traceback__)))
    assert said["error_type"] == "ValueError"
    assert any("test_logging" in frame for frame in said["stack"])
    assert "invalid literal" not in json.dumps(said)
