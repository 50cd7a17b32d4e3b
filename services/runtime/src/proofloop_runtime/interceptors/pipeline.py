"""The one interceptor of a server: what happens around every call, the same for all four kinds of calls.

It is one coroutine and not one per concern, for each costs a call more than most concerns do. What only looks at a call
before it runs is a guard: a plain function.
"""

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio
from google.protobuf.message import DecodeError

from proofloop_runtime import contract
from proofloop_runtime.call import CallContext
from proofloop_runtime.contract import Method
from proofloop_runtime.grpc_types import RpcMethodHandler, ServerInterceptor, ServicerContext
from proofloop_runtime.interceptors.convoy import Convoy
from proofloop_runtime.spans import RecordedSpan

if TYPE_CHECKING:
    from proofloop_runtime.interceptors.deadline import Deadlines
    from proofloop_runtime.interceptors.errors import Errors
    from proofloop_runtime.interceptors.tracing import Tracing

_STATUSES = {number: status for status in grpc.StatusCode for number in (status, status.value[0])}
"""gRPC's statuses by themselves and by their numbers, for a servicer context reports either."""


class Unparseable:
    """Stands in for a request whose bytes are not its message: gRPC itself would answer UNKNOWN."""

    def __init__(self, error_type: str) -> None:
        self.error_type = error_type


class Call:
    """One call on its way.

    Attributes:
        method: What the contract says of the method.
        grpc: The servicer context.
        metadata: The caller's metadata, last value per key; binary values left out.
        request: The request, or the stream of requests.
        deadline: When it must be over, in seconds of the event loop's clock; None where it may last.
        context: Who calls; set by the identity guard.
        span: The call's span; set by tracing.
        status: The status it ends with.
    """

    __slots__ = ("context", "deadline", "grpc", "metadata", "method", "request", "span", "status")

    span: RecordedSpan

    def __init__(self, method: Method, request: Any, context: ServicerContext) -> None:
        self.method = method
        self.grpc = context
        self.metadata: Mapping[str, str] = {
            key: value for key, value in context.invocation_metadata() or () if isinstance(value, str)
        }
        self.request = request
        self.deadline: float | None = None
        self.context: CallContext | None = None
        self.status = grpc.StatusCode.OK

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


class Pipeline(ServerInterceptor):
    """Surrounds every call of the given methods, and of the health and reflection protocols.

    Args:
        methods: What the contract says, by path.
        tracing: Gives each call its span.
        errors: Tells the caller what went wrong.
        deadlines: End calls in time.
        convoy: Holds calls together in a crowd.
        guards: Let calls in, one after the other.
    """

    def __init__(
        self,
        methods: Mapping[str, Method],
        tracing: "Tracing",
        errors: "Errors",
        deadlines: "Deadlines",
        convoy: Convoy,
        guards: Sequence[Guard],
    ) -> None:
        self._methods = methods
        self._tracing = tracing
        self._errors = errors
        self._deadlines = deadlines
        self._convoy = convoy
        self._guards = tuple(guards)
        self._handlers: dict[str, RpcMethodHandler] = {}

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[RpcMethodHandler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> RpcMethodHandler:
        """Return the method's handler with everything around it."""
        path = handler_call_details.method
        wrapped = self._handlers.get(path)
        if wrapped is None:
            handler = await continuation(handler_call_details)
            if handler is None:
                return handler
            wrapped = self._handlers[path] = self._wrap(self._methods.get(path) or contract.foreign(path), handler)
        return wrapped

    def _wrap(self, method: Method, handler: Any) -> RpcMethodHandler:
        behaviour = next(
            b
            for b in (handler.unary_unary, handler.unary_stream, handler.stream_unary, handler.stream_stream)
            if b is not None
        )
        if handler.response_streaming:
            behaviour = _writing(behaviour)
        kind = {
            (False, False): grpc.unary_unary_rpc_method_handler,
            (False, True): grpc.unary_stream_rpc_method_handler,
            (True, False): grpc.stream_unary_rpc_method_handler,
            (True, True): grpc.stream_stream_rpc_method_handler,
        }[handler.request_streaming, handler.response_streaming]
        run = self._surround(method, behaviour)
        return kind(run, _forgiving(handler.request_deserializer), handler.response_serializer)

    def _surround(self, method: Method, behaviour: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def run(request: Any, context: ServicerContext) -> Any:
            call = Call(method, request, context)
            self._tracing.begin(call)
            try:
                with self._deadlines.bounding(call):
                    company = self._convoy.join()
                    if company is not None:
                        await company
                    for guard in self._guards:
                        guard(call)
                    response = await behaviour(call.request, context)
            except grpc.aio.AbortError:
                # A servicer aborts by itself, as gRPC's own health protocol does.
                call.status = _STATUSES[context.code()]
                self._tracing.end(call)
                raise
            except asyncio.CancelledError:
                call.status = self._deadlines.status_of_cancelled(call)
                self._tracing.end(call)
                raise
            # The one place where anything may be caught: a defect becomes INTERNAL, its traceback goes to the log only.
            except Exception as error:  # noqa: BLE001
                try:
                    answer = await self._errors.answer(call, error)
                finally:
                    self._tracing.end(call)
                await context.abort(*answer)
            else:
                self._tracing.end(call)
                return response

        return run


def _writing(behaviour: Callable[..., Any]) -> Callable[..., Awaitable[None]]:
    """Return a server stream's method as a coroutine that writes its messages."""

    async def write(request: Any, context: ServicerContext) -> None:
        result = behaviour(request, context)
        if not inspect.isasyncgen(result):
            await result
            return
        # Closed here and now when the caller is gone, and not whenever it is collected.
        async with aclosing(result):
            async for message in result:
                await context.write(message)

    return write


def _forgiving(deserialize: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    def parse(data: bytes) -> Any:
        try:
            return deserialize(data)
        except DecodeError as error:
            return Unparseable(type(error).__name__)

    return parse
