"""What other services say about a claim, as a packet tells it."""

from collections.abc import Sequence
from datetime import UTC
from typing import TYPE_CHECKING

from google.protobuf.descriptor import EnumDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from proofloop.exports.v1 import workflows_pb2, workflows_service_pb2
from proofloop.prompts.v1 import prompts_pb2, prompts_service_pb2

from proofloop_packets.packets.snapshot import (
    AiSummary,
    Change,
    ExportPart,
    FinalStage,
    InitialStage,
    ModificationStage,
    PromptAnswer,
    PromptPart,
    StageRecord,
)

if TYPE_CHECKING:
    from proofloop.exports.v1.workflows_service_pb2_grpc import WorkflowServiceAsyncStub
    from proofloop.prompts.v1.prompts_service_pb2_grpc import PromptServiceAsyncStub

_PAGE = 50


class Sources:
    """Asks the prompts and exports services, in the name and for the tenant of the current call."""

    def __init__(self, prompts: "PromptServiceAsyncStub", workflows: "WorkflowServiceAsyncStub") -> None:
        self._prompts = prompts
        self._workflows = workflows

    async def prompts(self, claim_id: str) -> Sequence[prompts_pb2.Prompt]:
        """Return the prompts about a claim, oldest first."""
        found: list[prompts_pb2.Prompt] = []
        request = prompts_service_pb2.ListPromptsRequest(claim_id=claim_id, page_size=_PAGE)
        while True:
            page = await self._prompts.ListPrompts(request)
            found += page.prompts
            if not page.next_page_token:
                return sorted(found, key=lambda prompt: prompt.prompt_id)
            request.page_token = page.next_page_token

    async def workflows(self, claim_id: str) -> Sequence[workflows_pb2.Workflow]:
        """Return the workflows of a claim with their stages, oldest first."""
        found: list[str] = []
        request = workflows_service_pb2.ListWorkflowsRequest(claim_id=claim_id, page_size=_PAGE)
        while True:
            page = await self._workflows.ListWorkflows(request)
            found += [workflow.workflow_id for workflow in page.workflows]
            if not page.next_page_token:
                break
            request.page_token = page.next_page_token
        return [await self._workflow(workflow_id) for workflow_id in sorted(found)]

    async def _workflow(self, workflow_id: str) -> workflows_pb2.Workflow:
        request = workflows_service_pb2.GetWorkflowRequest(workflow_id=workflow_id)
        return (await self._workflows.GetWorkflow(request)).workflow


def prompt_part(prompt: prompts_pb2.Prompt) -> PromptPart:
    """Return what a packet tells of a prompt."""
    part: PromptPart = {
        "prompt_id": prompt.prompt_id,
        "state": _word(prompts_pb2.PromptState.DESCRIPTOR, prompt.state),
        "question": prompt.question,
        "options": [{"option_id": option.id, "text": option.label} for option in prompt.options],
        "assignee_id": prompt.assignee_id,
        "create_time": moment(prompt.create_time),
    }
    if prompt.HasField("answer"):
        part["answer"] = _answer(prompt)
    return part


def export_part(workflow: workflows_pb2.Workflow) -> ExportPart:
    """Return what a packet tells of a workflow: hashes of the data, not the data, and the texts."""
    part: ExportPart = {
        "workflow_id": workflow.workflow_id,
        "document_id": workflow.document_id,
        "state": _word(workflows_pb2.WorkflowState.DESCRIPTOR, workflow.state),
        "initial": _initial(workflow.initial_summary),
    }
    if workflow.HasField("user_modifications"):
        part["modifications"] = _modifications(workflow.user_modifications)
    if workflow.HasField("final_deliverable"):
        part["final"] = _final(workflow.final_deliverable)
    return part


def moment(time: Timestamp) -> str:
    """Return a time as a packet writes it: RFC 3339 in UTC, with microseconds."""
    return time.ToDatetime(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _answer(prompt: prompts_pb2.Prompt) -> PromptAnswer:
    answered_by = next(
        (each.actor_id for each in prompt.changes if each.state == prompts_pb2.PROMPT_STATE_ANSWERED),
        prompt.assignee_id,
    )
    answer: PromptAnswer = {
        "option_ids": [prompt.answer.option_id] if prompt.answer.option_id else [],
        "answered_by": answered_by,
        "answer_time": moment(prompt.answer.answer_time),
        "shown_sha256": prompt.answer.shown_sha256,
    }
    if prompt.answer.text:
        answer["text"] = prompt.answer.text
    return answer


def _record(record: workflows_pb2.StageRecord) -> StageRecord:
    return {
        "record_id": record.record_id,
        "revision": record.revision,
        "actor_id": record.actor_id,
        "create_time": moment(record.create_time),
    }


def _summary(summary: workflows_pb2.Summary) -> AiSummary:
    return {
        "text": summary.text,
        "model": summary.ai_metadata.model,
        "template_version": summary.ai_metadata.template_version,
        "generate_time": moment(summary.ai_metadata.generate_time),
        "confidence": summary.ai_metadata.confidence,
    }


def _initial(stage: workflows_pb2.InitialSummary) -> InitialStage:
    return {
        "record": _record(stage.record),
        "document_type": stage.source.document_type,
        "extraction_method": stage.source.extraction_method,
        "confidence": stage.source.confidence,
        "field_count": stage.field_count,
        "extracted_data_sha256": stage.extracted_data_sha256,
        "summary": _summary(stage.ai_summary),
    }


def _modifications(stage: workflows_pb2.UserModifications) -> ModificationStage:
    part: ModificationStage = {
        "record": _record(stage.record),
        "modified_data_sha256": stage.modified_data_sha256,
        "changes": [_change(change) for change in stage.changes],
        "fields_edited": stage.user_actions.fields_edited,
        "seconds": _seconds(stage.user_actions.duration),
    }
    if stage.preferences.instructions:
        part["instructions"] = stage.preferences.instructions
    return part


def _change(change: workflows_pb2.Change) -> Change:
    match change.kind:
        case workflows_pb2.CHANGE_KIND_ADDITION:
            return {"kind": "addition", "path": change.path, "new_json": change.new_json}
        case workflows_pb2.CHANGE_KIND_DELETION:
            return {"kind": "deletion", "path": change.path, "old_json": change.old_json}
        case _:
            return {
                "kind": "modification",
                "path": change.path,
                "old_json": change.old_json,
                "new_json": change.new_json,
            }


def _final(stage: workflows_pb2.FinalDeliverable) -> FinalStage:
    part: FinalStage = {
        "record": _record(stage.record),
        "summary": _summary(stage.final_summary),
        "deliverable": {
            "file_name": stage.deliverable.file_name,
            "media_type": stage.deliverable.media_type,
            "size": stage.deliverable.size,
            "sha256": stage.deliverable.sha256,
        },
    }
    if stage.workflow_summary.ai_accuracy:
        part["ai_accuracy"] = stage.workflow_summary.ai_accuracy
    if stage.workflow_summary.final_quality:
        part["final_quality"] = stage.workflow_summary.final_quality
    return part


def _seconds(duration: Duration) -> str:
    """Return a duration as exact decimal seconds."""
    return f"{duration.seconds}.{duration.nanos:09d}".rstrip("0").rstrip(".")


def _word(enum: EnumDescriptor, value: int) -> str:
    """Return an enum value as a packet writes it: `PROMPT_STATE_ANSWERED` is `answered`."""
    names = [each.name for each in enum.values]
    prefix = names[0].removesuffix("UNSPECIFIED")
    name: str = enum.values_by_number[value].name
    return name.removeprefix(prefix).lower()
