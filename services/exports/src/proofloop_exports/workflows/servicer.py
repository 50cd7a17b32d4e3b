"""WorkflowService: the edge between the contract and workflows."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC

from google.api import httpbody_pb2
from proofloop.exports.v1 import workflows_service_pb2 as contract
from proofloop.exports.v1.workflows_service_pb2_grpc import WorkflowServiceServicer
from proofloop_runtime import paging
from proofloop_runtime import telemetry as spans
from proofloop_runtime.database import Database, UnitOfWork
from proofloop_runtime.grpc_types import ServicerContext
from proofloop_runtime.objects import ObjectStore
from proofloop_runtime.ports import Ids

from proofloop_exports import telemetry
from proofloop_exports.workflows import conversion, deliverables, handlers
from proofloop_exports.workflows.documents import Document, read_document
from proofloop_exports.workflows.domain import State, Subject, WorkflowFilter
from proofloop_exports.workflows.figures import count_values
from proofloop_exports.workflows.file_names import content_disposition
from proofloop_exports.workflows.handlers import Extraction, File, Target
from proofloop_exports.workflows.records import Format, Template
from proofloop_exports.workflows.review import review


class WorkflowServicer(WorkflowServiceServicer):
    """Serves `proofloop.exports.v1.WorkflowService`."""

    def __init__(self, database: Database, objects: ObjectStore, ids: Ids) -> None:
        self._database = database
        self._objects = objects
        self._ids = ids

    async def RecordInitialSummary(
        self, request: contract.RecordInitialSummaryRequest, context: ServicerContext
    ) -> contract.RecordInitialSummaryResponse:
        """See the contract."""
        subject = Subject(request.document_id, request.document_name, _id(request.claim_id), request.owner_id)
        extraction = Extraction(
            source=conversion.to_source(request.source),
            field_count=await asyncio.to_thread(_count_fields, request.extracted_data_json),
            extracted=Document(request.extracted_data_json),
            ai_summary=conversion.to_summary(request.ai_summary),
        )

        async def record(unit: UnitOfWork) -> contract.RecordInitialSummaryResponse:
            if request.workflow_id:
                full = await handlers.revise_initial_summary(
                    unit, self._ids, target=_target(request), subject=subject, extraction=extraction
                )
            else:
                full = await handlers.begin(unit, self._ids, subject=subject, extraction=extraction)
            return contract.RecordInitialSummaryResponse(workflow=conversion.to_workflow(full))

        return await self._database.once(request, contract.RecordInitialSummaryResponse, record)

    async def RecordUserModifications(
        self, request: contract.RecordUserModificationsRequest, context: ServicerContext
    ) -> contract.RecordUserModificationsResponse:
        """See the contract."""
        with spans.span(telemetry.COMPARE_SPAN) as span:
            found = await asyncio.to_thread(review, request.original_data_json, request.modified_data_json)
            span.set_attribute(telemetry.CHANGE_COUNT, len(found.changes.lines))

        async def record(unit: UnitOfWork) -> contract.RecordUserModificationsResponse:
            full = await handlers.record_user_modifications(
                unit,
                self._ids,
                target=_target(request),
                review=found,
                preferences=conversion.to_preferences(request.preferences),
                user_actions=conversion.to_user_actions(request.user_actions),
            )
            return contract.RecordUserModificationsResponse(workflow=conversion.to_workflow(full))

        return await self._database.once(request, contract.RecordUserModificationsResponse, record)

    async def RecordFinalDeliverable(
        self, request: contract.RecordFinalDeliverableRequest, context: ServicerContext
    ) -> contract.RecordFinalDeliverableResponse:
        """See the contract."""
        made = request.deliverable
        file = File(Format(made.format), Template(made.template), made.size, made.sha256, stored=False)

        async def record(unit: UnitOfWork) -> contract.RecordFinalDeliverableResponse:
            full = await handlers.record_final_deliverable(
                unit,
                self._ids,
                target=_target(request),
                final_summary=conversion.to_summary(request.final_summary),
                file=file,
            )
            return contract.RecordFinalDeliverableResponse(workflow=conversion.to_workflow(full))

        return await self._database.once(request, contract.RecordFinalDeliverableResponse, record)

    async def GenerateDeliverable(
        self, request: contract.GenerateDeliverableRequest, context: ServicerContext
    ) -> contract.GenerateDeliverableResponse:
        """See the contract."""
        target = _target(request)
        final_summary = conversion.to_summary(request.final_summary)
        prepared = await deliverables.prepare(
            self._database,
            self._objects,
            target=target,
            summary=final_summary,
            format_=Format(request.format) if request.format else None,
            template=Template(request.template) if request.template else None,
        )

        async def record(unit: UnitOfWork) -> contract.GenerateDeliverableResponse:
            full = await deliverables.record(
                unit, self._ids, target=target, final_summary=final_summary, prepared=prepared
            )
            return contract.GenerateDeliverableResponse(workflow=conversion.to_workflow(full))

        return await self._database.once(request, contract.GenerateDeliverableResponse, record)

    async def DownloadDeliverable(
        self, request: contract.DownloadDeliverableRequest, context: ServicerContext
    ) -> AsyncIterator[contract.DownloadDeliverableResponse]:
        """See the contract."""
        async with self._database.transaction() as unit:
            deliverable = await handlers.get_deliverable(
                unit, workflow_id=request.workflow_id, record_id=_id(request.record_id)
            )
        name = content_disposition(deliverable.file_name)
        await context.send_initial_metadata((("content-disposition", name),))
        async for piece in deliverables.stream(self._objects, deliverable):
            body = httpbody_pb2.HttpBody(content_type=deliverable.media_type, data=piece)
            yield contract.DownloadDeliverableResponse(body=body)

    async def GetWorkflow(
        self, request: contract.GetWorkflowRequest, context: ServicerContext
    ) -> contract.GetWorkflowResponse:
        """See the contract."""
        async with self._database.transaction() as unit:
            full = await handlers.get_workflow(unit, workflow_id=request.workflow_id, record_id=_id(request.record_id))
        return contract.GetWorkflowResponse(workflow=conversion.to_workflow(full))

    async def ListWorkflows(
        self, request: contract.ListWorkflowsRequest, context: ServicerContext
    ) -> contract.ListWorkflowsResponse:
        """See the contract."""
        position = paging.decode(request)
        limit = paging.size(request)
        wanted = WorkflowFilter(
            claim_id=_id(request.claim_id),
            document_id=request.document_id or None,
            owner_id=request.owner_id or None,
            state=State(request.state) if request.state else None,
            start_time=request.start_time.ToDatetime(UTC) if request.HasField("start_time") else None,
            end_time=request.end_time.ToDatetime(UTC) if request.HasField("end_time") else None,
        )
        async with self._database.transaction() as unit:
            found = await handlers.list_workflows(
                unit, wanted, before=None if position is None else paging.identifier(position), limit=limit + 1
            )
        response = contract.ListWorkflowsResponse(workflows=map(conversion.to_outline, found[:limit]))
        if len(found) > limit:
            response.next_page_token = paging.encode(request, [found[limit - 1].workflow_id])
        return response


def _target(
    request: contract.RecordInitialSummaryRequest
    | contract.RecordUserModificationsRequest
    | contract.RecordFinalDeliverableRequest
    | contract.GenerateDeliverableRequest,
) -> Target:
    return Target(request.workflow_id, request.new_revision, request.etag)


def _id(uuid: str) -> str | None:
    """Return a UUID as it is stored, whatever the case it was written in; None for none."""
    return uuid.lower() or None


def _count_fields(extracted_data_json: str) -> int:
    return count_values(read_document(extracted_data_json, field="extracted_data_json"))
