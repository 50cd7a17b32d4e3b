"""Between the contract's messages and the domain."""

from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp
from proofloop.audit.v1 import log_pb2
from proofloop.audit.v1 import log_service_pb2 as contract
from proofloop_runtime.call import CallContext, CallerType
from proofloop_runtime.events import Actor
from proofloop_runtime.telemetry import current_trace_id
from proofloop_verifier.leaf import Leaf, Outcome, parse_personal_part

from proofloop_audit.log.domain import Draft, Entry, EntryFilter, Receipt
from proofloop_audit.log.exporting import Export, Format
from proofloop_audit.log.holds import Hold, HoldScope, ScopeKind
from proofloop_audit.log.importing import Progress

_OUTCOMES = {
    log_pb2.OUTCOME_SUCCESS: Outcome.SUCCESS,
    log_pb2.OUTCOME_FAILURE: Outcome.FAILURE,
    log_pb2.OUTCOME_DENIED: Outcome.DENIED,
}
_OUTCOME_VALUES = {outcome: value for value, outcome in _OUTCOMES.items()}
_ACTORS = {log_pb2.ACTOR_TYPE_USER: CallerType.USER, log_pb2.ACTOR_TYPE_SERVICE: CallerType.SERVICE}
_ACTOR_VALUES = {str(actor): value for value, actor in _ACTORS.items()}


def to_draft(request_id: str, message: log_pb2.EntryDraft, call: CallContext) -> Draft:
    """Return the entry that a caller hands in; who reports it is who calls.

    UUIDs are taken in either case and written in lower case, so that one id has one form in leaves and chains.
    """
    return Draft(
        entry_id=request_id.lower(),
        tenant=call.caller.tenant,
        service=call.caller.id,
        actor_type=_ACTORS[message.actor.type],
        actor_id=message.actor.id,
        action=message.action,
        outcome=_OUTCOMES[message.outcome],
        entity_type=message.entity_type,
        entity_id=message.entity_id,
        event_time=message.event_time.ToDatetime(UTC) if message.HasField("event_time") else None,
        claim_id=message.claim_id.lower() or None,
        session_id=message.session_id or None,
        correlation_id=message.correlation_id or call.correlation_id or None,
        trace_id=message.trace_id or current_trace_id() or None,
        reason=message.reason,
        ip_address=message.ip_address,
        user_agent=message.user_agent,
        details=message.details_json,
    )


def to_filter(request: contract.ListEntriesRequest | contract.ExportEntriesRequest) -> EntryFilter:
    """Return which entries a caller asks for."""
    return EntryFilter(
        claim_id=request.claim_id or None,
        entity_type=request.entity_type or None,
        entity_id=request.entity_id or None,
        actor_id=request.actor_id or None,
        action=request.action or None,
        session_id=request.session_id or None,
        outcome=_OUTCOMES.get(request.outcome),
        start_time=request.start_time.ToDatetime(UTC) if request.HasField("start_time") else None,
        end_time=request.end_time.ToDatetime(UTC) if request.HasField("end_time") else None,
    )


def to_export(request: contract.ExportEntriesRequest) -> Export:
    """Return what a caller wants exported."""
    form = Format.OCSF if request.format == contract.ExportEntriesRequest.FORMAT_OCSF else Format.JSONL
    return Export(to_filter(request), request.tree_size, form)


def from_receipt(receipt: Receipt) -> log_pb2.EntryReceipt:
    """Return the receipt as a message."""
    return log_pb2.EntryReceipt(entry_id=receipt.entry_id, index=receipt.index, leaf_hash=receipt.leaf_hash)


def from_progress(progress: Progress) -> contract.ImportEntriesResponse:
    """Return how far an import has come as a message."""
    last = progress.last
    return contract.ImportEntriesResponse(
        entry_count=progress.entries, last_index=last.index, last_request_id=last.entry_id
    )


def from_entry(entry: Entry) -> log_pb2.Entry:
    """Return the entry as a message, with what of its personal parts is not erased."""
    leaf = entry.leaf
    message = log_pb2.Entry(
        entry_id=leaf.entry_id,
        index=entry.index,
        leaf=entry.leaf_bytes,
        leaf_hash=entry.leaf_hash,
        event_time=timestamp(leaf.event_time),
        append_time=timestamp(leaf.append_time),
        service=leaf.service,
        action=leaf.action,
        outcome=_OUTCOME_VALUES[leaf.outcome],
        entity_type=leaf.entity_type,
        entity_id=leaf.entity_id,
        session_id=leaf.session_id or "",
        correlation_id=leaf.correlation_id or "",
        trace_id=leaf.trace_id or "",
    )
    _add_claim(message, leaf)
    for part in entry.parts:
        message.personal_parts.add(pseudonym=part.pseudonym, salt=part.salt, part=part.part.decode())
        if part.part:
            _add_personal(message, parse_personal_part(part.part))
    return message


def to_actor(message: log_pb2.Actor) -> Actor:
    """Return whom a message names."""
    return Actor(_ACTORS[message.type], message.id)


def to_scope(message: log_pb2.HoldScope) -> HoldScope:
    """Return what a hold is to cover."""
    match message.WhichOneof("scope"):
        case "subject":
            return HoldScope(ScopeKind.SUBJECT, subject=to_actor(message.subject))
        case "claim_id":
            return HoldScope(ScopeKind.CLAIM, claim_id=message.claim_id.lower())
        case _:
            return HoldScope(ScopeKind.TENANT)


def from_hold(hold: Hold) -> log_pb2.LegalHold:
    """Return the hold as a message, with the names of those who are not erased."""
    message = log_pb2.LegalHold(
        hold_id=hold.hold_id,
        scope=_from_scope(hold.scope),
        reason=hold.placed.reason,
        place_time=timestamp(hold.placed.time),
        placed_by=_from_actor(hold.placed.actor),
        last_event_id=hold.last_event_id,
    )
    if hold.released is not None:
        message.release_time.CopyFrom(timestamp(hold.released.time))
        message.release_reason = hold.released.reason
        if (actor := _from_actor(hold.released.actor)) is not None:
            message.released_by.CopyFrom(actor)
    return message


def timestamp(time: datetime) -> Timestamp:
    """Return the time as a message."""
    message = Timestamp()
    message.FromDatetime(time)
    return message


def _add_claim(message: log_pb2.Entry, leaf: Leaf) -> None:
    if leaf.claim is not None:
        message.claim_id = leaf.claim.claim_id
        message.claim_sequence = leaf.claim.sequence


def _add_personal(message: log_pb2.Entry, personal: dict[str, str]) -> None:
    message.actor.type = _ACTOR_VALUES[personal["actor_type"]]
    message.actor.id = personal["actor_id"]
    message.reason = personal.get("reason", "")
    message.ip_address = personal.get("ip_address", "")
    message.user_agent = personal.get("user_agent", "")
    message.details_json = personal.get("details", "")


def _from_actor(actor: Actor | None) -> log_pb2.Actor | None:
    return None if actor is None else log_pb2.Actor(type=_ACTOR_VALUES[actor.type], id=actor.id)


def _from_scope(scope: HoldScope) -> log_pb2.HoldScope:
    match scope.kind:
        case ScopeKind.SUBJECT:
            return log_pb2.HoldScope(subject=_from_actor(scope.subject) or log_pb2.Actor())
        case ScopeKind.CLAIM:
            return log_pb2.HoldScope(claim_id=scope.claim_id or "")
        case ScopeKind.TENANT:
            return log_pb2.HoldScope(whole_tenant=True)
