"""Tables and SQL of workflows. Every statement runs in a transaction that sees one tenant's rows."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from proofloop_runtime import schema
from proofloop_runtime.call import CallerType
from proofloop_runtime.database import UnitOfWork
from proofloop_runtime.events import Actor
from sqlalchemy.dialects import postgresql as pg

from proofloop_exports.errors import WorkflowNotFound
from proofloop_exports.workflows.domain import State, Subject, Workflow, WorkflowFilter, WorkflowOutline
from proofloop_exports.workflows.records import RecordHead, Stage

workflow = sa.Table(
    "workflow",
    schema.metadata,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("workflow_id", pg.UUID(as_uuid=False), primary_key=True),
    sa.Column("document_id", sa.Text, nullable=False),
    sa.Column("document_name", sa.Text, nullable=False),
    sa.Column("claim_id", pg.UUID(as_uuid=False)),
    sa.Column("owner_id", sa.Text, nullable=False),
    sa.Column("state", sa.SmallInteger, nullable=False),
    sa.Column("record_count", sa.Integer, nullable=False),
    sa.Column("create_time", sa.DateTime(timezone=True), nullable=False),
    sa.Column("update_time", sa.DateTime(timezone=True), nullable=False),
    sa.Column("last_event_id", pg.UUID(as_uuid=False), nullable=False),
)
"""What each workflow is about, and where its records leave it: the row to lock before one more is written."""

stage_record = sa.Table(
    "stage_record",
    schema.metadata,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("workflow_id", pg.UUID(as_uuid=False), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("record_id", pg.UUID(as_uuid=False), nullable=False),
    sa.Column("stage", sa.SmallInteger, nullable=False),
    sa.Column("revision", sa.Integer, nullable=False),
    sa.Column("based_on", pg.UUID(as_uuid=False)),
    sa.Column("actor_type", sa.Text, nullable=False),
    sa.Column("actor_id", sa.Text, nullable=False),
    sa.Column("create_time", sa.DateTime(timezone=True), nullable=False),
    sa.Column("event_id", pg.UUID(as_uuid=False), nullable=False),
    sa.Column("content", sa.LargeBinary, nullable=False),
)
"""The records, numbered within their workflow. They are inserted, and nothing can change them after that."""

Place = tuple[str, int]
"""Where a record stands: workflow and number."""


@dataclass(frozen=True, slots=True)
class StoredContent:
    """What a record holds, in wire form."""

    place: Place
    record_id: str
    stage: Stage
    content: bytes


_HEADS = sa.select(*(column for column in stage_record.c if column.name != "content"))


async def insert_workflow(unit: UnitOfWork, begun: Workflow) -> None:
    """Store a workflow that has its first record."""
    await unit.execute(
        sa.insert(workflow).values(
            tenant=unit.tenant,
            workflow_id=begun.workflow_id,
            document_id=begun.subject.document_id,
            document_name=begun.subject.document_name,
            claim_id=begun.subject.claim_id,
            owner_id=begun.subject.owner_id,
            create_time=begun.create_time,
            **_progress(begun),
        )
    )


async def update_workflow(unit: UnitOfWork, changed: Workflow) -> None:
    """Store where one more record left a workflow."""
    same = sa.and_(workflow.c.tenant == unit.tenant, workflow.c.workflow_id == changed.workflow_id)
    await unit.execute(sa.update(workflow).where(same).values(**_progress(changed)))


async def insert_record(unit: UnitOfWork, recorded: Workflow, content: bytes) -> None:
    """Store a workflow's last record with what its stage recorded."""
    head = recorded.records[-1]
    await unit.execute(
        sa.insert(stage_record).values(
            tenant=unit.tenant,
            workflow_id=recorded.workflow_id,
            number=len(recorded.records),
            record_id=head.record_id,
            stage=head.stage,
            revision=head.revision,
            based_on=head.based_on,
            actor_type=head.actor.type,
            actor_id=head.actor.id,
            create_time=head.create_time,
            event_id=head.event_id,
            content=content,
        )
    )


async def get(unit: UnitOfWork, workflow_id: str, *, lock: bool = False) -> Workflow:
    """Return a workflow; with `lock`, whoever else locks it waits until this transaction ends.

    Raises:
        WorkflowNotFound: the tenant has none of this id.
    """
    query = sa.select(workflow).where(workflow.c.tenant == unit.tenant, workflow.c.workflow_id == workflow_id)
    row = (await unit.execute(query.with_for_update() if lock else query)).one_or_none()
    if row is None:
        raise WorkflowNotFound("there is no such workflow", workflow_id=workflow_id)
    heads = await unit.execute(
        _HEADS.where(stage_record.c.tenant == unit.tenant, stage_record.c.workflow_id == workflow_id)
        .where(stage_record.c.number <= row.record_count)
        .order_by(stage_record.c.number)
    )
    return Workflow(row.workflow_id, _subject(row), tuple(map(_head, heads)))


