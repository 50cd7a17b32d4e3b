"""The shape of ``packet.json``: everything a packet says, fixed at its cut-off.

All times are RFC 3339 in UTC, ids are UUIDs, hashes lower-case hex, decimals and money strings, so that
no reader rounds them. What is not known is left out, except where a field's comment says otherwise.
"""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict


class Money(TypedDict):
    """An exact amount."""

    amount: str
    """A decimal, e.g. ``"478.80"``."""
    currency: str
    """ISO 4217."""


class Identifier(TypedDict):
    """A number or code by which the matter is known somewhere, e.g. kind ``fba_shipment_id``."""

    kind: str
    value: str


class NamedAmount(TypedDict):
    """An amount the claim speaks of, e.g. name ``claimed``."""

    name: str
    amount: Money


class NamedDate(TypedDict):
    """A day the claim speaks of, e.g. name ``delivered``."""

    name: str
    date: str
    """``YYYY-MM-DD``."""


class Party(TypedDict):
    """Somebody with a part in it, e.g. role ``carrier``."""

    role: str
    name: str


class ClaimFacts(TypedDict):
    """What the claim asserts."""

    narrative: str
    """May be empty."""
    identifiers: list[Identifier]
    amounts: list[NamedAmount]
    dates: list[NamedDate]
    parties: list[Party]


class ClaimPart(TypedDict):
    """The claim as it stood at the cut-off."""

    claim_id: str
    title: str
    kind: str
    """Snake case, e.g. ``fba_lost_inbound``."""
    state: str
    """Lower-case, e.g. ``evidence_pending``."""
    owner_id: str
    create_time: str
    facts: ClaimFacts


class EvidencePart(TypedDict):
    """One file of evidence; its number in the list, from 1, is its exhibit number."""

    evidence_id: str
    file_name: str
    """As uploaded."""
    path: str
    """Below the bag's ``data/``, e.g. ``evidence/invoice.pdf``."""
    media_type: str
    size: int
    """Bytes."""
    sha256: str
    md5: str
    upload_time: str
    uploaded_by: str
    metadata: dict[str, Any]
    """Facts as the inspection of evidence documents them."""
    marks: list[str]


class PromptOption(TypedDict):
    """One of the answers offered."""

    option_id: str
    text: str


class PromptAnswer(TypedDict):
    """What a person answered."""

    option_ids: list[str]
    """The options chosen; empty where the answer is free text alone."""
    text: NotRequired[str]
    answered_by: str
    answer_time: str
    shown_sha256: str
    """SHA-256 of exactly what the person was shown."""


class PromptPart(TypedDict):
    """A question to a person, with the answer where there is one."""

    prompt_id: str
    state: str
    question: str
    options: list[PromptOption]
    assignee_id: str
    create_time: str
    answer: NotRequired[PromptAnswer]


class StageRecord(TypedDict):
    """Who recorded a stage, and when."""

    record_id: str
    revision: int
    actor_id: str
    create_time: str


class AiSummary(TypedDict):
    """A text a model wrote, and how."""

    text: str
    model: str
    template_version: str
    generate_time: str
    confidence: str
    """A decimal from 0 to 1."""


class InitialStage(TypedDict):
    """Stage 1: what was extracted and first summarised."""

    record: StageRecord
    document_type: str
    extraction_method: str
    confidence: str
    field_count: int
    extracted_data_sha256: str
    summary: AiSummary


class Change(TypedDict):
    """One difference between the original and the modified document (paths as in RFC 6901)."""

    kind: Literal["addition", "modification", "deletion"]
    path: str
    old_json: NotRequired[str]
    """JSON text; absent in an addition."""
    new_json: NotRequired[str]
    """JSON text; absent in a deletion."""


class ModificationStage(TypedDict):
    """Stage 2: what a person changed."""

    record: StageRecord
    modified_data_sha256: str
    changes: list[Change]
    fields_edited: int
    seconds: str
    """A decimal: how long the person edited."""
    instructions: NotRequired[str]


class Deliverable(TypedDict):
    """The document that was made."""

    file_name: str
    media_type: str
    size: int
    """Bytes."""
    sha256: str


class FinalStage(TypedDict):
    """Stage 3: the final text and the deliverable."""

    record: StageRecord
    summary: AiSummary
    deliverable: Deliverable
    ai_accuracy: NotRequired[str]
    """A decimal from 0 to 1."""
    final_quality: NotRequired[str]
    """A decimal from 0 to 1."""


class ExportPart(TypedDict):
    """How one AI-made document came to be; later stages are absent until they are recorded."""

    workflow_id: str
    document_id: str
    """An evidence id, or an id from outside."""
    state: str
    initial: InitialStage
    modifications: NotRequired[ModificationStage]
    final: NotRequired[FinalStage]


class TimelineEntry(TypedDict):
    """One entry of the audit log about the claim, in claim order."""

    time: str
    service: str
    action: str
    actor: str
    entity_type: str
    entity_id: str
    outcome: str
    index: int
    """In the tenant's log."""
    leaf_hash: str


class Snapshot(TypedDict):
    """The whole of ``packet.json``."""

    v: Literal[1]
    packet_id: str
    claim_id: str
    tenant: str
    title: str
    cutoff_time: str
    claim: ClaimPart
    evidence: list[EvidencePart]
    prompts: list[PromptPart]
    exports: list[ExportPart]
    timeline: list[TimelineEntry]
