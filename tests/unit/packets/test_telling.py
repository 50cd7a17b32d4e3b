"""How what other services say becomes a packet's words."""

import json

from proofloop.audit.v1 import log_pb2
from proofloop.exports.v1 import workflows_pb2
from proofloop.prompts.v1 import prompts_pb2
from proofloop_packets.packets.audit_log import ProvenEntry
from proofloop_packets.packets.sources import export_part, prompt_part

SHOWN = "ab" * 32
SUMMARY = {
    "text": "40 units were billed.",
    "ai_metadata": {
        "model": "extractive-1",
        "template_version": "invoice@1",
        "generate_time": {"seconds": 1_767_225_600, "nanos": 5_000},
        "confidence": "0.93",
    },
}
TOLD_SUMMARY = {
    "text": "40 units were billed.",
    "model": "extractive-1",
    "template_version": "invoice@1",
    "generate_time": "2026-01-01T00:00:00.000005Z",
    "confidence": "0.93",
}


def record(number: int) -> dict:
    return {"record_id": f"r{number}", "revision": 1, "actor_id": "ann", "create_time": {"seconds": 1_767_225_600}}


def test_a_prompt_without_an_answer_tells_none():
    part = prompt_part(prompts_pb2.Prompt(prompt_id="p", state=prompts_pb2.PROMPT_STATE_EXPIRED))
    assert part["state"] == "expired"
    assert "answer" not in part


def test_an_answer_tells_who_gave_it_and_what_they_saw():
    prompt = prompts_pb2.Prompt(
        prompt_id="p",
        assignee_id="ann",
        options=[{"id": "yes", "label": "Yes"}],
        answer={"text": "28", "shown_sha256": SHOWN, "answer_time": {"seconds": 1_767_225_600}},
        changes=[{"state": prompts_pb2.PROMPT_STATE_ANSWERED, "actor_id": "ben"}],
    )
    part = prompt_part(prompt)
    assert part["options"] == [{"option_id": "yes", "text": "Yes"}]
    assert part["answer"] == {
        "option_ids": [],
        "answered_by": "ben",
        "answer_time": "2026-01-01T00:00:00.000000Z",
        "shown_sha256": SHOWN,
        "text": "28",
    }


def test_an_export_tells_its_three_stages_by_hash_change_and_text():
    workflow = workflows_pb2.Workflow(
        workflow_id="w",
        document_id="d",
        state=workflows_pb2.WORKFLOW_STATE_COMPLETED,
        initial_summary={
            "record": record(1),
            "source": {"document_type": "invoice", "extraction_method": "ocr", "confidence": "0.9"},
            "field_count": 3,
            "extracted_data_sha256": "11",
            "ai_summary": SUMMARY,
        },
        user_modifications={
            "record": record(2),
            "modified_data_sha256": "22",
            "user_actions": {"fields_edited": 2, "duration": {"seconds": 90, "nanos": 500_000_000}},
            "preferences": {"instructions": "shorter"},
            "changes": [
                {"kind": workflows_pb2.CHANGE_KIND_ADDITION, "path": "/a", "new_json": "1"},
                {"kind": workflows_pb2.CHANGE_KIND_DELETION, "path": "/b", "old_json": "null"},
                {"kind": workflows_pb2.CHANGE_KIND_MODIFICATION, "path": "/c", "old_json": "1", "new_json": "1.0"},
            ],
        },
        final_deliverable={
            "record": record(3),
            "final_summary": SUMMARY,
            "deliverable": {"file_name": "a.csv", "media_type": "text/csv", "size": 5, "sha256": "33"},
            "workflow_summary": {"ai_accuracy": "0.6667"},
        },
    )
    part = export_part(workflow)
    assert part["state"] == "completed"
    assert part["initial"]["summary"] == TOLD_SUMMARY
    assert part["initial"]["record"] == {
        "record_id": "r1",
        "revision": 1,
        "actor_id": "ann",
        "create_time": "2026-01-01T00:00:00.000000Z",
    }
    assert part["modifications"]["seconds"] == "90.5"
    assert part["modifications"]["instructions"] == "shorter"
    assert part["modifications"]["changes"] == [
        {"kind": "addition", "path": "/a", "new_json": "1"},
        {"kind": "deletion", "path": "/b", "old_json": "null"},
        {"kind": "modification", "path": "/c", "old_json": "1", "new_json": "1.0"},
    ]
    assert part["final"]["deliverable"] == {
        "file_name": "a.csv",
        "media_type": "text/csv",
        "size": 5,
        "sha256": "33",
    }
    assert part["final"]["ai_accuracy"] == "0.6667"
    assert "final_quality" not in part["final"]


def test_an_export_in_its_first_stage_tells_no_later_one():
    part = export_part(workflows_pb2.Workflow(state=workflows_pb2.WORKFLOW_STATE_AWAITING_USER_REVIEW))
    assert part["state"] == "awaiting_user_review"
    assert not {"modifications", "final"} & set(part)


def test_an_entry_discloses_the_parts_that_are_not_erased():
    entry = log_pb2.Entry(
        index=17,
        leaf='{"v":1,"ä":2}'.encode(),
        personal_parts=[
            {"pseudonym": "aa", "salt": b"\x01\x02", "part": '{"actor_id":"ann"}'},
            {"pseudonym": "bb"},
        ],
    )
    line = ProvenEntry(entry, (b"\xff", b"\x00")).line()
    assert "\n" not in line
    assert json.loads(line) == {
        "index": 17,
        "leaf": '{"v":1,"ä":2}',
        "proof": ["ff", "00"],
        "personal": [{"pseudonym": "aa", "salt": "0102", "part": '{"actor_id":"ann"}'}],
    }
