"""An exports service in this process, with a database and a NATS of its own, and a real object store."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any
from uuid import uuid4

import grpc
import pytest
import pytest_asyncio
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import error_details_pb2, status_pb2
from proofloop.exports.v1 import workflows_pb2 as messages
from proofloop.exports.v1 import workflows_service_pb2 as contract
from proofloop.exports.v1.workflows_service_pb2_grpc import WorkflowServiceStub
from proofloop_exports.bootstrap import application
from proofloop_exports.settings import ExportsSettings
from proofloop_local.keys import Keys
from proofloop_local.servers.nats import NatsServer
from proofloop_local.servers.postgres import Database
from proofloop_local.servers.seaweedfs import SeaweedServer
from proofloop_local.token import ISSUER
from proofloop_runtime.errors import DependencyUnavailable
from proofloop_runtime.testing import Certificates, Service, SpanRecorder, serving

CONTRACTS = [contract.DESCRIPTOR.services_by_name["WorkflowService"]]
CLAIM = "0198a4f2-0000-7000-8000-000000000001"
EXTRACTED = """{"invoice": "INV-4711", "total": 1240.50, "lines": [
  {"sku": "A-100", "billed": 40, "received": 40}, {"sku": "B-200", "billed": 12, "received": 12}
]}"""
MODIFIED = """{"invoice": "INV-4711", "total": 1240.50, "lines": [
  {"sku": "A-100", "billed": 40, "received": 28}, {"sku": "B-200", "billed": 12, "received": 12}
]}"""


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def bucket(object_store: SeaweedServer) -> SeaweedServer:
    await object_store.create_bucket("exports")
    return object_store


@pytest.fixture
async def exports_database(new_database) -> Database:
    return await new_database("exports")


@pytest.fixture
def exports_settings(
    exports_database: Database,
    nats: NatsServer,
    bucket: SeaweedServer,
    keys: Keys,
    certificates: Callable[[str], Certificates],
) -> ExportsSettings:
    files = certificates("exports")
    return ExportsSettings(
        database_url=exports_database.application_url,
        nats_url=nats.url,
        tls_certificate=files.certificate,
        tls_key=files.key,
        tls_authority=files.authority,
        token_keys=keys.token_key_set,
        token_issuer=ISSUER,
        tenants=("acme", "globex"),
        s3_endpoint=bucket.endpoint,
        s3_bucket="exports",
        s3_region=bucket.region,
        s3_access_key=bucket.access_key,
        s3_secret_key=bucket.secret_key,
    )


@pytest.fixture
async def exports(exports_settings, certificates, spans: SpanRecorder) -> AsyncIterator[Service]:
    async with serving(application, exports_settings, CONTRACTS, certificates) as service:
        yield service


@pytest.fixture
async def replica(exports: Service, exports_settings, certificates) -> AsyncIterator[Service]:
    """A second service on the same database."""
    async with serving(application, exports_settings, CONTRACTS, certificates) as service:
        yield service


@pytest.fixture
async def connect(token_for) -> AsyncIterator[Callable[..., Awaitable[WorkflowServiceStub]]]:
    """Connects a person with roles, or the packets service, to a service."""
    async with AsyncExitStack() as stack:

        async def open_stub(service: Service, user: str = "", *roles: str, tenant: str = "acme") -> WorkflowServiceStub:
            token = token_for(user, *roles, tenant=tenant) if user else None
            channel = service.channel(tenant=None if user else tenant, token=token)
            return WorkflowServiceStub(await stack.enter_async_context(channel))

        yield open_stub


@pytest.fixture
async def workflows(exports: Service, connect) -> WorkflowServiceStub:
    """The service, called by a reviewer of the tenant acme."""
    return await connect(exports, "reviewer-1", "reviewer")


@pytest.fixture
async def owner(exports: Service, connect) -> WorkflowServiceStub:
    """The service, called by a claimant of the tenant acme who owns what `Requests` begins."""
    return await connect(exports, "owner-1", "claimant")


class Requests:
    """Correct requests, any field of which can be given."""

    claim_id = CLAIM
    extracted = EXTRACTED
    modified = MODIFIED

    def ai_metadata(self, **fields: Any) -> messages.AiMetadata:
        defaults = {
            "model": "extractive-1",
            "template_version": "invoice_summary@3",
            "generate_time": Timestamp(seconds=1_772_000_000),
            "duration": Duration(seconds=2),
            "prompt_tokens": 812,
            "completion_tokens": 64,
            "confidence": "0.90",
        }
        return messages.AiMetadata(**defaults | fields)

    def summary(self, text: str = "40 units billed, 28 received.") -> messages.Summary:
        return messages.Summary(text=text, ai_metadata=self.ai_metadata())

    def initial_summary(self, **fields: Any) -> contract.RecordInitialSummaryRequest:
        defaults = {
            "request_id": str(uuid4()),
            "document_id": "evidence-1",
            "document_name": "invoice 4711.pdf",
            "claim_id": CLAIM,
            "owner_id": "owner-1",
            "source": messages.Source(document_type="invoice", extraction_method="pdf_text", confidence="0.93"),
            "extracted_data_json": EXTRACTED,
            "ai_summary": self.summary(),
        }
        return contract.RecordInitialSummaryRequest(**defaults | fields)

    def modifications(self, workflow_id: str, **fields: Any) -> contract.RecordUserModificationsRequest:
        defaults = {
            "request_id": str(uuid4()),
            "workflow_id": workflow_id,
            "original_data_json": EXTRACTED,
            "modified_data_json": MODIFIED,
            "preferences": messages.Preferences(
                instructions="Show the shortfall.", format=messages.FORMAT_CSV, template=messages.TEMPLATE_LEDGER
            ),
            "user_actions": messages.UserActions(fields_edited=1, duration=Duration(seconds=40)),
        }
        return contract.RecordUserModificationsRequest(**defaults | fields)

    def generate(self, workflow_id: str, **fields: Any) -> contract.GenerateDeliverableRequest:
        defaults = {"request_id": str(uuid4()), "workflow_id": workflow_id, "final_summary": self.summary()}
        return contract.GenerateDeliverableRequest(**defaults | fields)

    def external(self, workflow_id: str, **fields: Any) -> contract.RecordFinalDeliverableRequest:
        defaults = {
            "request_id": str(uuid4()),
            "workflow_id": workflow_id,
            "final_summary": self.summary(),
            "deliverable": contract.ExternalDeliverable(
                format=messages.FORMAT_PDF, template=messages.TEMPLATE_DETAILED, size=48_211, sha256="ab" * 32
            ),
        }
        return contract.RecordFinalDeliverableRequest(**defaults | fields)

    async def begun(self, stub: WorkflowServiceStub, **fields: Any) -> messages.Workflow:
        return (await stub.RecordInitialSummary(self.initial_summary(**fields))).workflow

    async def reviewed(self, stub: WorkflowServiceStub, **fields: Any) -> messages.Workflow:
        begun = await self.begun(stub, **fields)
        return (await stub.RecordUserModifications(self.modifications(begun.workflow_id))).workflow

    async def completed(self, stub: WorkflowServiceStub, **fields: Any) -> messages.Workflow:
        reviewed = await self.reviewed(stub, **fields)
        return (await stub.GenerateDeliverable(self.generate(reviewed.workflow_id))).workflow


@pytest.fixture
def requests() -> Requests:
    return Requests()


Refusal = tuple[error_details_pb2.ErrorInfo, dict[str, str]]


@pytest.fixture
def refused() -> Callable[[Awaitable[Any], grpc.StatusCode, str], Awaitable[Refusal]]:
    """Asserts that a call is refused for a reason; gives its ErrorInfo and the fields of its BadRequest."""

    async def check(call: Awaitable[Any], status: grpc.StatusCode, reason: str) -> Refusal:
        with pytest.raises((grpc.aio.AioRpcError, DependencyUnavailable)) as caught:
            await call
        # Our own client translates what says that the service is down.
        error = caught.value.__cause__ if isinstance(caught.value, DependencyUnavailable) else caught.value
        info, bad_request = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
        metadata = dict(error.trailing_metadata() or ())
        for detail in status_pb2.Status.FromString(metadata["grpc-status-details-bin"]).details:
            detail.Unpack(info)
            detail.Unpack(bad_request)
        assert (error.code(), info.reason) == (status, f"ERROR_REASON_{reason}"), error.details()
        assert info.domain == "exports.proofloop"
        return info, {violation.field: violation.description for violation in bad_request.field_violations}

    return check
