"""The span and the duration of every call."""

import asyncio

import grpc
from opentelemetry import context, trace
from opentelemetry.trace import INVALID_SPAN_CONTEXT, SpanKind

from proofloop_runtime import telemetry
from proofloop_runtime.interceptors.pipeline import Call
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
        self._ended: list[RecordedSpan] = []

    def begin(self, call: Call) -> None:
        """Start the span, and make it the current one for the rest of this task."""
        parent = telemetry.extract(call.metadata)
        caller = trace.get_current_span(parent).get_span_context() if parent else INVALID_SPAN_CONTEXT
        attributes = {telemetry.RPC_SYSTEM: "grpc", telemetry.RPC_METHOD: call.method.name}
        call.span = RecordedSpan(call.method.name, SpanKind.SERVER, caller, attributes, self._over)
        # gRPC runs each call in a task of its own, so nothing has to be detached.
        context.attach(trace.set_span_in_context(call.span, parent))

    def end(self, call: Call) -> None:
        """End the span with the call's status."""
        call.span.attributes[telemetry.RPC_STATUS] = call.status.name
        if call.status in _SERVER_FAULTS:
            telemetry.failed(call.span, call.status.name)
        call.span.end()

    def _over(self, span: RecordedSpan) -> None:
        if not self._ended:
            self._loop.call_soon(self._record)
        self._ended.append(span)

    def _record(self) -> None:
        ended, self._ended = self._ended, []
        for span in ended:
            names = {name: span.attributes[name] for name in (telemetry.RPC_METHOD, telemetry.RPC_STATUS)}
            telemetry.rpc_duration.record(span.seconds, names)
            record(span)
