"""Between the contract's messages and the domain."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from proofloop.exports.v1 import workflows_pb2 as messages
from proofloop_runtime.call import CallerType

from proofloop_exports.workflows.changes import ChangeKind
from proofloop_exports.workflows.documents import Document
from proofloop_exports.workflows.domain import FullWorkflow, WorkflowOutline
from proofloop_exports.workflows.records import (
    AiMetadata,
    ChangeLine,
    Changes,
    Deliverable,
    FinalDeliverable,
    Format,
    InitialSummary,
    Preferences,
    RecordHead,
    Source,
    StageRecord,
    Summary,
    Template,
    UserActions,
    UserModifications,
    WorkflowSummary,
)

_ACTOR_TYPES = {
    CallerType.USER: messages.ACTOR_TYPE_USER,
    CallerType.SERVICE: messages.ACTOR_TYPE_SERVICE,
}
_KINDS = {
    ChangeKind.ADDITION: messages.CHANGE_KIND_ADDITION,
    ChangeKind.MODIFICATION: messages.CHANGE_KIND_MODIFICATION,
    ChangeKind.DELETION: messages.CHANGE_KIND_DELETION,
}
_KINDS_BY_NUMBER = {number: kind for kind, number in _KINDS.items()}


def to_outline(outline: WorkflowOutline) -> messages.Workflow:
    """Return a workflow as a list shows it."""
    return messages.Workflow(
        workflow_id=outline.workflow_id,
        state=messages.WorkflowState.ValueType(outline.state),
        document_id=outline.subject.document_id,
        document_name=outline.subject.document_name,
        claim_id=outline.subject.claim_id or "",
        owner_id=outline.subject.owner_id,
        create_time=_timestamp(outline.create_time),
        update_time=_timestamp(outline.update_time),
        etag=outline.etag,
        last_event_id=outline.last_event_id,
    )


def to_workflow(full: FullWorkflow) -> messages.Workflow:
    """Return a workflow with its stages in full."""
    message = to_outline(full.workflow.outline())
    message.records.extend(map(_to_head, full.workflow.records))
    message.initial_summary.CopyFrom(_to_initial_summary(full.initial_summary))
    if full.user_modifications is not None:
        message.user_modifications.CopyFrom(_to_user_modifications(full.user_modifications))
    if full.final_deliverable is not None:
        message.final_deliverable.CopyFrom(_to_final_deliverable(full.final_deliverable))
    return message


def to_content(record: StageRecord) -> bytes:
    """Return what a stage recorded, its head aside, as the contract's message of the stage in wire form.

    The contract only ever grows, so what is stored today can be read for as long as the contract stands.
    """
    message: messages.InitialSummary | messages.UserModifications | messages.FinalDeliverable
    match record:
        case InitialSummary():
            message = _to_initial_summary(record)
        case UserModifications():
            message = _to_user_modifications(record)
        case FinalDeliverable():
            message = _to_final_deliverable(record)
    message.ClearField("record")
    return message.SerializeToString(deterministic=True)


def to_source(message: messages.Source) -> Source:
    """Return where extracted data came from."""
    return Source(message.document_type, message.extraction_method, Decimal(message.confidence))


def to_summary(message: messages.Summary) -> Summary:
    """Return an AI's text and how it came to be."""
    ai = message.ai_metadata
    return Summary(
        message.text,
        AiMetadata(
            model=ai.model,
            template_version=ai.template_version,
            generate_time=ai.generate_time.ToDatetime(UTC),
            duration=ai.duration.ToTimedelta(),
            prompt_tokens=ai.prompt_tokens,
            completion_tokens=ai.completion_tokens,
            confidence=Decimal(ai.confidence),
        ),
    )


def to_preferences(message: messages.Preferences) -> Preferences:
    """Return what a person wants of the deliverable."""
    return Preferences(message.instructions, Format(message.format), Template(message.template))


def to_user_actions(message: messages.UserActions) -> UserActions:
    """Return how a person worked."""
    return UserActions(message.fields_edited, message.duration.ToTimedelta())


def initial_summary(head: RecordHead, content: bytes) -> InitialSummary:
    """Return a stored record of stage 1."""
    message = messages.InitialSummary.FromString(content)
    return InitialSummary(
        head=head,
        source=to_source(message.source),
        field_count=message.field_count,
        extracted=Document(message.extracted_data_json),
        ai_summary=to_summary(message.ai_summary),
    )


def user_modifications(head: RecordHead, content: bytes) -> UserModifications:
    """Return a stored record of stage 2."""
    message = messages.UserModifications.FromString(content)
    return UserModifications(
        head=head,
        original=Document(message.original_data_json),
        modified=Document(message.modified_data_json),
        preferences=to_preferences(message.preferences),
        user_actions=to_user_actions(message.user_actions),
        changes=Changes(message.patch_json, tuple(map(_to_change_line, message.changes))),
    )


