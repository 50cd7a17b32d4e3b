"""What the exports service publishes, one event per recorded stage. It consumes erasures alone."""

import hashlib

from google.protobuf.message import Message
from proofloop.exports.v1 import events_pb2
from proofloop_runtime.events import Event

from proofloop_exports.workflows.domain import Workflow
from proofloop_exports.workflows.records import FinalDeliverable, InitialSummary, RecordHead, UserModifications


def workflow_summarized(workflow: Workflow, record: InitialSummary) -> Event:
    """Stage 1 was recorded."""
    message = events_pb2.WorkflowSummarized(
        workflow_id=workflow.workflow_id,
        record_id=record.head.record_id,
        revision=record.head.revision,
        document_id=workflow.subject.document_id,
        owner_id=workflow.subject.owner_id,
        extracted_data_sha256=record.extracted.sha256,
        summary_sha256=_sha256(record.ai_summary.text),
        model=record.ai_summary.ai_metadata.model,
        template_version=record.ai_summary.ai_metadata.template_version,
    )
    return _event(workflow, record.head, "summarized", message)


def workflow_reviewed(workflow: Workflow, record: UserModifications) -> Event:
    """Stage 2 was recorded."""
    message = events_pb2.WorkflowReviewed(
        workflow_id=workflow.workflow_id,
        record_id=record.head.record_id,
        revision=record.head.revision,
        based_on=record.head.based_on or "",
        owner_id=workflow.subject.owner_id,
        original_data_sha256=record.original.sha256,
        modified_data_sha256=record.modified.sha256,
        patch_sha256=_sha256(record.changes.patch_json),
        change_count=len(record.changes.lines),
    )
    return _event(workflow, record.head, "reviewed", message)


def workflow_completed(workflow: Workflow, record: FinalDeliverable) -> Event:
    """Stage 3 was recorded."""
    message = events_pb2.WorkflowCompleted(
        workflow_id=workflow.workflow_id,
        record_id=record.head.record_id,
        revision=record.head.revision,
        based_on=record.head.based_on or "",
        owner_id=workflow.subject.owner_id,
        summary_sha256=_sha256(record.final_summary.text),
        model=record.final_summary.ai_metadata.model,
        template_version=record.final_summary.ai_metadata.template_version,
        file_name=record.deliverable.file_name,
        sha256=record.deliverable.sha256,
        size=record.deliverable.size,
        media_type=record.deliverable.media_type,
        stored=record.deliverable.stored,
    )
    return _event(workflow, record.head, "completed", message)


def _event(workflow: Workflow, head: RecordHead, verb: str, message: Message) -> Event:
    return Event(
        event_id=head.event_id,
        noun="workflow",
        verb=verb,
        message=message,
        time=head.create_time,
        entity_type="workflow",
        entity_id=workflow.workflow_id,
        actor=head.actor,
        claim_id=workflow.subject.claim_id,
    )


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
