"""Calls to other services: mutual TLS, a breaker per service, deadlines that shrink, one trace, identity passed on.

Methods that the contract calls repeatable are retried by gRPC itself, with backoff and jitter, when the server is
unavailable; others never are.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import grpc
import grpc.aio
from google.protobuf.descriptor import ServiceDescriptor
from opentelemetry import trace
from opentelemetry.trace import SpanKind

from proofloop_runtime import contract, telemetry
from proofloop_runtime.breaker import Admission, Breaker, Breakers
from proofloop_runtime.call import current_or_none
from proofloop_runtime.errors import CallTimedOut, DependencyUnavailable
from proofloop_runtime.grpc_types import (
    StreamStreamClientInterceptor,
    StreamUnaryClientInterceptor,
    UnaryStreamClientInterceptor,
    UnaryUnaryClientInterceptor,
)
from proofloop_runtime.identity import AUTHORIZATION, TENANT
from proofloop_runtime.interceptors.call import CORRELATION_ID
from proofloop_runtime.interceptors.identity import CLIENT_ADDRESS, CLIENT_AGENT

_watching: set["asyncio.Task[None]"] = set()
"""Streams that are over, and whose end is being learnt; held here, for the loop holds its tasks loosely."""

TokenSource = Callable[[], str | None]
Headers = Sequence[tuple[str, str]]

_FAILURES = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.INTERNAL,
    }
)

_NOT_SENT = "Internal error from Core"
"""What grpc.aio says in place of the service's status when it fails to send a request of a stream."""


def is_failure(error: BaseException) -> bool:
    """Tell whether an error says that the service, and not the request, is at fault."""
    return isinstance(error, grpc.aio.AioRpcError) and error.code() in _FAILURES


def as_itself() -> str | None:
    """Return no token: the call is made in the service's own name."""
    return None


