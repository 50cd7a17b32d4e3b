"""What callers can do with workflows."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

from opentelemetry import trace
from proofloop_runtime.call import current
from proofloop_runtime.database import UnitOfWork
from proofloop_runtime.events import Actor, Event
from proofloop_runtime.ports import Ids

from proofloop_exports import access, events, telemetry
from proofloop_exports.errors import DeliverableNotStored, NoDeliverable, RecordNotFound
from proofloop_exports.workflows import conversion, store
from proofloop_exports.workflows.documents import Document
from proofloop_exports.workflows.domain import FullWorkflow, Subject, Workflow, WorkflowFilter, WorkflowOutline
from proofloop_exports.workflows.figures import summarize
from proofloop_exports.workflows.file_names import file_name
from proofloop_exports.workflows.records import (
    Deliverable,
    FinalDeliverable,
    Format,
    InitialSummary,
    Preferences,
    RecordHead,
    Source,
    Stage,
    StageRecord,
    Summary,
    Template,
    UserActions,
    UserModifications,
)
from proofloop_exports.workflows.review import Review, check_original


@dataclass(frozen=True, slots=True)
class Target:
    """The workflow whose stage is to be recorded, and on which conditions; an empty etag is none."""

    workflow_id: str
    new_revision: bool
    etag: str


@dataclass(frozen=True, slots=True)
class Extraction:
    """What stage 1 records."""

    source: Source
    field_count: int
    extracted: Document
    ai_summary: Summary


@dataclass(frozen=True, slots=True)
class File:
    """A deliverable's bytes, as far as stage 3 records them."""

    format: Format
    template: Template
    size: int
    sha256: str
    stored: bool


async def begin(unit: UnitOfWork, ids: Ids, *, subject: Subject, extraction: Extraction) -> FullWorkflow:
    """Begin a workflow with its stage 1; without an owner it is the caller's.

    Raises:
        InvalidField: a service that calls for nobody names no owner.
        NotOwner: a claimant names somebody else.
    """
    owned = replace(subject, owner_id=access.owner_of_new(current().caller, subject.owner_id))
    head = RecordHead(ids.uuid7(), Stage.INITIAL_SUMMARY, 1, None, _actor(), unit.clock.now(), ids.uuid7())
    workflow = Workflow(ids.uuid7(), owned, (head,))
    record = _initial_summary(head, extraction)
    await store.insert_workflow(unit, workflow)
    await _write(unit, workflow, record, events.workflow_summarized(workflow, record))
    return FullWorkflow(workflow, record)


async def revise_initial_summary(
    unit: UnitOfWork, ids: Ids, *, target: Target, subject: Subject, extraction: Extraction
) -> FullWorkflow:
    """Record stage 1 anew; without an owner it stays as it is.

    Raises:
        DomainError: as `Workflow.admit` and `Workflow.check_subject`.
    """
    workflow = await _admitted(unit, target, Stage.INITIAL_SUMMARY)
    workflow.check_subject(replace(subject, owner_id=subject.owner_id or workflow.subject.owner_id))
    workflow, head = _next(unit, ids, workflow, Stage.INITIAL_SUMMARY)
    record = _initial_summary(head, extraction)
    await store.update_workflow(unit, workflow)
    await _write(unit, workflow, record, events.workflow_summarized(workflow, record))
    return FullWorkflow(workflow, record)


async def record_user_modifications(
    unit: UnitOfWork,
    ids: Ids,
    *,
    target: Target,
    review: Review,
    preferences: Preferences,
    user_actions: UserActions,
) -> FullWorkflow:
    """Record stage 2.

    Raises:
        DomainError: as `Workflow.admit`.
        OriginalDataDiffers: the person was not shown what stage 1 extracted.
    """
    workflow = await _admitted(unit, target, Stage.USER_MODIFICATIONS)
    full = await load(unit, workflow)
    await asyncio.to_thread(check_original, full.initial_summary.extracted, review.original)
    workflow, head = _next(unit, ids, workflow, Stage.USER_MODIFICATIONS)
    record = UserModifications(head, review.original, review.modified, preferences, user_actions, review.changes)
    await store.update_workflow(unit, workflow)
    await _write(unit, workflow, record, events.workflow_reviewed(workflow, record))
    telemetry.changes.record(len(review.changes.lines))
    return FullWorkflow(workflow, full.initial_summary, record)


async def record_final_deliverable(
    unit: UnitOfWork, ids: Ids, *, target: Target, final_summary: Summary, file: File
) -> FullWorkflow:
    """Record stage 3 with a file, wherever it was made.

    Raises:
        DomainError: as `Workflow.admit`.
    """
    workflow = await _admitted(unit, target, Stage.FINAL_DELIVERABLE)
    full = await load(unit, workflow)
    if full.user_modifications is None:
        raise AssertionError("stage 3 was admitted without stage 2")
    workflow, head = _next(unit, ids, workflow, Stage.FINAL_DELIVERABLE)
    name = file_name(workflow.subject.document_name, file.template, head.create_time.date(), file.format)
    summary = await asyncio.to_thread(
        summarize, workflow, full.user_modifications, final_summary.ai_metadata.confidence, head.create_time
    )
    deliverable = Deliverable(name, file.format, file.template, file.size, file.sha256, file.stored)
    record = FinalDeliverable(head, final_summary, deliverable, summary)
    await store.update_workflow(unit, workflow)
    await _write(unit, workflow, record, events.workflow_completed(workflow, record))
    return FullWorkflow(workflow, full.initial_summary, full.user_modifications, record)