async def contents(unit: UnitOfWork, heads: Iterable[RecordHead]) -> Mapping[Stage, bytes]:
    """Return what records of different stages hold, by stage."""
    ids = [head.record_id for head in heads]
    query = sa.select(stage_record.c.stage, stage_record.c.content).where(
        stage_record.c.tenant == unit.tenant, stage_record.c.record_id.in_(ids)
    )
    return {Stage(row.stage): row.content for row in await unit.execute(query)}


async def disown(unit: UnitOfWork, person_id: str) -> None:
    """Take a person from the workflows that they own."""
    theirs = sa.and_(workflow.c.tenant == unit.tenant, workflow.c.owner_id == person_id)
    await unit.execute(sa.update(workflow).where(theirs).values(owner_id=""))


async def contents_by(unit: UnitOfWork, person_id: str, *, after: Place | None, limit: int) -> list[StoredContent]:
    """Return up to `limit` records that a person made, behind a place."""
    record = stage_record.c
    place = sa.tuple_(record.workflow_id, record.number)
    query = (
        sa.select(record.workflow_id, record.number, record.record_id, record.stage, record.content)
        .where(record.tenant == unit.tenant, record.actor_type == CallerType.USER, record.actor_id == person_id)
        .order_by(record.workflow_id, record.number)
        .limit(limit)
    )
    if after is not None:
        workflow_id, number = after
        query = query.where(place > sa.tuple_(sa.literal(workflow_id, record.workflow_id.type), number))
    rows = await unit.execute(query)
    return [StoredContent((row.workflow_id, row.number), row.record_id, Stage(row.stage), row.content) for row in rows]


async def blank_record(unit: UnitOfWork, person_id: str, record_id: str, content: bytes) -> None:
    """Take a person from a record that they made, and put in its content what is left of it."""
    blank = sa.text("SELECT blank_stage_record(:tenant, :record_id, :person_id, :content)")
    parameters = {"tenant": unit.tenant, "record_id": record_id, "person_id": person_id, "content": content}
    await unit.execute(blank, parameters)


async def newest_first(
    unit: UnitOfWork, wanted: WorkflowFilter, *, before: str | None, limit: int
) -> list[WorkflowOutline]:
    """Return workflows that match every condition, newest first, older than the workflow `before`."""
    query = sa.select(workflow).where(workflow.c.tenant == unit.tenant)
    for column, value in (
        (workflow.c.claim_id, wanted.claim_id),
        (workflow.c.document_id, wanted.document_id),
        (workflow.c.owner_id, wanted.owner_id),
        (workflow.c.state, wanted.state),
    ):
        if value is not None:
            query = query.where(column == value)
    if wanted.start_time is not None:
        query = query.where(workflow.c.create_time >= wanted.start_time)
    if wanted.end_time is not None:
        query = query.where(workflow.c.create_time < wanted.end_time)
    if before is not None:
        query = query.where(workflow.c.workflow_id < before)
    rows = await unit.execute(query.order_by(workflow.c.workflow_id.desc()).limit(limit))
    return [_outline(row) for row in rows]


def _progress(recorded: Workflow) -> dict[str, Any]:
    outline = recorded.outline()
    return {
        "state": outline.state,
        "record_count": len(recorded.records),
        "update_time": outline.update_time,
        "last_event_id": outline.last_event_id,
    }


def _subject(row: sa.Row[Any]) -> Subject:
    return Subject(row.document_id, row.document_name, row.claim_id, row.owner_id)


def _outline(row: sa.Row[Any]) -> WorkflowOutline:
    return WorkflowOutline(
        workflow_id=row.workflow_id,
        subject=_subject(row),
        state=State(row.state),
        create_time=row.create_time,
        update_time=row.update_time,
        etag=str(row.record_count),
        last_event_id=row.last_event_id,
    )


def _head(row: sa.Row[Any]) -> RecordHead:
    return RecordHead(
        record_id=row.record_id,
        stage=Stage(row.stage),
        revision=row.revision,
        based_on=row.based_on,
        actor=Actor(CallerType(row.actor_type), row.actor_id),
        create_time=row.create_time,
        event_id=row.event_id,
    )