def final_deliverable(head: RecordHead, content: bytes) -> FinalDeliverable:
    """Return a stored record of stage 3."""
    message = messages.FinalDeliverable.FromString(content)
    file, summary = message.deliverable, message.workflow_summary
    return FinalDeliverable(
        head=head,
        final_summary=to_summary(message.final_summary),
        deliverable=Deliverable(
            file_name=file.file_name,
            format=Format(file.format),
            template=Template(file.template),
            size=file.size,
            sha256=file.sha256,
            stored=file.stored,
        ),
        workflow_summary=WorkflowSummary(
            total_time=summary.total_time.ToTimedelta(),
            ai_accuracy=Decimal(summary.ai_accuracy),
            final_quality=Decimal(summary.final_quality),
        ),
    )


def _to_head(head: RecordHead) -> messages.StageRecord:
    return messages.StageRecord(
        record_id=head.record_id,
        stage=messages.Stage.ValueType(head.stage),
        revision=head.revision,
        based_on=head.based_on or "",
        actor_type=_ACTOR_TYPES[head.actor.type],
        actor_id=head.actor.id,
        create_time=_timestamp(head.create_time),
        event_id=head.event_id,
    )


def _to_initial_summary(record: InitialSummary) -> messages.InitialSummary:
    return messages.InitialSummary(
        record=_to_head(record.head),
        source=messages.Source(
            document_type=record.source.document_type,
            extraction_method=record.source.extraction_method,
            confidence=str(record.source.confidence),
        ),
        field_count=record.field_count,
        extracted_data_json=record.extracted.text,
        extracted_data_sha256=record.extracted.sha256,
        ai_summary=_to_summary(record.ai_summary),
    )


def _to_user_modifications(record: UserModifications) -> messages.UserModifications:
    rate = record.user_actions.edits_per_minute
    return messages.UserModifications(
        record=_to_head(record.head),
        original_data_json=record.original.text,
        original_data_sha256=record.original.sha256,
        modified_data_json=record.modified.text,
        modified_data_sha256=record.modified.sha256,
        preferences=messages.Preferences(
            instructions=record.preferences.instructions,
            format=messages.Format.ValueType(record.preferences.format),
            template=messages.Template.ValueType(record.preferences.template),
        ),
        user_actions=messages.UserActions(
            fields_edited=record.user_actions.fields_edited, duration=_duration(record.user_actions.duration)
        ),
        edits_per_minute="" if rate is None else str(rate),
        patch_json=record.changes.patch_json,
        changes=[
            messages.Change(
                kind=_KINDS[line.kind], path=line.path, old_json=line.old_json or "", new_json=line.new_json or ""
            )
            for line in record.changes.lines
        ],
    )


def _to_final_deliverable(record: FinalDeliverable) -> messages.FinalDeliverable:
    return messages.FinalDeliverable(
        record=_to_head(record.head),
        final_summary=_to_summary(record.final_summary),
        deliverable=messages.Deliverable(
            file_name=record.deliverable.file_name,
            format=messages.Format.ValueType(record.deliverable.format),
            template=messages.Template.ValueType(record.deliverable.template),
            media_type=record.deliverable.media_type,
            size=record.deliverable.size,
            sha256=record.deliverable.sha256,
            stored=record.deliverable.stored,
        ),
        workflow_summary=messages.WorkflowSummary(
            total_time=_duration(record.workflow_summary.total_time),
            ai_accuracy=str(record.workflow_summary.ai_accuracy),
            final_quality=str(record.workflow_summary.final_quality),
        ),
    )


def _to_summary(summary: Summary) -> messages.Summary:
    ai = summary.ai_metadata
    return messages.Summary(
        text=summary.text,
        ai_metadata=messages.AiMetadata(
            model=ai.model,
            template_version=ai.template_version,
            generate_time=_timestamp(ai.generate_time),
            duration=_duration(ai.duration),
            prompt_tokens=ai.prompt_tokens,
            completion_tokens=ai.completion_tokens,
            confidence=str(ai.confidence),
        ),
    )


def _to_change_line(message: messages.Change) -> ChangeLine:
    # No JSON value is an empty text, so an empty text stands for what is not there.
    return ChangeLine(_KINDS_BY_NUMBER[message.kind], message.path, message.old_json or None, message.new_json or None)


def _timestamp(time: datetime) -> Timestamp:
    message = Timestamp()
    message.FromDatetime(time)
    return message


def _duration(duration: timedelta) -> Duration:
    message = Duration()
    message.FromTimedelta(duration)
    return message
