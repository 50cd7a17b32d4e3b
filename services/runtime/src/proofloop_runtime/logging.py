"""Structured logs: one JSON object a line on standard output, with the ids that tie a line to its call and trace.

Messages are constant texts; what varies stands in fields. Neither holds personal data or a secret: call data is
never logged, and an exception is logged with its type and stack, not with the values in its text.
"""

import json
import logging
import sys
import traceback
from datetime import UTC, datetime

from proofloop_runtime.call import current_or_none
from proofloop_runtime.telemetry import current_trace_id

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonFormatter(logging.Formatter):
    """Formats a record as one JSON object."""

    def __init__(self, service: str, instance: str) -> None:
        super().__init__()
        self._constant = {"service": service, "instance": instance}

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "message": record.getMessage(),
            "logger": record.name,
            **self._constant,
        }
        if call := current_or_none():
            line |= {"correlation_id": call.correlation_id, "tenant": call.caller.tenant}
        if trace_id := current_trace_id():
            line["trace_id"] = trace_id
        line |= {key: value for key, value in vars(record).items() if key not in _STANDARD}
        if record.exc_info and record.exc_info[0] is not None:
            line["error_type"] = record.exc_info[0].__name__
            line["stack"] = traceback.format_tb(record.exc_info[2])
        return json.dumps(line, default=str, ensure_ascii=False)


def configure(service: str, instance: str, level: str) -> None:
    """Send the process's logs to standard output as JSON."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter(service, instance))
    logging.basicConfig(handlers=[handler], level=level, force=True)
    # Clients log what we already log with more sense, or call data.
    for noisy in ("nats", "grpc", "grpc._cython.cygrpc", "opentelemetry", "alembic"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
