"""An entry as an event of the Open Cybersecurity Schema Framework: OCSF 1.3.0, class API Activity (6003).

An entry says who did what to which entity, with which outcome; that is what this class is for. What the class has no
attribute for stands in `unmapped`, and the leaf itself in `raw_data`: its hash can be checked there too.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

from proofloop_verifier.leaf import Leaf, Outcome, parse_personal_part

from proofloop_audit.log import lines
from proofloop_audit.log.domain import PersonalPart
from proofloop_audit.log.store import EntryRow

VERSION = "1.3.0"

_CLASS = 6003
_EPOCH = datetime.fromtimestamp(0, UTC)
_ACTIVITIES = {
    "created": 1,
    "appended": 1,
    "uploaded": 1,
    "downloaded": 2,
    "exported": 2,
    "viewed": 2,
    "updated": 3,
    "erased": 4,
    "deleted": 4,
}
"""Verbs of actions that are one of the class's own: create, read, update, delete."""
_OTHER = 99
_USER_TYPES = {"user": (1, "User"), "service": (_OTHER, "Service")}
_STATUSES = {Outcome.SUCCESS: (1, "Success"), Outcome.FAILURE: (2, "Failure"), Outcome.DENIED: (2, "Failure")}


def write(row: EntryRow, part: PersonalPart) -> bytes:
    """Return the event as a line of JSON; attributes of which nothing is known are left out."""
    leaf = Leaf.parse(row.leaf)
    personal = parse_personal_part(part.part) if part.part else {}
    verb = leaf.action.rpartition(".")[2]
    activity = _ACTIVITIES.get(verb, _OTHER)
    status_id, status = _STATUSES[leaf.outcome]
    event = {
        "activity_id": activity,
        "activity_name": verb,
        "category_uid": 6,
        "category_name": "Application Activity",
        "class_uid": _CLASS,
        "class_name": "API Activity",
        "type_uid": _CLASS * 100 + activity,
        "severity_id": 1,
        "severity": "Informational",
        "time": _milliseconds(leaf.event_time),
        "status_id": status_id,
        "status": status,
        "status_code": leaf.outcome,
        "status_detail": personal.get("reason"),
        "metadata": _metadata(row.index, leaf),
        "actor": _actor(leaf, part.pseudonym, personal),
        "api": {"operation": leaf.action, "service": {"name": leaf.service}},
        "src_endpoint": {"ip": personal["ip_address"]} if "ip_address" in personal else {"svc_name": leaf.service},
        "http_request": {"user_agent": personal["user_agent"]} if "user_agent" in personal else None,
        "resources": [{"type": leaf.entity_type, "uid": leaf.entity_id}],
        "unmapped": _unmapped(row, leaf, personal),
        "raw_data": row.leaf.decode(),
    }
    return lines.dump(_known(event))


def _metadata(index: int, leaf: Leaf) -> dict[str, Any]:
    return _known(
        {
            "version": VERSION,
            "product": {"name": "Proofloop", "vendor_name": "Proofloop"},
            "uid": leaf.entry_id,
            "sequence": index,
            "event_code": leaf.action,
            "log_name": "audit",
            "log_provider": leaf.service,
            "logged_time": _milliseconds(leaf.append_time),
            "original_time": leaf.event_time.isoformat(timespec="microseconds"),
            "tenant_uid": leaf.tenant,
            "correlation_uid": leaf.correlation_id,
        }
    )


def _actor(leaf: Leaf, pseudonym: str, personal: dict[str, str]) -> dict[str, Any]:
    user: dict[str, Any] = {"uid": personal.get("actor_id", pseudonym), "uid_alt": pseudonym}
    if personal:
        user["type_id"], user["type"] = _USER_TYPES[personal["actor_type"]]
    return _known({"user": user, "session": None if leaf.session_id is None else {"uid": leaf.session_id}})


def _unmapped(row: EntryRow, leaf: Leaf, personal: dict[str, str]) -> dict[str, Any]:
    claim = leaf.claim
    return _known(
        {
            "index": row.index,
            "leaf_hash": row.leaf_hash.hex(),
            "claim_id": None if claim is None else claim.claim_id,
            "claim_sequence": None if claim is None else claim.sequence,
            "trace_id": leaf.trace_id,
            "details_json": personal.get("details"),
        }
    )


def _known(members: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}


def _milliseconds(time: datetime) -> int:
    return (time - _EPOCH) // timedelta(milliseconds=1)
