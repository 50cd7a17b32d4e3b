"""One call on its way through the service."""

import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractContextManager
from functools import cached_property
from typing import Any

import grpc
from opentelemetry.context import Context, attach

from proofloop_runtime.call import CallContext, enter
from proofloop_runtime.contract import Method
from proofloop_runtime.grpc_types import ServicerContext
from proofloop_runtime.spans import RecordedSpan

CORRELATION_ID = "x-request-id"
"""Metadata that names a call, to its caller and to all that it causes."""


class Unparseable:
    """Stands in for a request whose bytes are not its message: gRPC itself would answer UNKNOWN."""

    def __init__(self, error_type: str) -> None:
        self.error_type = error_type


class Call:
    """One call on its way.

    Attributes:
        method: What the contract says of the method.
        grpc: The servicer context.
        request: The request, or the stream of requests.
        start: When it came, in seconds of `time.perf_counter`.
        status: The status it ends with.
        deadline: When it must be over, in seconds of the event loop's clock; None where it may last.
        context: Who calls; None until they are known.
        correlation_id: The caller's `x-request-id`, or the trace's id; empty until it is known.
        refusal: What keeps it out, if anything does.
        span: Its span.
        surroundings: That span and its caller's baggage, as OpenTelemetry hands them on.
        bound: The block that it has to run in, which ends it in time.
    """

    span: RecordedSpan
    surroundings: Context
    bound: AbstractContextManager[None]

    def __init__(self, method: Method, request: Any, context: ServicerContext) -> None:
        self.method = method
        self.grpc = context
        self.request = request
        self.start = time.perf_counter()
        self.status = grpc.StatusCode.OK
        self.deadline: float | None = None
        self.context: CallContext | None = None
        self.correlation_id = ""
        self.refusal: Exception | None = None

    @cached_property
    def metadata(self) -> Mapping[str, str]:
        """The caller's metadata, last value per key; binary values left out."""
        return {key: value for key, value in self.grpc.invocation_metadata() or () if isinstance(value, str)}

    def enter(self) -> None:
        """Make the call the current one for the rest of this task.

        Raises:
            Exception: what it is refused for.
        """
        # gRPC runs each call in a task of its own, so nothing has to be detached.
        attach(self.surroundings)
        if self.context is not None:
            enter(self.context)
        if self.refusal is not None:
            raise self.refusal

    def each_request(self, inspect_request: Callable[[Any], None]) -> None:
        """Have every request inspected: at once where there is one, else as each is read."""
        if not hasattr(self.request, "__aiter__"):
            inspect_request(self.request)
            return

        async def inspected(requests: AsyncIterator[Any]) -> AsyncIterator[Any]:
            async for request in requests:
                inspect_request(request)
                yield request

        self.request = inspected(self.request)


Guard = Callable[[Call], None]
"""Looks at a call before it runs; raises what it is refused for."""
