"""How a call ends is in its span: a refusal is an answer, a dependency that is down is a fault."""

import asyncio
from collections.abc import AsyncIterator
from secrets import token_hex
from uuid import uuid4

import grpc
import grpc.aio
import pytest
import pytest_asyncio
from google.api.httpbody_pb2 import HttpBody
from proofloop.packets.v1.claims_service_pb2 import CreateClaimRequest, GetClaimRequest
from proofloop.packets.v1.claims_service_pb2_grpc import ClaimServiceStub
from proofloop.packets.v1.evidence_service_pb2 import UploadEvidenceRequest
from proofloop.packets.v1.evidence_service_pb2_grpc import EvidenceServiceStub
from proofloop_local.keys import Keys
from proofloop_local.spans import Kind
from proofloop_local.token import make_token
from proofloop_runtime import telemetry

pytestmark = pytest.mark.asyncio(loop_scope="session")

CLAIM = {"title": "A parcel that never came", "kind": "lost_parcel"}


class Caller:
    """Calls the packets service, each time in a trace of its own."""

    def __init__(self, channel: grpc.aio.Channel, keys: Keys) -> None:
        self.claims = ClaimServiceStub(channel)
        self.evidence = EvidenceServiceStub(channel)
        self._keys = keys
        self._user = f"{uuid4()}@example.com"

    def headers(self, role: str = "claimant"):
        """A new trace id, and the metadata that carries it and a token with this role, if it is one."""
        trace_id = token_hex(16)
        headers = [("traceparent", f"00-{trace_id}-{token_hex(8)}-01")]
        if role:
            token = make_token(self._keys, user=self._user, tenant="acme", roles=[role])
            headers.append(("authorization", f"Bearer {token}"))
        return trace_id, headers


@pytest_asyncio.fixture(loop_scope="session")
async def caller(running_stack) -> AsyncIterator[Caller]:
    state = running_stack.state
    files = (state.client.authority, state.client.key, state.client.certificate)
    tls = grpc.ssl_channel_credentials(*(file.read_bytes() for file in files))
    async with grpc.aio.secure_channel(state.services["packets"], tls) as channel:
        yield Caller(channel, state.keys)


@pytest.fixture
def server_span(trace_of):
    """Waits for the one server span of a trace."""

    async def wait(trace_id: str):
        trace = await trace_of(trace_id, lambda trace: any(span.kind is Kind.SERVER for span in trace))
        (span,) = [span for span in trace if span.kind is Kind.SERVER]
        return span

    return wait


@pytest.mark.parametrize(
    ("role", "method", "request_", "status", "reason"),
    [
        ("claimant", "GetClaim", GetClaimRequest(claim_id="7"), "INVALID_ARGUMENT", "INVALID_FIELD"),
        ("claimant", "GetClaim", GetClaimRequest(claim_id=str(uuid4())), "NOT_FOUND", "CLAIM_NOT_FOUND"),
        ("", "GetClaim", GetClaimRequest(claim_id=str(uuid4())), "UNAUTHENTICATED", "UNAUTHENTICATED"),
        (
            "auditor",
            "CreateClaim",
            CreateClaimRequest(request_id=str(uuid4()), **CLAIM),
            "PERMISSION_DENIED",
            "ROLE_MISSING",
        ),
    ],
)
async def test_a_refused_call_has_its_status_and_reason_and_is_no_error(
    caller, server_span, role, method, request_, status, reason
):
    trace_id, headers = caller.headers(role)
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await getattr(caller.claims, method)(request_, metadata=headers)
    assert refusal.value.code().name == status
    span = await server_span(trace_id)
    assert span.attributes[telemetry.RPC_STATUS] == status
    assert span.attributes[telemetry.ERROR_REASON] == f"ERROR_REASON_{reason}"
    assert telemetry.ERROR_TYPE not in span.attributes
    assert not span.failed


async def test_a_call_that_needs_a_dependency_that_is_down_is_an_error_down_to_the_dependency(
    running_stack, caller, trace_of, healed
):
    created = await caller.claims.CreateClaim(
        CreateClaimRequest(request_id=str(uuid4()), **CLAIM), metadata=caller.headers()[1]
    )
    request_id = str(uuid4())

    def upload(headers):
        async def pieces() -> AsyncIterator[UploadEvidenceRequest]:
            yield UploadEvidenceRequest(claim_id=created.claim.claim_id, file_name="note.txt", request_id=request_id)
            yield UploadEvidenceRequest(body=HttpBody(data=b"left at the neighbour's"))

        return caller.evidence.UploadEvidence(pieces(), metadata=headers)

    trace_id, headers = caller.headers()
    await running_stack.objects.kill()
    try:
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await upload(headers)
    finally:
        await running_stack.objects.start()
        await healed(running_stack)
    assert refusal.value.code() is grpc.StatusCode.UNAVAILABLE

    trace = await trace_of(trace_id, lambda trace: any(span.kind is Kind.SERVER for span in trace))
    (taken,) = [span for span in trace if span.kind is Kind.SERVER]
    assert taken.failed
    assert taken.attributes[telemetry.RPC_STATUS] == "UNAVAILABLE"
    assert taken.attributes[telemetry.ERROR_TYPE] == "UNAVAILABLE"
    assert taken.attributes[telemetry.ERROR_REASON] == "ERROR_REASON_DEPENDENCY_UNAVAILABLE"
    (put,) = [span for span in trace.children(taken) if span.name == "objects.put"]
    assert put.failed
    assert put.attributes[telemetry.ERROR_TYPE] == "DependencyUnavailable"
    # It failed for now only.
    async with asyncio.timeout(60):
        while True:
            try:
                uploaded = await upload(caller.headers()[1])
            except grpc.aio.AioRpcError as error:
                assert error.code() is grpc.StatusCode.UNAVAILABLE  # noqa: PT017 (what the next attempt may meet)
                await asyncio.sleep(0.1)
            else:
                break
    assert uploaded.evidence.claim_id == created.claim.claim_id
