"""A workflow: the order of its three stages, and its revisions.

A record never changes. A stage is done anew only as a revision: a new record beside the old one, which makes
the later stages due again, because their records build on what is superseded. So a workflow's state follows
from its records alone.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import IntEnum

from proofloop_runtime.events import Actor

from proofloop_exports.errors import (
    EtagStale,
    RecordNotFound,
    StageAlreadyRecorded,
    StageOutOfOrder,
    SubjectDiffers,
    TooManyRevisions,
)
from proofloop_exports.workflows.records import FinalDeliverable, InitialSummary, RecordHead, Stage, UserModifications

MAX_RECORDS = 300
"""Records that a workflow may hold, superseded ones included."""


class State(IntEnum):
    """Where a workflow stands; the number is that of the last stage that is recorded and not superseded."""

    AWAITING_USER_REVIEW = 1
    AWAITING_FINAL_PROCESSING = 2
    COMPLETED = 3


@dataclass(frozen=True, slots=True)
class Subject:
    """What a workflow is about and whose it is; it never changes. `claim_id` may be None."""

    document_id: str
    document_name: str
    claim_id: str | None
    owner_id: str


@dataclass(frozen=True, slots=True)
class WorkflowOutline:
    """A workflow without its stages and records, as lists show it."""

    workflow_id: str
    subject: Subject
    state: State
    create_time: datetime
    update_time: datetime
    etag: str
    last_event_id: str


@dataclass(frozen=True, slots=True)
class WorkflowFilter:
    """Conditions on workflows; None is none. Times are those at which they were begun, the end left out."""

    claim_id: str | None = None
    document_id: str | None = None
    owner_id: str | None = None
    state: State | None = None
    start_time: datetime | None = None
    end_time: datetime | None = None


@dataclass(frozen=True, slots=True)
class Workflow:
    """A workflow and the heads of its records, oldest first, of which there is at least one."""

    workflow_id: str
    subject: Subject
    records: tuple[RecordHead, ...]

    @property
    def state(self) -> State:
        """Where it stands."""
        return State(max(self.current()))

    @property
    def etag(self) -> str:
        """Changes whenever the workflow does."""
        return str(len(self.records))

    @property
    def create_time(self) -> datetime:
        """When it was begun."""
        return self.records[0].create_time

    def outline(self) -> WorkflowOutline:
        """The workflow without its records."""
        last = self.records[-1]
        return WorkflowOutline(
            workflow_id=self.workflow_id,
            subject=self.subject,
            state=self.state,
            create_time=self.create_time,
            update_time=last.create_time,
            etag=self.etag,
            last_event_id=last.event_id,
        )

    def current(self) -> dict[Stage, RecordHead]:
        """The newest record of each stage, unless it builds on a superseded one."""
        newest = {record.stage: record for record in self.records}
        current: dict[Stage, RecordHead] = {}
        previous: str | None = None
        for stage in Stage:
            record = newest.get(stage)
            if record is None or record.based_on != previous:
                break
            current[stage] = record
            previous = record.record_id
        return current

    def as_of(self, record_id: str) -> "Workflow":
        """The workflow as it stood when a record was its newest.

        Raises:
            RecordNotFound: it has no such record.
        """
        for number, record in enumerate(self.records, start=1):
            if record.record_id == record_id:
                return replace(self, records=self.records[:number])
        raise RecordNotFound("the workflow has no such record", record_id=record_id)

    def admit(self, stage: Stage, *, new_revision: bool, etag: str = "") -> None:
        """Let a stage be recorded, or say why not. An empty etag is not checked.

        Raises:
            EtagStale: the workflow changed since.
            StageOutOfOrder: the stage before is not recorded, or there is nothing to revise.
            StageAlreadyRecorded: the stage is recorded, and no revision was asked for.
            TooManyRevisions: the workflow is full.
        """
        if etag not in {"", self.etag}:
            raise EtagStale("the workflow has changed since", etag=self.etag)
        if len(self.records) >= MAX_RECORDS:
            raise TooManyRevisions(f"the workflow holds {MAX_RECORDS} records")
        state = self.state
        if stage > state + 1:
            raise StageOutOfOrder(
                f"the workflow is {_words(state)}; {_words(stage)} comes later",
                stage=stage.name.lower(),
                state=state.name.lower(),
            )
        if stage <= state and not new_revision:
            raise StageAlreadyRecorded(f"{_words(stage)} is recorded; ask for a new revision", stage=stage.name.lower())
        if stage > state and new_revision:
            raise StageOutOfOrder(
                f"there is no {_words(stage)} to revise", stage=stage.name.lower(), state=state.name.lower()
            )

    def next_head(self, stage: Stage, *, record_id: str, event_id: str, actor: Actor, time: datetime) -> RecordHead:
        """The head of the record that comes next, once `admit` let the stage in."""
        previous = None if stage is Stage.INITIAL_SUMMARY else self.current()[Stage(stage - 1)].record_id
        revision = 1 + sum(1 for record in self.records if record.stage is stage)
        return RecordHead(record_id, stage, revision, previous, actor, time, event_id)

    def with_record(self, head: RecordHead) -> "Workflow":
        """The workflow with one more record."""
        return replace(self, records=(*self.records, head))

    def check_subject(self, subject: Subject) -> None:
        """Hold a revision of stage 1 to the workflow's subject.

        Raises:
            SubjectDiffers: it names another document, claim or owner.
        """
        for field in ("document_id", "document_name", "claim_id", "owner_id"):
            if getattr(self.subject, field) != getattr(subject, field):
                raise SubjectDiffers("a revision cannot change what the workflow is about", field=field)


@dataclass(frozen=True, slots=True)
class FullWorkflow:
    """A workflow with those of its stages that are not superseded."""

    workflow: Workflow
    initial_summary: InitialSummary
    user_modifications: UserModifications | None = None
    final_deliverable: FinalDeliverable | None = None


def _words(name: Stage | State) -> str:
    return name.name.lower().replace("_", " ")
