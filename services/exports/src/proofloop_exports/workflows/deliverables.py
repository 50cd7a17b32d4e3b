"""Making deliverables, keeping them under the hash of their bytes, and handing them out."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from proofloop_runtime import telemetry as spans
from proofloop_runtime.call import current
from proofloop_runtime.database import Database, UnitOfWork
from proofloop_runtime.errors import DomainError
from proofloop_runtime.objects import ObjectNotFound, ObjectStore
from proofloop_runtime.ports import Ids

from proofloop_exports import access, telemetry
from proofloop_exports.errors import DeliverableCorrupt, EtagStale
from proofloop_exports.workflows import handlers, store
from proofloop_exports.workflows.documents import Document
from proofloop_exports.workflows.domain import FullWorkflow
from proofloop_exports.workflows.handlers import File, Target
from proofloop_exports.workflows.records import MEDIA_TYPES, Deliverable, Format, Stage, Summary, Template
from proofloop_exports.workflows.rendering import render


@dataclass(frozen=True, slots=True)
class Kept:
    """A rendered file that is in the object store, and the record of stage 2 that it shows."""

    based_on: str
    file: File


async def prepare(
    database: Database,
    objects: ObjectStore,
    *,
    target: Target,
    summary: Summary,
    format_: Format | None,
    template: Template | None,
) -> Kept | DomainError:
    """Render and keep what stage 3 is to record, before the transaction that records it.

    What stands in the way is returned, not raised: a repetition of a call that was answered needs no file.
    """
    try:
        async with database.transaction() as unit:
            workflow = await store.get(unit, target.workflow_id)
            access.must_record(current().caller, workflow.subject.owner_id)
            workflow.admit(Stage.FINAL_DELIVERABLE, new_revision=target.new_revision, etag=target.etag)
            modifications = (await handlers.load(unit, workflow)).user_modifications
        if modifications is None:
            raise AssertionError("stage 3 was admitted without stage 2")
        format_ = format_ or modifications.preferences.format
        template = template or modifications.preferences.template
        attributes = {telemetry.FORMAT: format_.name.lower(), telemetry.TEMPLATE: template.name.lower()}
        with spans.span(telemetry.RENDER_SPAN, attributes=attributes) as span:
            content, sha256 = await asyncio.to_thread(
                _rendered, modifications.modified, summary.text, template, format_
            )
            span.set_attribute(telemetry.DELIVERABLE_SIZE, len(content))
        telemetry.deliverable_size.record(len(content))
        await objects.put(
            _key(sha256), content, media_type=MEDIA_TYPES[format_], file_name=f"{sha256}.{format_.name.lower()}"
        )
    except DomainError as error:
        return error
    return Kept(modifications.head.record_id, File(format_, template, len(content), sha256, stored=True))


async def record(
    unit: UnitOfWork, ids: Ids, *, target: Target, final_summary: Summary, prepared: Kept | DomainError
) -> FullWorkflow:
    """Record stage 3 with a prepared file.

    Raises:
        DomainError: what stood in the way of preparing it, or as `handlers.record_final_deliverable`.
        EtagStale: stage 2 was revised while the file was made.
    """
    if isinstance(prepared, DomainError):
        raise prepared
    full = await handlers.record_final_deliverable(
        unit, ids, target=target, final_summary=final_summary, file=prepared.file
    )
    if full.workflow.records[-1].based_on != prepared.based_on:
        raise EtagStale("stage 2 was revised while the deliverable was made", etag=full.workflow.etag)
    return full


async def stream(objects: ObjectStore, deliverable: Deliverable) -> AsyncIterator[bytes]:
    """Yield a deliverable's bytes; the last piece only once they are known to be those that were recorded.

    Raises:
        DeliverableCorrupt: they are missing, or they are not.
    """
    digest = hashlib.sha256()
    held: bytes | None = None
    try:
        pieces = await objects.get(_key(deliverable.sha256))
    except ObjectNotFound as error:
        raise _corrupt(deliverable) from error
    async for piece in pieces:
        if held is not None:
            yield held
        digest.update(piece)
        held = piece
    if held is None or digest.hexdigest() != deliverable.sha256:
        raise _corrupt(deliverable)
    yield held


def _rendered(final_data: Document, summary: str, template: Template, format_: Format) -> tuple[bytes, str]:
    content = render(final_data.value, summary, template, format_)
    return content, hashlib.sha256(content).hexdigest()


def _key(sha256: str) -> str:
    return f"{current().caller.tenant}/deliverables/{sha256}"


def _corrupt(deliverable: Deliverable) -> DeliverableCorrupt:
    return DeliverableCorrupt("the stored deliverable is not what was recorded", sha256=deliverable.sha256)