async def get_workflow(unit: UnitOfWork, *, workflow_id: str, record_id: str | None) -> FullWorkflow:
    """Return a workflow that the caller may see, as it stands or as it stood at a record.

    Raises:
        WorkflowNotFound: there is none of this id.
        RecordNotFound: it has no such record.
        NotOwner: it is another claimant's.
    """
    workflow = await _visible(unit, workflow_id)
    return await load(unit, workflow if record_id is None else workflow.as_of(record_id))


async def get_deliverable(unit: UnitOfWork, *, workflow_id: str, record_id: str | None) -> Deliverable:
    """Return the deliverable of a record of stage 3, or of the current one, if its bytes are kept here.

    Raises:
        WorkflowNotFound: there is no workflow of this id.
        RecordNotFound: it has no such record of stage 3.
        NotOwner: it is another claimant's.
        NoDeliverable: stage 3 is not recorded.
        DeliverableNotStored: the file was made elsewhere.
    """
    workflow = await _visible(unit, workflow_id)
    if record_id is not None:
        workflow = workflow.as_of(record_id)
        if workflow.records[-1].stage is not Stage.FINAL_DELIVERABLE:
            raise RecordNotFound("this is no record of stage 3", record_id=record_id)
    final = (await load(unit, workflow)).final_deliverable
    if final is None:
        raise NoDeliverable("stage 3 is not recorded", state=workflow.state.name.lower())
    if not final.deliverable.stored:
        raise DeliverableNotStored("the deliverable was made elsewhere", sha256=final.deliverable.sha256)
    return final.deliverable


async def list_workflows(
    unit: UnitOfWork, wanted: WorkflowFilter, *, before: str | None, limit: int
) -> Sequence[WorkflowOutline]:
    """Return workflows that the caller may see, newest first, older than the workflow `before`.

    Raises:
        NotOwner: a claimant asks for somebody else's.
    """
    owner = access.owner_to_list(current().caller, wanted.owner_id)
    return await store.newest_first(unit, replace(wanted, owner_id=owner), before=before, limit=limit)


async def load(unit: UnitOfWork, workflow: Workflow) -> FullWorkflow:
    """Return the workflow with what its current records hold."""
    heads = workflow.current()
    contents = await store.contents(unit, heads.values())
    summarized = heads[Stage.INITIAL_SUMMARY]
    full = FullWorkflow(workflow, conversion.initial_summary(summarized, contents[summarized.stage]))
    if reviewed := heads.get(Stage.USER_MODIFICATIONS):
        modifications = conversion.user_modifications(reviewed, contents[reviewed.stage])
        full = replace(full, user_modifications=modifications)
    if completed := heads.get(Stage.FINAL_DELIVERABLE):
        full = replace(full, final_deliverable=conversion.final_deliverable(completed, contents[completed.stage]))
    return full


async def _visible(unit: UnitOfWork, workflow_id: str) -> Workflow:
    workflow = await store.get(unit, workflow_id)
    access.must_see(current().caller, workflow.subject.owner_id)
    return workflow


async def _admitted(unit: UnitOfWork, target: Target, stage: Stage) -> Workflow:
    """Lock the workflow, so that two who record the same stage come one after the other."""
    workflow = await store.get(unit, target.workflow_id, lock=True)
    access.must_record(current().caller, workflow.subject.owner_id)
    workflow.admit(stage, new_revision=target.new_revision, etag=target.etag)
    return workflow


def _next(unit: UnitOfWork, ids: Ids, workflow: Workflow, stage: Stage) -> tuple[Workflow, RecordHead]:
    head = workflow.next_head(stage, record_id=ids.uuid7(), event_id=ids.uuid7(), actor=_actor(), time=unit.clock.now())
    return workflow.with_record(head), head


async def _write(unit: UnitOfWork, workflow: Workflow, record: StageRecord, event: Event) -> None:
    await store.insert_record(unit, workflow, conversion.to_content(record))
    await unit.publish(event)
    stage = record.head.stage.name.lower()
    trace.get_current_span().set_attributes({telemetry.WORKFLOW_ID: workflow.workflow_id, telemetry.STAGE: stage})
    unit.after_commit(lambda: telemetry.records.add(1, {telemetry.STAGE: stage}))


def _initial_summary(head: RecordHead, extraction: Extraction) -> InitialSummary:
    return InitialSummary(head, extraction.source, extraction.field_count, extraction.extracted, extraction.ai_summary)


def _actor() -> Actor:
    caller = current().caller
    return Actor(caller.type, caller.id)
