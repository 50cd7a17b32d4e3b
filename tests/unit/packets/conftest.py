import hashlib
from typing import Any

import pytest

Json = dict[str, Any]


def uuid(number: int) -> str:
    return f"0199a0b4-7c1e-7000-8000-{number:012x}"


def digest(of: object) -> str:
    return hashlib.sha256(repr(of).encode()).hexdigest()


def _evidence(number: int) -> Json:
    return {
        "evidence_id": uuid(100 + number),
        "file_name": f"exhibit {number}.pdf",
        "path": f"evidence/exhibit {number}.pdf",
        "media_type": "application/pdf",
        "size": 18_234 + number,
        "sha256": digest(("evidence", number)),
        "md5": digest(number)[:32],
        "upload_time": "2026-03-02T16:05:08.123456Z",
        "uploaded_by": "seller-ops",
        "metadata": {
            "pages": 2,
            "title": "Invoice",
            "attachments": [{"name": "a.csv", "size": 8, "sha256": digest("a")}],
        },
        "marks": ["encrypted"] if number == 0 else [],
    }


def _prompt() -> Json:
    return {
        "prompt_id": uuid(200),
        "state": "answered",
        "question": "Which quantity was received?",
        "options": [{"option_id": "28", "text": "28 units"}, {"option_id": "40", "text": "40 units"}],
        "assignee_id": "seller-ops",
        "create_time": "2026-03-02T16:06:00Z",
        "answer": {
            "option_ids": ["28"],
            "answered_by": "seller-ops",
            "answer_time": "2026-03-02T16:07:40Z",
            "shown_sha256": digest("shown"),
        },
    }


def _export() -> Json:
    record = {
        "record_id": uuid(300),
        "revision": 1,
        "actor_id": "seller-ops",
        "create_time": "2026-03-02T16:08:30Z",
    }
    summary = {
        "text": "40 billed, 28 received.",
        "model": "extractive-1",
        "template_version": "invoice-summary@3",
        "generate_time": "2026-03-02T16:08:00Z",
        "confidence": "0.87",
    }
    return {
        "workflow_id": uuid(400),
        "document_id": uuid(100),
        "state": "completed",
        "initial": {
            "record": record,
            "document_type": "invoice",
            "extraction_method": "layout_text",
            "confidence": "0.93",
            "field_count": 14,
            "extracted_data_sha256": digest("extracted"),
            "summary": summary,
        },
        "modifications": {
            "record": record,
            "modified_data_sha256": digest("modified"),
            "changes": [
                {"kind": "modification", "path": "/received", "old_json": "40", "new_json": "28"},
                {"kind": "addition", "path": "/short", "new_json": "12"},
            ],
            "fields_edited": 2,
            "seconds": "94.5",
        },
        "final": {
            "record": record,
            "summary": summary,
            "deliverable": {
                "file_name": "invoice_detailed_2026-03-02.json",
                "media_type": "application/json",
                "size": 1_832,
                "sha256": digest("deliverable"),
            },
        },
    }


@pytest.fixture
def snapshot() -> Json:
    """The snapshot of a small claim that has one of everything and two exhibits."""
    return {
        "v": 1,
        "packet_id": uuid(1),
        "claim_id": uuid(2),
        "tenant": "acme",
        "title": "12 of 40 units not received",
        "cutoff_time": "2026-03-02T16:10:00.000000Z",
        "claim": {
            "claim_id": uuid(2),
            "title": "12 of 40 units not received",
            "kind": "fba_lost_inbound",
            "state": "evidence_pending",
            "owner_id": "seller-ops",
            "create_time": "2026-03-02T16:05:00Z",
            "facts": {
                "narrative": "Forty units were billed.\nTwenty-eight were received.",
                "identifiers": [{"kind": "fba_shipment_id", "value": "FBA17XK4Q2"}],
                "amounts": [{"name": "claimed", "amount": {"amount": "478.80", "currency": "USD"}}],
                "dates": [{"name": "delivered", "date": "2026-02-12"}],
                "parties": [{"role": "carrier", "name": "Crossfield Freight Lines"}],
            },
        },
        "evidence": [_evidence(0), _evidence(1)],
        "prompts": [_prompt()],
        "exports": [_export()],
        "timeline": [
            {
                "time": "2026-03-02T16:05:08.123456Z",
                "service": "packets",
                "action": action,
                "actor": "seller-ops",
                "entity_type": "evidence",
                "entity_id": uuid(entity),
                "outcome": outcome,
                "index": 17 + entity,
                "leaf_hash": digest(("leaf", entity)),
            }
            for action, entity, outcome in [
                ("claim.created", 2, "success"),
                ("evidence.uploaded", 100, "success"),
                ("evidence.uploaded", 101, "denied"),
            ]
        ],
    }
