"""What surrounds every call: one shape for all four kinds."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from datetime import timedelta

import grpc
import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from opentelemetry.trace import SpanKind, StatusCode
from proofloop_echo.contract import EchoStub, SayRequest
from proofloop_echo.refusal import refused
from proofloop_echo.service import SECRET
from proofloop_runtime import telemetry
from proofloop_runtime.identity import TENANT

pytestmark = pytest.mark.asyncio(loop_scope="module")

ACME = ((TENANT, "acme"),)
SAY = "proofloop.echo.v1.EchoService/Say"
KINDS = ["Say", "Repeat", "Collect", "Converse"]


async def call(stub: EchoStub, method: str, *requests, **options) -> list:
    """Call a method of any kind; return the answers."""

    async def stream() -> AsyncIterator:
        for request in requests:
            yield request

    match method:
        case "Repeat":
            return [answer async for answer in stub.Repeat(requests[0], **options)]
        case "Collect":
            return [await stub.Collect(stream(), **options)]
        case "Converse":
            return [answer async for answer in stub.Converse(stream(), **options)]
        case _:
            return [await getattr(stub, method)(requests[0], **options)]


@pytest.mark.parametrize("method", KINDS)
async def test_every_kind_of_call_knows_its_caller_and_its_correlation_id(plain, method, spans) -> None:
    metadata = (*ACME, ("x-request-id", "request-7"))
    [answer] = await call(EchoStub(plain("packets")), method, SayRequest(text="hi", count=1), metadata=metadata)
    assert (answer.text, answer.tenant, answer.caller) == ("hi", "acme", "service:packets")
    assert answer.correlation_id == "request-7"


@pytest.mark.parametrize("method", KINDS)
async def test_every_kind_of_call_ends_in_one_span_with_its_status(plain, method, spans) -> None:
    stub = EchoStub(plain("packets"))
    await call(stub, method, SayRequest(count=1), metadata=ACME)
    await refused(call(stub, method, SayRequest(command="deny"), metadata=ACME))
    await refused(call(stub, method, SayRequest(command="crash"), metadata=ACME))
    found = spans.named(f"proofloop.echo.v1.EchoService/{method}")
    assert [span.attributes[telemetry.RPC_STATUS] for span in found] == ["OK", "PERMISSION_DENIED", "INTERNAL"]
    assert [span.status.status_code for span in found] == [StatusCode.UNSET, StatusCode.UNSET, StatusCode.ERROR]
    assert found[1].attributes[telemetry.ERROR_REASON] == "ERROR_REASON_NOT_OWNER"
    assert found[2].attributes[telemetry.ERROR_TYPE] == "INTERNAL"
    assert {span.kind for span in found} == {SpanKind.SERVER}


@pytest.mark.parametrize(("flags", "recorded"), [("01", 1), ("00", 0)])
async def test_a_span_continues_the_callers_trace_if_the_caller_keeps_it(plain, spans, flags, recorded) -> None:
    trace, caller = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
    metadata = (*ACME, ("traceparent", f"00-{trace}-{caller}-{flags}"))
    answer = await EchoStub(plain("packets")).Say(SayRequest(), metadata=metadata)
    assert answer.correlation_id == trace
    found = spans.named(SAY)
    assert len(found) == recorded
    for span in found:
        assert f"{span.context.trace_id:032x}" == trace
        assert f"{span.parent.span_id:016x}" == caller
        assert 0 < span.end_time - span.start_time < 60e9


@pytest.mark.parametrize("method", KINDS)
async def test_bytes_that_are_no_message_are_an_invalid_argument(plain, method) -> None:
    kind = {"Say": "unary_unary", "Repeat": "unary_stream", "Collect": "stream_unary", "Converse": "stream_stream"}
    raw = getattr(plain("packets"), kind[method])(
        f"/proofloop.echo.v1.EchoService/{method}", lambda data: data, lambda data: data
    )
    stub = type("Raw", (), {method: staticmethod(raw)})
    refusal = await refused(call(stub, method, b"\xff\xff\xff", metadata=ACME))
    assert (refusal.status, refusal.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "ERROR_REASON_MALFORMED_MESSAGE")


@pytest.mark.parametrize("method", KINDS)
async def test_wrong_fields_are_named_with_their_paths(plain, method) -> None:
    request = SayRequest(request_id="7", labels={"ok": "1", "a.b": "too long"}, words=["fine", "too long"], count=-1)
    request.inner.inners.add().name = "too long"
    refusal = await refused(call(EchoStub(plain("packets")), method, request, metadata=ACME))
    assert (refusal.status, refusal.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "ERROR_REASON_INVALID_FIELD")
    assert set(refusal.fields) == {"request_id", "labels[a.b]", "words[1]", "inner.inners[0].name", "count"}
    assert refusal.metadata["field"] in refusal.fields


async def test_a_nul_is_found_in_any_text_wherever_it_stands(plain) -> None:
    request = SayRequest(text="a\0", labels={"k": "\0", "\0": "v"}, words=["a", "\0"])
    request.inner.inners.add().name = "\0"
    request.struct.update({"a": {"b": ["\0"]}})
    refusal = await refused(EchoStub(plain("packets")).Say(request, metadata=ACME))
    assert set(refusal.fields) == {
        "text",
        "labels[k]",
        "labels",
        "words[1]",
        "inner.inners[0].name",
        "struct.fields[a].struct_value.fields[b].list_value.values[0].string_value",
    }


async def test_numbers_whose_bytes_are_nul_are_no_text(plain) -> None:
    request = SayRequest(text="fine")
    request.struct.update({"a": 0})
    await EchoStub(plain("packets")).Say(request, metadata=ACME)


async def test_the_second_message_of_a_stream_is_checked_like_the_first(plain) -> None:
    requests = (SayRequest(text="fine"), SayRequest(count=-1))
    refusal = await refused(call(EchoStub(plain("packets")), "Collect", *requests, metadata=ACME))
    assert set(refusal.fields) == {"count"}


@pytest.mark.parametrize("method", KINDS)
async def test_an_oversize_message_is_refused_before_it_is_read(plain, method) -> None:
    request = SayRequest(text="x" * (4 * 1024 * 1024))
    refusal = await refused(call(EchoStub(plain("packets")), method, request, metadata=ACME))
    assert refusal.status is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "4194304" in refusal.message


async def test_an_internal_error_shows_an_id_and_the_log_shows_where(plain, caplog) -> None:
    refusal = await refused(EchoStub(plain("packets")).Say(SayRequest(command="crash"), metadata=ACME))
    assert (refusal.status, refusal.reason) == (grpc.StatusCode.INTERNAL, "ERROR_REASON_INTERNAL")
    assert SECRET not in repr(refusal)
    assert "RuntimeError" not in repr(refusal)
    [record] = [record for record in caplog.records if record.message == "call failed"]
    assert record.error_id == refusal.metadata["error_id"]
    assert record.error_type == "RuntimeError"


@pytest.mark.parametrize("command", ["", "deny", "crash"])
async def test_the_correlation_id_comes_back_with_every_answer(plain, command) -> None:
    stub = EchoStub(plain("packets"))
    answer = stub.Say(SayRequest(command=command), metadata=(*ACME, ("x-request-id", "request-7")))
    assert dict(await answer.trailing_metadata())["x-request-id"] == "request-7"


async def test_a_caller_without_a_correlation_id_gets_one_when_something_is_wrong(plain) -> None:
    stub = EchoStub(plain("packets"))
    assert "x-request-id" not in dict(await stub.Say(SayRequest(), metadata=ACME).trailing_metadata())
    refused = dict(await stub.Say(SayRequest(command="deny"), metadata=ACME).trailing_metadata())
    assert re.fullmatch("[0-9a-f]{32}", refused["x-request-id"])


async def test_a_correlation_id_is_made_where_the_caller_has_none_and_cut_where_it_is_long(plain) -> None:
    stub = EchoStub(plain("packets"))
    assert re.fullmatch("[0-9a-f]{32}", (await stub.Say(SayRequest(), metadata=ACME)).correlation_id)
    long = await stub.Say(SayRequest(), metadata=(*ACME, ("x-request-id", "x" * 1000)))
    assert long.correlation_id == "x" * 128


async def test_without_a_certificate_there_is_no_connection(service, certificates) -> None:
    authority = certificates("packets").authority.read_bytes()
    async with grpc.aio.secure_channel(service.running.address, grpc.ssl_channel_credentials(authority)) as channel:
        refusal = await refused(EchoStub(channel).Say(SayRequest(), metadata=ACME, timeout=30))
    assert refusal.status is grpc.StatusCode.UNAVAILABLE


async def test_no_token_no_person(plain) -> None:
    answer = EchoStub(plain("envoy")).Say(SayRequest(), metadata=ACME)
    refusal = await refused(answer)
    assert (refusal.status, refusal.reason) == (grpc.StatusCode.UNAUTHENTICATED, "ERROR_REASON_UNAUTHENTICATED")
    assert refusal.metadata == {"detail": "token_missing"}
    assert "x-request-id" in dict(await answer.trailing_metadata())


async def test_a_person_without_the_role_is_told_which_ones_would_do(plain, token_for) -> None:
    metadata = (("authorization", f"Bearer {token_for('user-1', 'auditor')}"),)
    refusal = await refused(EchoStub(plain("envoy")).Say(SayRequest(), metadata=metadata))
    assert (refusal.status, refusal.reason) == (grpc.StatusCode.PERMISSION_DENIED, "ERROR_REASON_ROLE_MISSING")
    assert refusal.metadata == {"roles": "claimant, service"}


async def test_the_roles_of_a_service_do_not_help_the_person_it_speaks_for(plain, token_for) -> None:
    metadata = (("authorization", f"Bearer {token_for('user-1', 'auditor')}"), *ACME)
    refusal = await refused(EchoStub(plain("packets")).Say(SayRequest(), metadata=metadata))
    assert refusal.reason == "ERROR_REASON_ROLE_MISSING"


async def test_the_edge_alone_is_believed_about_forwarded_addresses(plain, token_for) -> None:
    person = (("authorization", f"Bearer {token_for('user-1', 'claimant')}"),)
    forwarded = (("x-forwarded-for", "6.6.6.6, 192.0.2.7"),)
    seen = await EchoStub(plain("envoy")).Say(SayRequest(), metadata=(*person, *forwarded))
    assert seen.ip_address == "192.0.2.7"
    assert "grpc" in seen.user_agent
    for peer in ("packets", "cli"):
        assert not (await EchoStub(plain(peer)).Say(SayRequest(), metadata=(*person, *forwarded))).ip_address


async def test_services_hand_on_the_address_that_the_edge_saw_and_nobody_else_does(plain, token_for) -> None:
    person = ("authorization", f"Bearer {token_for('user-1', 'claimant')}")
    handed = (person, ("x-proofloop-client-address", "192.0.2.7"), ("x-proofloop-client-agent", "curl/8"))
    seen = await EchoStub(plain("packets")).Say(SayRequest(), metadata=handed)
    assert (seen.ip_address, seen.user_agent) == ("192.0.2.7", "curl/8")
    for peer in ("envoy", "cli"):
        assert (await EchoStub(plain(peer)).Say(SayRequest(), metadata=handed)).ip_address == ""


async def test_a_caller_past_its_rate_is_told_when_to_come_back(serve, certificates, token_for) -> None:
    async with serve(settings={"person_rate": 0.5}) as (service, _), service.channel("cli", None, None) as channel:
        person = (("authorization", f"Bearer {token_for('user-1', 'claimant')}"),)
        other = (("authorization", f"Bearer {token_for('user-2', 'claimant')}"),)
        for _ in range(2):
            await EchoStub(channel).Say(SayRequest(), metadata=person)
        refusal = await refused(EchoStub(channel).Say(SayRequest(), metadata=person))
        assert (refusal.status, refusal.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "ERROR_REASON_RATE_LIMITED")
        assert refusal.retry_after is not None
        assert 0 < refusal.retry_after.total_seconds() <= 2
        await EchoStub(channel).Say(SayRequest(), metadata=other)


async def test_a_call_without_a_deadline_gets_one_and_a_long_one_is_cut(serve, certificates) -> None:
    settings = {"default_deadline": timedelta(seconds=7), "longest_deadline": timedelta(seconds=20)}
    async with serve(settings=settings) as (service, _):
        credentials = certificates("packets").read().channel_credentials()
        async with grpc.aio.secure_channel(service.running.address, credentials) as channel:
            stub = EchoStub(channel)
            assert 3 < (await stub.Say(SayRequest(), metadata=ACME)).remaining <= 7
            assert 10 < (await stub.Say(SayRequest(), metadata=ACME, timeout=3600)).remaining <= 20
            assert 0 < (await stub.Say(SayRequest(), metadata=ACME, timeout=5)).remaining < 6


async def test_a_stream_lasts_unless_its_caller_bounds_it(plain) -> None:
    stub = EchoStub(plain("packets"))
    [unbounded] = await call(stub, "Repeat", SayRequest(count=1), metadata=ACME)
    [bounded] = await call(stub, "Repeat", SayRequest(count=1), metadata=ACME, timeout=5)
    assert unbounded.remaining == 0
    assert 0 < bounded.remaining < 6


async def test_a_call_whose_time_runs_out_on_the_server_is_ended_there(serve, certificates, spans) -> None:
    async with serve(settings={"default_deadline": timedelta(milliseconds=50)}) as (service, echo):
        credentials = certificates("packets").read().channel_credentials()
        async with grpc.aio.secure_channel(service.running.address, credentials) as channel:
            refusal = await refused(EchoStub(channel).Say(SayRequest(command="wait"), metadata=ACME))
    assert (refusal.status, refusal.reason) == (grpc.StatusCode.DEADLINE_EXCEEDED, "ERROR_REASON_DEADLINE_EXCEEDED")
    assert echo.ended == ["cancelled"]
    [span] = spans.named(SAY)
    assert span.attributes[telemetry.RPC_STATUS] == "DEADLINE_EXCEEDED"
    assert span.status.status_code is StatusCode.ERROR


async def test_a_call_whose_caller_gives_it_too_little_time_is_ended_in_time(plain, echo, spans, eventually) -> None:
    channel = plain("packets")
    await channel.channel_ready()
    refusal = await refused(EchoStub(channel).Say(SayRequest(command="wait"), metadata=ACME, timeout=0.5))
    assert refusal.status is grpc.StatusCode.DEADLINE_EXCEEDED

    async def ended() -> list:
        return spans.named(SAY)

    [span] = await eventually(ended)
    assert echo.ended == ["cancelled"]
    assert span.attributes[telemetry.RPC_STATUS] == "DEADLINE_EXCEEDED"


async def test_calls_without_a_deadline_end_each_in_its_own_time(serve, certificates) -> None:
    async with serve(settings={"default_deadline": timedelta(seconds=1)}) as (service, echo):
        credentials = certificates("packets").read().channel_credentials()
        async with grpc.aio.secure_channel(service.running.address, credentials) as channel:
            stub = EchoStub(channel)
            waiting = []
            for _ in range(3):
                waiting.append(asyncio.ensure_future(refused(stub.Say(SayRequest(command="wait"), metadata=ACME))))
                await stub.Say(SayRequest(), metadata=ACME)
            refusals = await asyncio.gather(*waiting)
    assert {refusal.status for refusal in refusals} == {grpc.StatusCode.DEADLINE_EXCEEDED}
    assert echo.ended == ["cancelled"] * 3


async def test_a_caller_that_goes_away_cancels_the_call_and_its_span_says_so(plain, echo, spans, eventually) -> None:
    pending = EchoStub(plain("packets")).Say(SayRequest(command="wait"), metadata=ACME)
    await echo.started.wait()
    pending.cancel()

    async def ended() -> list:
        return spans.named(SAY)

    [span] = await eventually(ended)
    assert echo.ended == ["cancelled"]
    assert span.attributes[telemetry.RPC_STATUS] == "CANCELLED"
    assert span.status.status_code is StatusCode.UNSET


async def test_a_stream_whose_reader_goes_away_is_closed_at_once(plain, echo) -> None:
    reading = EchoStub(plain("packets")).Repeat(SayRequest(command="watch", count=1), metadata=ACME)
    await reading.read()
    await echo.started.wait()
    reading.cancel()
    await echo.closed.wait()


async def test_the_status_of_a_servicer_that_aborts_by_itself_stands_in_the_span(plain, spans, eventually) -> None:
    health = health_pb2_grpc.HealthStub(plain("packets"))
    refusal = await refused(health.Check(health_pb2.HealthCheckRequest(service="nothing")))
    assert refusal.status is grpc.StatusCode.NOT_FOUND

    async def ended() -> list:
        return spans.named("grpc.health.v1.Health/Check")

    [span] = await eventually(ended)
    assert span.attributes[telemetry.RPC_STATUS] == "NOT_FOUND"


async def test_spans_carry_nothing_personal(plain, spans, token_for) -> None:
    metadata = (
        ("authorization", f"Bearer {token_for('jane@example.org', 'claimant')}"),
        ("x-forwarded-for", "192.0.2.7"),
    )
    stub = EchoStub(plain("envoy"))
    await stub.Say(
        SayRequest(text="my diagnosis", request_id="0190a000-0000-7000-8000-000000000001"), metadata=metadata
    )
    note = SayRequest(command="note", text="my diagnosis", request_id="0190a000-0000-7000-8000-000000000002")
    await stub.Say(note, metadata=metadata)
    await refused(stub.Say(SayRequest(command="crash", text="my diagnosis"), metadata=metadata))
    told = json.dumps([json.loads(span.to_json()) for span in spans.finished()])
    for personal in ("jane", "192.0.2.7", "diagnosis", SECRET):
        assert personal not in told


async def test_reflection_lists_the_contracts_for_any_peer_with_a_certificate(plain) -> None:
    from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

    async def ask() -> AsyncIterator:
        yield reflection_pb2.ServerReflectionRequest(list_services="")

    stub = reflection_pb2_grpc.ServerReflectionStub(plain("cli"))
    [answer] = [answer async for answer in stub.ServerReflectionInfo(ask())]
    assert "proofloop.echo.v1.EchoService" in {service.name for service in answer.list_services_response.service}


async def test_an_unknown_method_is_unimplemented(plain) -> None:
    unknown = plain("packets").unary_unary("/proofloop.echo.v1.EchoService/Shout", SayRequest.SerializeToString)
    assert (await refused(unknown(SayRequest(), metadata=ACME))).status is grpc.StatusCode.UNIMPLEMENTED
