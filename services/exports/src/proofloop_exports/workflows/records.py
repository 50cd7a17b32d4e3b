"""What the stages of a workflow record; none of it changes once it is recorded."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from enum import IntEnum

from proofloop_runtime.events import Actor

from proofloop_exports.workflows.changes import ChangeKind
from proofloop_exports.workflows.documents import Document


class Stage(IntEnum):
    """One of the three stages; the numbers are those of the contract."""

    INITIAL_SUMMARY = 1
    USER_MODIFICATIONS = 2
    FINAL_DELIVERABLE = 3


class Format(IntEnum):
    """The file format of a deliverable; the numbers are those of the contract."""

    JSON = 1
    CSV = 2
    XLSX = 3
    PDF = 4
    DOCX = 5
    HTML = 6


class Template(IntEnum):
    """What a deliverable shows of the final data; the numbers are those of the contract."""

    EXECUTIVE_SUMMARY = 1
    DETAILED = 2
    LEDGER = 3


MEDIA_TYPES = {
    Format.JSON: "application/json",
    Format.CSV: "text/csv; charset=utf-8; header=present",
    Format.XLSX: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    Format.PDF: "application/pdf",
    Format.DOCX: "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    Format.HTML: "text/html; charset=utf-8",
}


@dataclass(frozen=True, slots=True)
class Source:
    """Where extracted data came from; confidence from 0 to 1."""

    document_type: str
    extraction_method: str
    confidence: Decimal


@dataclass(frozen=True, slots=True)
class AiMetadata:
    """How an AI result came to be; confidence from 0 to 1."""

    model: str
    template_version: str
    generate_time: datetime
    duration: timedelta
    prompt_tokens: int
    completion_tokens: int
    confidence: Decimal


@dataclass(frozen=True, slots=True)
class Summary:
    """A text that an AI wrote, and how."""

    text: str
    ai_metadata: AiMetadata


@dataclass(frozen=True, slots=True)
class Preferences:
    """What a person wants of the deliverable."""

    instructions: str
    format: Format
    template: Template


@dataclass(frozen=True, slots=True)
class UserActions:
    """How a person worked on the data, as their client counted it."""

    fields_edited: int
    duration: timedelta

    @property
    def edits_per_minute(self) -> Decimal | None:
        """`60 · fields edited / seconds` to 2 places, half to even; None when no time was counted."""
        if not self.duration:
            return None
        microseconds = Decimal(self.duration // timedelta(microseconds=1))
        return (60_000_000 * self.fields_edited / microseconds).quantize(Decimal("0.01"), ROUND_HALF_EVEN)


@dataclass(frozen=True, slots=True)
class RecordHead:
    """Which record it is, who made it and when; `based_on` is the record of the stage before."""

    record_id: str
    stage: Stage
    revision: int
    based_on: str | None
    actor: Actor
    create_time: datetime
    event_id: str


@dataclass(frozen=True, slots=True)
class InitialSummary:
    """The record of stage 1."""

    head: RecordHead
    source: Source
    field_count: int
    extracted: Document
    ai_summary: Summary


@dataclass(frozen=True, slots=True)
class ChangeLine:
    """A change as it is recorded: its place as JSON Pointer, values as JSON text, None for what is not there."""

    kind: ChangeKind
    path: str
    old_json: str | None
    new_json: str | None


@dataclass(frozen=True, slots=True)
class Changes:
    """The computed changes between two documents; `patch_json` is a JSON Patch (RFC 6902)."""

    patch_json: str
    lines: tuple[ChangeLine, ...]


@dataclass(frozen=True, slots=True)
class UserModifications:
    """The record of stage 2; its modified document is the final data."""

    head: RecordHead
    original: Document
    modified: Document
    preferences: Preferences
    user_actions: UserActions
    changes: Changes


@dataclass(frozen=True, slots=True)
class Deliverable:
    """A file that a workflow led to; `stored` says whether this service keeps its bytes."""

    file_name: str
    format: Format
    template: Template
    size: int
    sha256: str
    stored: bool

    @property
    def media_type(self) -> str:
        """The media type of its format."""
        return MEDIA_TYPES[self.format]


@dataclass(frozen=True, slots=True)
class WorkflowSummary:
    """How a workflow went; the formulas stand in the contract."""

    total_time: timedelta
    ai_accuracy: Decimal
    final_quality: Decimal


@dataclass(frozen=True, slots=True)
class FinalDeliverable:
    """The record of stage 3."""

    head: RecordHead
    final_summary: Summary
    deliverable: Deliverable
    workflow_summary: WorkflowSummary


StageRecord = InitialSummary | UserModifications | FinalDeliverable
"""The record of any stage."""
