"""`packet.json`: what a packet tells, put together and written down.

The text is the same for the same content, for its hash goes into the audit log.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from proofloop.audit.v1 import log_pb2
from proofloop.exports.v1 import workflows_pb2
from proofloop.prompts.v1 import prompts_pb2
from proofloop_verifier.leaf import Outcome

from proofloop_packets.claims import facts
from proofloop_packets.claims.domain import Claim
from proofloop_packets.evidence.domain import Evidence
from proofloop_packets.packets.names import unique_names
from proofloop_packets.packets.snapshot import ClaimPart, EvidencePart, Snapshot, TimelineEntry
from proofloop_packets.packets.sources import export_part, moment, prompt_part

_OUTCOMES = {
    log_pb2.OUTCOME_SUCCESS: Outcome.SUCCESS,
    log_pb2.OUTCOME_FAILURE: Outcome.FAILURE,
    log_pb2.OUTCOME_DENIED: Outcome.DENIED,
}


@dataclass(frozen=True, slots=True)
class Found:
    """What was found about a claim, before it is told.

    Attributes:
        claim: The claim.
        evidence: Its files, oldest first.
        packet_event_ids: The events of its packets, this one's and all others'.
        prompts: The prompts about it, oldest first.
        workflows: Its exports, oldest first.
    """

    claim: Claim
    evidence: Sequence[Evidence]
    packet_event_ids: Sequence[str]
    prompts: Sequence[prompts_pb2.Prompt]
    workflows: Sequence[workflows_pb2.Workflow]

    @property
    def event_ids(self) -> Sequence[str]:
        """Return every event of everything found: the log may hold a later one of a thing and still lack an earlier."""
        return [
            # A claim and a file never change, so that the last event of each is its only one.
            self.claim.last_event_id,
            *(each.last_event_id for each in self.evidence),
            *self.packet_event_ids,
            *(change.event_id for each in self.prompts for change in each.changes),
            *(record.event_id for each in self.workflows for record in each.records),
        ]


def tell(packet_id: str, tenant: str, found: Found, entries: Sequence[log_pb2.Entry], time: datetime) -> bytes:
    """Return `packet.json`: JSON in UTF-8, indented for people."""
    snapshot: Snapshot = {
        "v": 1,
        "packet_id": packet_id,
        "claim_id": found.claim.claim_id,
        "tenant": tenant,
        "title": found.claim.title,
        "cutoff_time": _moment(time),
        "claim": _claim(found.claim),
        "evidence": _evidence(found.evidence),
        "prompts": [prompt_part(each) for each in found.prompts],
        "exports": [export_part(each) for each in found.workflows],
        "timeline": [_entry(each) for each in entries],
    }
    return (json.dumps(snapshot, ensure_ascii=False, indent=2) + "\n").encode()


def _claim(claim: Claim) -> ClaimPart:
    return {
        "claim_id": claim.claim_id,
        "title": claim.title,
        "kind": claim.kind,
        "state": claim.state,
        "owner_id": claim.owner_id,
        "create_time": _moment(claim.create_time),
        "facts": facts.to_json(claim.facts),
    }


def _evidence(files: Sequence[Evidence]) -> list[EvidencePart]:
    names = unique_names(each.file_name for each in files)
    return [
        {
            "evidence_id": each.evidence_id,
            "file_name": each.file_name,
            "path": f"evidence/{name}",
            "media_type": each.media_type,
            "size": each.size,
            "sha256": each.sha256,
            "md5": each.md5,
            "upload_time": _moment(each.create_time),
            "uploaded_by": each.uploaded_by,
            "metadata": dict(each.metadata),
            "marks": list(each.marks),
        }
        for each, name in zip(files, names, strict=True)
    ]


def _entry(entry: log_pb2.Entry) -> TimelineEntry:
    return {
        "time": moment(entry.event_time),
        "service": entry.service,
        "action": entry.action,
        "actor": entry.actor.id,
        "entity_type": entry.entity_type,
        "entity_id": entry.entity_id,
        "outcome": _OUTCOMES[entry.outcome],
        "index": entry.index,
        "leaf_hash": entry.leaf_hash.hex(),
    }


def _moment(time: datetime) -> str:
    return time.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