def as_the_caller() -> str | None:
    """Return the token of the person whose call is being served: the call is made in their name."""
    call = current_or_none()
    return call.caller.token if call else None


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM contents for mutual TLS."""

    certificate: bytes
    key: bytes
    authority: bytes

    def channel_credentials(self) -> grpc.ChannelCredentials:
        """Return what a client needs."""
        return grpc.ssl_channel_credentials(self.authority, self.key, self.certificate)

    def server_credentials(self) -> grpc.ServerCredentials:
        """Return what a server needs; it demands a certificate of every client."""
        return grpc.ssl_server_credentials([(self.key, self.certificate)], self.authority, require_client_auth=True)


def open_channel(
    target: str,
    dependency: str,
    services: Iterable[ServiceDescriptor],
    tls: TlsFiles,
    breakers: Breakers,
    token: TokenSource = as_itself,
    timeout: timedelta = timedelta(seconds=10),
    headers: Headers = (),
) -> grpc.aio.Channel:
    """Open a channel to a service.

    Args:
        target: `host:port`, or any gRPC target.
        dependency: Name of the service, for its breaker and spans.
        services: The contracts that will be called.
        tls: This caller's certificate.
        breakers: Where the breaker lives.
        token: Whose name the calls are made in.
        timeout: For a unary call, where the call being served has no less left.
        headers: Metadata of every call, such as the tenant where no call is being served.

    Calls raise DependencyUnavailable when the breaker is open or the service is down, CallTimedOut when time is
    over, and `grpc.aio.AioRpcError` for every other status.
    """
    methods = contract.read(services)
    outgoing = _Outgoing(dependency, breakers.get(dependency, is_failure), token, timeout, headers)
    # One interceptor per kind of call; grpc-stubs knows no common type for them.
    kinds = (_UnaryCalls, _ServerStreams, _ClientStreams, _BidirectionalStreams)
    interceptors: list[Any] = [kind(outgoing) for kind in kinds]
    return grpc.aio.secure_channel(
        target,
        tls.channel_credentials(),
        options=[
            ("grpc.service_config", json.dumps(_service_config(methods.values()))),
            ("grpc.keepalive_time_ms", 30_000),
            ("grpc.keepalive_timeout_ms", 10_000),
            ("grpc.max_reconnect_backoff_ms", 2_000),
            ("grpc.initial_reconnect_backoff_ms", 100),
        ],
        interceptors=interceptors,
    )


def _service_config(methods: Iterable[contract.Method]) -> dict[str, Any]:
    """Return a gRPC service config that retries what the contract calls repeatable."""
    names = [
        {"service": method.service, "method": method.name.rpartition("/")[2]}
        for method in methods
        if method.repeatable and not method.client_streaming
    ]
    policy = {
        "maxAttempts": 3,
        "initialBackoff": "0.1s",
        "maxBackoff": "1s",
        "backoffMultiplier": 2,
        "retryableStatusCodes": ["UNAVAILABLE"],
    }
    # Once half of the recent calls had to be repeated, nothing is repeated: a struggling service is left alone.
    throttling = {"maxTokens": 10, "tokenRatio": 0.1}
    return {"methodConfig": [{"name": names, "retryPolicy": policy}], "retryThrottling": throttling} if names else {}


@dataclass(frozen=True, slots=True)
class _Outgoing:
    """What every outgoing call needs."""

    dependency: str
    breaker: Breaker
    token: TokenSource
    timeout: timedelta
    constant: Headers

    @contextmanager
    def span(self, method: str, *, end_on_exit: bool = True) -> Iterator[trace.Span]:
        """Make a client span the current one inside the block."""
        name = method.lstrip("/")
        attributes = {
            telemetry.RPC_SYSTEM: "grpc",
            telemetry.RPC_METHOD: name,
            telemetry.DEPENDENCY: self.dependency,
        }
        span = telemetry.start_span(name, SpanKind.CLIENT, attributes)
        with trace.use_span(span, end_on_exit=end_on_exit, record_exception=False, set_status_on_exception=False):
            yield span

    async def answered(self, continuation: Any, details: Any, request: Any, *, stream: bool) -> Any:
        """Make a call that has one answer; return it when it has been answered."""
        with self.span(_text(details.method)) as span:
            try:
                with self.breaker.calling():
                    call = await continuation(self.details(details, stream=stream), request)
                    await call
            except grpc.aio.AioRpcError as error:
                _tell(span, error.code())
                raise self.translate(error) from error
            except Exception as error:
                telemetry.failed(span, type(error).__name__)
                raise
            except asyncio.CancelledError:
                _tell(span, grpc.StatusCode.CANCELLED)
                raise
            _tell(span, grpc.StatusCode.OK)
            return call

    async def opened(self, continuation: Any, details: Any, request: Any) -> AsyncIterator[Any]:
        """Begin a call that has a stream of answers; return them as they come."""
        admission = self.breaker.admit()
        with self.span(_text(details.method), end_on_exit=False) as span:
            try:
                call = await continuation(self.details(details, stream=True), request)
            # Whatever it is, cancellation too: a probe that was admitted must not stay out for ever.
            except BaseException:
                admission.abandoned()
                span.end()
                raise
        # Whatever becomes of the reader, gRPC tells when the stream is over.
        call.add_done_callback(lambda done: self.watch(done, admission, span))
        return _translated(self, call, admission)

    def watch(self, call: Any, admission: Admission, span: trace.Span) -> None:
        """Learn how a stream that is over has ended."""

        async def learn() -> None:
            code = await call.code()
            if code is grpc.StatusCode.CANCELLED:
                # Whoever has read enough leaves: how most live streams end, and nobody's failure.
                span.set_attribute(telemetry.RPC_STATUS, code.name)
            else:
                _tell(span, code)
            span.end()
            if code in _FAILURES:
                admission.failed()
            elif code is not grpc.StatusCode.CANCELLED:
                admission.answered()
            admission.abandoned()

        task = asyncio.ensure_future(learn())
        _watching.add(task)
        task.add_done_callback(_watching.discard)

    def details(self, details: grpc.aio.ClientCallDetails, *, stream: bool) -> grpc.aio.ClientCallDetails:
        """Return the call's details with our metadata and what is left of our time."""
        metadata = grpc.aio.Metadata(*(details.metadata or ()))
        for key, value in self._headers().items():
            if key not in metadata:
                metadata.add(key, value)
        timeout = details.timeout
        if timeout is None and not stream:
            timeout = self.timeout.total_seconds()
        call = current_or_none()
        if call is not None and call.deadline is not None:
            remaining = max(call.deadline - asyncio.get_running_loop().time(), 0.001)
            timeout = remaining if timeout is None else min(timeout, remaining)
        return grpc.aio.ClientCallDetails(
            details.method, timeout, metadata, details.credentials, details.wait_for_ready
        )

    def _headers(self) -> Mapping[str, str]:
        headers = {**dict(self.constant), **telemetry.inject()}
        if token := self.token():
            headers[AUTHORIZATION] = f"Bearer {token}"
        if call := current_or_none():
            headers[TENANT] = call.caller.tenant
            headers[CORRELATION_ID] = call.correlation_id
            if call.ip_address:
                headers[CLIENT_ADDRESS] = call.ip_address
            if call.user_agent:
                headers[CLIENT_AGENT] = call.user_agent.encode("ascii", "replace").decode()
        return headers

    def translate(self, error: grpc.aio.AioRpcError) -> Exception:
        """Return what our own caller should see of a dependency's error."""
        if error.code() is grpc.StatusCode.UNAVAILABLE or _broke_off(error):
            return DependencyUnavailable(self.dependency)
        if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
            return CallTimedOut(f"{self.dependency} did not answer in time")
        return error


