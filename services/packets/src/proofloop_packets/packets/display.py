"""Turn a snapshot into the words and figures the summary prints: strings, printable, bounded in length."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeAlias

from proofloop_packets.packets.wording import LONG_LINE, line, moment, money, paragraph, words

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from proofloop_packets.packets.snapshot import (
        AiSummary,
        ClaimPart,
        EvidencePart,
        ExportPart,
        FinalStage,
        InitialStage,
        ModificationStage,
        PromptPart,
        Snapshot,
        StageRecord,
        TimelineEntry,
    )

Shown: TypeAlias = str | list["Shown"] | dict[str, "Shown"]
Row: TypeAlias = list[Shown]
"""A label and what stands beside it."""

_FACTS = 12
_ITEMS = 12
_CHANGES = 200
_MARKS = {
    "encrypted": "a password or key is needed to read it",
    "truncated": "the end its format demands is missing",
    "malformed": "it breaks the rules of its format",
    "oversized_content": "too large in content to be read in full",
    "active_content": "it carries a script, macro or program, which was not run",
}


def displayed(snapshot: Snapshot, thumbnails: Mapping[str, str]) -> dict[str, Shown]:
    """The snapshot as the summary's layout wants it.

    ``thumbnails`` gives the file name of a picture for some evidence ids.
    """
    exhibits = {item["evidence_id"]: number for number, item in enumerate(snapshot["evidence"], 1)}
    labels = _labels(snapshot, exhibits)
    return {
        "packet_id": snapshot["packet_id"],
        "claim_id": snapshot["claim_id"],
        "tenant": line(snapshot["tenant"]),
        "title": line(snapshot["title"]),
        "cutoff": moment(snapshot["cutoff_time"]),
        "counts": [
            _count(len(snapshot["evidence"]), "evidence file"),
            _count(len(snapshot["prompts"]), "prompt"),
            _count(len(snapshot["exports"]), "export"),
            _count(len(snapshot["timeline"]), "audit log entry", "audit log entries"),
        ],
        "claim": _claim(snapshot["claim"]),
        "evidence": [
            _exhibit(item, str(number), thumbnails.get(item["evidence_id"], ""), snapshot["timeline"])
            for number, item in enumerate(snapshot["evidence"], 1)
        ],
        "prompts": [_prompt(item) for item in snapshot["prompts"]],
        "exports": [_export(item, labels) for item in snapshot["exports"]],
        "timeline": [_entry(item, labels) for item in snapshot["timeline"]],
    }


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def _labels(snapshot: Snapshot, exhibits: Mapping[str, int]) -> dict[str, str]:
    """What an id in the timeline means to a reader of this summary."""
    labels = {snapshot["claim_id"]: "Claim", snapshot["packet_id"]: "This packet"}
    labels |= {evidence_id: f"Exhibit {number}" for evidence_id, number in exhibits.items()}
    labels |= {item["prompt_id"]: f"Prompt {number}" for number, item in enumerate(snapshot["prompts"], 1)}
    labels |= {item["workflow_id"]: f"Export {number}" for number, item in enumerate(snapshot["exports"], 1)}
    return labels


def _claim(claim: ClaimPart) -> dict[str, Shown]:
    facts = claim["facts"]
    rows: list[Row] = [
        ["Kind", words(claim["kind"])],
        ["State at cut-off", words(claim["state"])],
        ["Owner", line(claim["owner_id"])],
        ["Opened", moment(claim["create_time"])],
    ]
    return {
        "rows": [*rows],
        "groups": [
            ["Amounts", [[words(item["name"]), money(item["amount"])] for item in facts["amounts"]]],
            ["Identifiers", [[words(item["kind"]), line(item["value"])] for item in facts["identifiers"]]],
            ["Dates", [[words(item["name"]), line(item["date"])] for item in facts["dates"]]],
            ["Parties", [[words(item["role"]), line(item["name"])] for item in facts["parties"]]],
        ],
        "narrative": paragraph(facts["narrative"]),
    }


def _exhibit(item: EvidencePart, number: str, thumbnail: str, timeline: Iterable[TimelineEntry]) -> dict[str, Shown]:
    custody = [entry for entry in timeline if entry["entity_id"] == item["evidence_id"]]
    return {
        "number": number,
        "name": line(item["file_name"]),
        "path": line(f"data/{item['path']}"),
        "type": line(item["media_type"]),
        "size": f"{item['size']:,} bytes",
        "sha256": item["sha256"],
        "md5": item["md5"],
        "uploaded": moment(item["upload_time"]),
        "by": line(item["uploaded_by"]),
        "facts": [[words(name), _fact(value)] for name, value in list(item["metadata"].items())[:_FACTS]],
        "marks": [[words(mark), _MARKS.get(mark, "")] for mark in item["marks"]],
        "thumbnail": thumbnail,
        "custody": [
            {
                "time": moment(entry["time"]),
                "what": words(entry["action"]),
                "by": line(entry["actor"]),
                "index": f"{entry['index']}",
            }
            for entry in custody
        ],
    }


def _fact(value: Any) -> str:
    match value:
        case dict():
            return line("; ".join(f"{words(str(name))}: {_fact(part)}" for name, part in value.items()))
        case list():
            more = f" and {len(value) - _ITEMS} more" if len(value) > _ITEMS else ""
            separator = " · " if any(isinstance(part, dict) for part in value) else ", "
            return line(separator.join(_fact(part) for part in value[:_ITEMS]), LONG_LINE) + more
        case float() if value.is_integer():
            return f"{int(value):,}"
        case int() | float():
            return f"{value:,}"
        case _:
            return line(str(value))


def _prompt(item: PromptPart) -> dict[str, Shown]:
    answer = item.get("answer")
    chosen = set(answer["option_ids"]) if answer else set()
    shown: dict[str, Shown] = {
        "question": paragraph(item["question"]),
        "state": words(item["state"]),
        "asked": moment(item["create_time"]),
        "assignee": line(item["assignee_id"]),
        "options": [
            [line(option["text"]), "chosen" if option["option_id"] in chosen else ""] for option in item["options"]
        ],
    }
    if answer:
        shown["answer"] = {
            "text": paragraph(answer.get("text", "")),
            "by": line(answer["answered_by"]),
            "time": moment(answer["answer_time"]),
            "shown_sha256": answer["shown_sha256"],
        }
    return shown


def _export(item: ExportPart, labels: Mapping[str, str]) -> dict[str, Shown]:
    stages: list[Shown] = [_initial(item["initial"])]
    if modifications := item.get("modifications"):
        stages.append(_modified(modifications))
    if final := item.get("final"):
        stages.append(_final(final))
    return {
        "document": line(labels.get(item["document_id"], item["document_id"])),
        "document_type": words(item["initial"]["document_type"]),
        "state": words(item["state"]),
        "workflow_id": line(item["workflow_id"]),
        "stages": stages,
    }


def _recorded(record: StageRecord) -> str:
    revision = f", revision {record['revision']}" if record["revision"] > 1 else ""
    return f"Recorded {moment(record['create_time'])} by {line(record['actor_id'])}{revision}"


def _summary_rows(summary: AiSummary) -> list[Row]:
    return [
        ["Model", line(summary["model"])],
        ["Template version", line(summary["template_version"])],
        ["Written", moment(summary["generate_time"])],
        ["Confidence", line(summary["confidence"])],
    ]


def _initial(stage: InitialStage) -> dict[str, Shown]:
    rows: list[Row] = [
        ["Extraction", line(stage["extraction_method"])],
        ["Extraction confidence", line(stage["confidence"])],
        ["Fields extracted", f"{stage['field_count']:,}"],
        *_summary_rows(stage["summary"]),
    ]
    return {
        "name": "Initial AI summary",
        "recorded": _recorded(stage["record"]),
        "rows": [*rows],
        "hashes": [["Extracted data", stage["extracted_data_sha256"]]],
        "text": paragraph(stage["summary"]["text"]),
    }


def _modified(stage: ModificationStage) -> dict[str, Shown]:
    rows: list[Row] = [
        ["Fields edited", f"{stage['fields_edited']:,}"],
        ["Time spent", f"{line(stage['seconds'])} s"],
    ]
    if instructions := stage.get("instructions"):
        rows.append(["Instructions", line(instructions, LONG_LINE)])
    changes = stage["changes"]
    shown: dict[str, Shown] = {
        "name": "User modifications",
        "recorded": _recorded(stage["record"]),
        "rows": [*rows],
        "hashes": [["Modified data", stage["modified_data_sha256"]]],
        "changes": [
            [
                words(change["kind"]),
                line(change["path"]),
                line(change.get("old_json", "")),
                line(change.get("new_json", "")),
            ]
            for change in changes[:_CHANGES]
        ],
    }
    if len(changes) > _CHANGES:
        shown["more"] = f"{len(changes) - _CHANGES:,} further changes stand in packet.json."
    return shown


def _final(stage: FinalStage) -> dict[str, Shown]:
    deliverable = stage["deliverable"]
    rows: list[Row] = [
        ["Deliverable", line(deliverable["file_name"])],
        ["Media type", line(deliverable["media_type"])],
        ["Size", f"{deliverable['size']:,} bytes"],
        *_summary_rows(stage["summary"]),
    ]
    if accuracy := stage.get("ai_accuracy"):
        rows.append(["AI accuracy", line(accuracy)])
    if quality := stage.get("final_quality"):
        rows.append(["Final quality", line(quality)])
    return {
        "name": "Final summary and deliverable",
        "recorded": _recorded(stage["record"]),
        "rows": [*rows],
        "hashes": [["Deliverable", deliverable["sha256"]]],
        "text": paragraph(stage["summary"]["text"]),
    }


def _entry(item: TimelineEntry, labels: Mapping[str, str]) -> dict[str, Shown]:
    return {
        "time": moment(item["time"]),
        "what": words(item["action"]),
        "action": line(item["action"]),
        "by": line(item["actor"]),
        "about": line(labels.get(item["entity_id"], words(item["entity_type"]))),
        "outcome": words(item["outcome"]),
        "index": f"{item['index']}",
        "leaf": item["leaf_hash"],
    }


def encoded(shown: Mapping[str, Shown]) -> bytes:
    """The model as the JSON the layout reads."""
    return json.dumps(shown, ensure_ascii=False).encode()
