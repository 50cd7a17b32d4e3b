"""Calls from service to service."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import grpc
import grpc.aio
import pytest
import pytest_asyncio
from opentelemetry.trace import SpanKind, StatusCode
from proofloop_echo.contract import SERVICE, EchoStub, SayRequest
from proofloop_runtime import telemetry
from proofloop_runtime.breaker import CLOSED, OPEN, Breakers, BreakerSettings
from proofloop_runtime.call import CallContext, Caller, CallerType, serving
from proofloop_runtime.client import as_the_caller, open_channel
from proofloop_runtime.errors import CallTimedOut, DependencyUnavailable
from proofloop_runtime.identity import TENANT
from proofloop_runtime.testing import FakeClock

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture
def breakers() -> Breakers:
    return Breakers(FakeClock(), {"echo": BreakerSettings(failures=2)})


@pytest_asyncio.fixture(loop_scope="module")
async def stub(service, echo, certificates, breakers):
    options = {"headers": ((TENANT, "acme"),)}
    async with open_channel(
        service.running.address, "echo", [SERVICE], certificates("packets").read(), breakers, **options
    ) as channel:
        yield EchoStub(channel)


@pytest_asyncio.fixture(loop_scope="module")
async def nobody(certificates, breakers):
    """A stub of a service that is not there."""
    async with open_channel("127.0.0.1:9", "echo", [SERVICE], certificates("packets").read(), breakers) as channel:
        yield EchoStub(channel)


async def requests(*given) -> AsyncIterator:
    for request in given:
        yield request


async def call(stub: EchoStub, method: str, request) -> list:
    match method:
        case "Repeat":
            return [answer async for answer in stub.Repeat(request)]
        case "Collect":
            return [await stub.Collect(requests(request))]
        case "Converse":
            return [answer async for answer in stub.Converse(requests(request))]
        case _:
            return [await stub.Say(request)]


KINDS = ["Say", "Repeat", "Collect", "Converse"]


@pytest.mark.parametrize("method", KINDS)
async def test_every_kind_of_call_has_a_span_that_is_the_parent_of_the_servers(stub, spans, method, eventually) -> None:
    await call(stub, method, SayRequest(count=2))

    async def both() -> list:
        found = spans.named(f"proofloop.echo.v1.EchoService/{method}")
        return found if len(found) == 2 else []

    found = {span.kind: span for span in await eventually(both)}
    assert spans.parent_of(found[SpanKind.SERVER]) == found[SpanKind.CLIENT]
    assert found[SpanKind.CLIENT].attributes[telemetry.RPC_STATUS] == "OK"
    assert found[SpanKind.CLIENT].attributes[telemetry.DEPENDENCY] == "echo"


@pytest.mark.parametrize("method", KINDS)
async def test_an_error_of_the_callers_making_keeps_its_status_and_the_breaker_closed(
    stub, spans, method, breakers, eventually
) -> None:
    for _ in range(5):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call(stub, method, SayRequest(command="deny"))
        assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED

    async def ended() -> list:
        found = spans.named(f"proofloop.echo.v1.EchoService/{method}")
        found = [span for span in found if span.kind is SpanKind.CLIENT]
        return found if len(found) == 5 else []

    assert {span.attributes[telemetry.RPC_STATUS] for span in await eventually(ended)} == {"PERMISSION_DENIED"}
    assert breakers.states() == {"echo": CLOSED}


@pytest.mark.parametrize("method", KINDS)
async def test_a_service_that_is_not_there_is_unavailable_and_opens_the_breaker(
    nobody, method, breakers, eventually
) -> None:
    for _ in range(2):
        with pytest.raises(DependencyUnavailable) as refused:
            await call(nobody, method, SayRequest())
        assert refused.value.metadata == {"dependency": "echo"}

    async def opened() -> bool:
        return breakers.states() == {"echo": OPEN}

    await eventually(opened)


async def test_a_stream_that_fails_after_its_first_message_is_translated_and_its_span_failed(
    stub, spans, eventually
) -> None:
    stream = aiter(stub.Repeat(SayRequest(count=2, command="crash")))
    await anext(stream)
    await anext(stream)
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await anext(stream)
    assert failed.value.code() is grpc.StatusCode.INTERNAL

    async def ended() -> list:
        return [span for span in spans.named("proofloop.echo.v1.EchoService/Repeat") if span.kind is SpanKind.CLIENT]

    [span] = await eventually(ended)
    assert (span.status.status_code, span.attributes[telemetry.ERROR_TYPE]) == (StatusCode.ERROR, "INTERNAL")


async def test_a_reader_that_leaves_a_stream_ends_it_at_the_server_too(stub, echo) -> None:
    stream = stub.Repeat(SayRequest(count=1, command="watch"))
    async for _ in stream:
        break
    stream.cancel()
    await echo.closed.wait()


async def test_time_runs_out_as_such(stub) -> None:
    with pytest.raises(CallTimedOut):
        await stub.Say(SayRequest(command="wait"), timeout=0.05)


async def test_a_cancelled_call_is_cancelled_at_the_server_and_leaves_the_breaker_alone(stub, echo, breakers) -> None:
    task = asyncio.ensure_future(call(stub, "Say", SayRequest(command="wait")))
    await echo.started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert breakers.states() == {"echo": CLOSED}


@pytest.mark.parametrize(("method", "times"), [("Look", 3), ("Say", 1)])
async def test_only_what_the_contract_calls_repeatable_is_repeated(stub, echo, method, times) -> None:
    tried = 0

    async def unavailable(_request):
        nonlocal tried
        tried += 1
        raise DependencyUnavailable("something else")

    echo.commands["down"] = unavailable
    with pytest.raises(DependencyUnavailable):
        await getattr(stub, method)(SayRequest(command="down"))
    assert tried == times


async def test_many_failures_end_the_repeating(service, echo, certificates) -> None:
    tried = 0

    async def unavailable(_request):
        nonlocal tried
        tried += 1
        raise DependencyUnavailable("something else")

    echo.commands["down"] = unavailable
    breakers = Breakers(FakeClock(), {"echo": BreakerSettings(failures=1000)})
    async with (
        service.channel() as _,
        open_channel(
            service.running.address,
            "echo",
            [SERVICE],
            certificates("packets").read(),
            breakers,
            headers=((TENANT, "acme"),),
        ) as channel,
    ):
        for _ in range(20):
            with pytest.raises(DependencyUnavailable):
                await EchoStub(channel).Look(SayRequest(command="down"))
    assert tried < 30


async def test_a_call_hands_on_who_asked_from_where_and_how_much_time_is_left(
    service, certificates, breakers, token_for
) -> None:
    token = token_for("user-1", "claimant")
    caller = Caller(CallerType.USER, "user-1", "acme", frozenset(), "envoy", token)
    deadline = asyncio.get_running_loop().time() + 3
    context = CallContext(caller, "request-7", "192.0.2.7", "Browsér/1", deadline)
    tls = certificates("packets").read()
    channel = open_channel(service.running.address, "echo", [SERVICE], tls, breakers, as_the_caller)
    async with channel:
        with serving(context):
            seen = await EchoStub(channel).Say(SayRequest(), timeout=60)
    assert (seen.caller, seen.tenant, seen.correlation_id) == ("user:user-1", "acme", "request-7")
    assert (seen.ip_address, seen.user_agent) == ("192.0.2.7", "Brows?r/1")
    assert 0 < seen.remaining < timedelta(seconds=3.5).total_seconds()
