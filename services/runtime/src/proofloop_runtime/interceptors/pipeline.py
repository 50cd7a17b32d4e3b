"""What happens around every call, the same for all four kinds of calls.

It is one coroutine and not one per concern, for each costs a call more than most concerns do. What only looks at a call
before it runs is a guard: a plain function.
"""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from typing import Any

import grpc
import grpc.aio
from google.protobuf.message import DecodeError

from proofloop_runtime import contract
from proofloop_runtime.contract import Method
from proofloop_runtime.grpc_types import GenericRpcHandler, RpcMethodHandler, ServicerContext
from proofloop_runtime.interceptors.call import Call, Guard, Unparseable
from proofloop_runtime.interceptors.convoy import Convoy
from proofloop_runtime.interceptors.deadline import Deadlines
from proofloop_runtime.interceptors.errors import Errors
from proofloop_runtime.interceptors.tracing import Tracing

_STATUSES = {number: status for status in grpc.StatusCode for number in (status, status.value[0])}
"""gRPC's statuses by themselves and by their numbers, for a servicer context reports either."""


class Pipeline(GenericRpcHandler):
    """Surrounds every call of the given methods, and of the health and reflection protocols.

    To the server it is the one handler of all methods, and to the stubs it is the server that they register with. An
    interceptor would cost each call a coroutine more, and methods that the server knows by name a task more.

    Args:
        methods: What the contract says, by path.
        tracing: Gives each call its span.
        errors: Tells the caller what went wrong.
        deadlines: End calls in time.
        guards: Let calls in, one after the other.
    """

    def __init__(
        self,
        methods: Mapping[str, Method],
        tracing: Tracing,
        errors: Errors,
        deadlines: Deadlines,
        guards: Sequence[Guard],
    ) -> None:
        self._methods = methods
        self._tracing = tracing
        self._errors = errors
        self._deadlines = deadlines
        self._steps: tuple[Guard, ...] = (tracing.begin, deadlines.bind, *guards)
        self._inner: list[GenericRpcHandler] = []
        self._handlers: dict[str, RpcMethodHandler] = {}

    def add_generic_rpc_handlers(self, handlers: Iterable[GenericRpcHandler]) -> None:
        """Take handlers in, as a server does."""
        self._inner.extend(handlers)

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, RpcMethodHandler]) -> None:
        """Do nothing: stubs register the same handlers in both ways."""

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> RpcMethodHandler | None:
        """Return the method's handler with everything around it; None for a method that nobody handles."""
        path = handler_call_details.method
        if path in self._handlers:
            return self._handlers[path]
        for inner in self._inner:
            handler = inner.service(handler_call_details)
            if handler is not None:
                wrapped = self._handlers[path] = self._wrap(self._methods.get(path) or contract.foreign(path), handler)
                return wrapped
        return None

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
        # A stream lasts, and says nothing of how many calls there are at a time.
        lasting = method.client_streaming or method.server_streaming
        convoy = None if lasting else Convoy(self._admit, asyncio.get_running_loop())

        async def run(request: Any, context: ServicerContext) -> Any:
            call = Call(method, request, context)
            try:
                if convoy is None:
                    self._admit((call,))
                elif (let_in := convoy.join(call)) is not None:
                    await self._wait(call, let_in)
                call.enter()
                with call.bound:
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
            except Exception as error:  # noqa: BLE001 - a defect becomes INTERNAL, its traceback goes to the log only
                try:
                    answer = await self._errors.answer(call, error)
                finally:
                    self._tracing.end(call)
                await context.abort(*answer)
            else:
                self._tracing.end(call)
                return response
            finally:
                if convoy is not None:
                    convoy.leave()

        return run

    async def _wait(self, call: Call, let_in: "asyncio.Future[None]") -> None:
        try:
            await let_in
        finally:
            if let_in.cancelled():
                # Its caller has gone before; the span tells of it.
                self._tracing.begin(call)
                self._deadlines.bind(call)

    def _admit(self, calls: Sequence[Call]) -> None:
        """Do what comes before a call runs, for all of these calls: one thing for each of them, then the next."""
        for step in self._steps:
            for call in calls:
                if call.refusal is None:
                    try:
                        step(call)
                    except Exception as error:  # noqa: BLE001 - a defect, too, is this call's and no other's
                        call.refusal = error


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