class _UnaryCalls(UnaryUnaryClientInterceptor):
    def __init__(self, outgoing: _Outgoing) -> None:
        self._outgoing = outgoing

    async def intercept_unary_unary(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        return await self._outgoing.answered(continuation, client_call_details, request, stream=False)


class _ClientStreams(StreamUnaryClientInterceptor):
    def __init__(self, outgoing: _Outgoing) -> None:
        self._outgoing = outgoing

    async def intercept_stream_unary(self, continuation: Any, client_call_details: Any, request_iterator: Any) -> Any:
        return await self._outgoing.answered(continuation, client_call_details, request_iterator, stream=True)


class _ServerStreams(UnaryStreamClientInterceptor):
    def __init__(self, outgoing: _Outgoing) -> None:
        self._outgoing = outgoing

    async def intercept_unary_stream(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        return await self._outgoing.opened(continuation, client_call_details, request)


class _BidirectionalStreams(StreamStreamClientInterceptor):
    def __init__(self, outgoing: _Outgoing) -> None:
        self._outgoing = outgoing

    async def intercept_stream_stream(self, continuation: Any, client_call_details: Any, request_iterator: Any) -> Any:
        return await self._outgoing.opened(continuation, client_call_details, request_iterator)


async def _translated(outgoing: _Outgoing, call: Any, admission: Admission) -> AsyncIterator[Any]:
    try:
        async for message in call:
            # The first message is an answer; a probe need not wait for the last.
            admission.answered()
            yield message
    except grpc.aio.AioRpcError as error:
        raise outgoing.translate(error) from error
    finally:
        call.cancel()


def _broke_off(error: grpc.aio.AioRpcError) -> bool:
    """Tell whether gRPC could not send on: the service ended the call, or died, before it had read every request."""
    return error.code() is grpc.StatusCode.INTERNAL and error.details() == _NOT_SENT


def _tell(span: trace.Span, code: grpc.StatusCode) -> None:
    """Write a call's status on its span; at a client's every error marks it, by the semantic conventions."""
    span.set_attribute(telemetry.RPC_STATUS, code.name)
    if code is not grpc.StatusCode.OK:
        telemetry.failed(span, code.name)


def _text(method: str | bytes) -> str:
    return method.decode() if isinstance(method, bytes) else method
