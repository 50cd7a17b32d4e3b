"""The span and the duration of every call."""

import asyncio

import grpc
from opentelemetry import trace
from opentelemetry.trace import INVALID_SPAN_CONTEXT, SpanKind

from proofloop_runtime import telemetry
from proofloop_runtime.interceptors.call import Call
from proofloop_runtime.spans import RecordedSpan, record

_SERVER_FAULTS = frozenset(
    {
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.UNIMPLEMENTED,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DATA_LOSS,
    }
)
"""Statuses that make a server's span an error, by the semantic conventions for gRPC."""


class Tracing:
    """Gives each call a server span, a child of the caller's, and measures it.

    What ends in one turn of the event loop is recorded together at the end of the turn, when the answers are on their
    way: done one by one, amid everything else that a call does, it costs several times as much.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._ended: list[Call] = []

    def begin(self, call: Call) -> None:
        """Start the span, at the time when the call came."""
        parent = telemetry.extract(call.metadata)
        caller = trace.get_current_span(parent).get_span_context() if parent else INVALID_SPAN_CONTEXT
        attributes = {telemetry.RPC_SYSTEM: "grpc", telemetry.RPC_METHOD: call.method.name}
        call.span = RecordedSpan(call.method.name, SpanKind.SERVER, caller, attributes, _recorded_later, call.start)
        call.surroundings = trace.set_span_in_context(call.span, parent)

    def end(self, call: Call) -> None:
        """End the span with the call's status."""
        call.span.end()
        if not self._ended:
            self._loop.call_soon(self._record)
        self._ended.append(call)

    def _record(self) -> None:
        ended, self._ended = self._ended, []
        for call in ended:
            span = call.span
            names = {telemetry.RPC_METHOD: call.method.name, telemetry.RPC_STATUS: call.status.name}
            span.attributes.update(names)
            if call.status in _SERVER_FAULTS:
                telemetry.failed(span, call.status.name)
            telemetry.rpc_duration.record(span.seconds, names)
            record(span)


def _recorded_later(_span: RecordedSpan) -> None:
    """Do nothing: the span waits for others."""
