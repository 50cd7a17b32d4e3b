"""What audit consumes: every domain event becomes an entry, under the event's id and hence exactly once in effect.

And what it publishes: erasures, which the other services obey, legal holds, and damages of the log itself.
"""

import asyncio
import re
from collections.abc import Sequence
from datetime import datetime

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from opentelemetry import trace
from proofloop.audit.v1 import events_pb2, log_pb2, log_service_pb2
from proofloop_runtime import telemetry as spans
from proofloop_runtime.call import CallerType, background
from proofloop_runtime.errors import DomainError, FailedPrecondition, InvalidArgument, InvalidField
from proofloop_runtime.events import Actor, Envelope, Event
from proofloop_runtime.interceptors import validation
from proofloop_runtime.messaging import PermanentFailure, processing
from proofloop_verifier.report import Finding

from proofloop_audit import telemetry
from proofloop_audit.log import conversion, handlers
from proofloop_audit.log.domain import Draft, check_details
from proofloop_audit.log.exporting import SERVICE
from proofloop_audit.log.holds import Hold, HoldAct
from proofloop_audit.log.sealing import Sealer
from proofloop_audit.log.sequencer import Sequencer

CONSUMER = "audit-log"

_SUBJECT_ERASED = events_pb2.SubjectErased.DESCRIPTOR.full_name

_SERVICE = re.compile(r"[a-z][a-z0-9-]{0,62}")

_ACTOR_TYPES = {"user": log_pb2.ACTOR_TYPE_USER, "service": log_pb2.ACTOR_TYPE_SERVICE}
_OUTCOMES = {
    "success": log_pb2.OUTCOME_SUCCESS,
    "failure": log_pb2.OUTCOME_FAILURE,
    "denied": log_pb2.OUTCOME_DENIED,
}


class EventLog:
    """Appends domain events to the log of their tenant."""

    def __init__(self, sealer: Sealer, sequencer: Sequencer, tenants: Sequence[str]) -> None:
        self._sealer = sealer
        self._sequencer = sequencer
        self._tenants = frozenset(tenants)

    async def handle(self, events: Sequence[Envelope]) -> list[Exception | None]:
        """Append a batch; each event succeeds or fails alone."""
        return await asyncio.gather(*(self._append(event) for event in events))

    async def _append(self, event: Envelope) -> Exception | None:
        if event.type == _SUBJECT_ERASED:
            # Its entry stands since the erasure itself, and names nobody; the event does.
            return None
        async with processing(CONSUMER, event):
            try:
                draft = self._draft(event)
            # ValueError: text that is not Unicode, which no other reader of the log could take either.
            except (InvalidArgument, ValueError) as error:
                return PermanentFailure(str(error))
            try:
                [receipt] = await handlers.append([draft], sealer=self._sealer, sequencer=self._sequencer)
            except FailedPrecondition as error:
                return PermanentFailure(str(error))
            except DomainError as error:
                return error
            span = trace.get_current_span()
            span.set_attribute(telemetry.ENTRY_ID, receipt.entry_id)
            span.set_attribute(telemetry.ENTRY_INDEX, receipt.index)
            return None

    def _draft(self, event: Envelope) -> Draft:
        """Return the event as an entry, held to the contract's rules for one that is handed in.

        An event from the future is taken in all the same: it did happen, and the append time stands beside its own.

        Raises:
            InvalidArgument: it breaks one of the rules.
            ValueError: its text is not Unicode.
        """
        if event.tenant not in self._tenants:
            raise InvalidField("there is no such tenant")
        if not _SERVICE.fullmatch(event.service):
            raise InvalidField("the source is no name of a service")
        request = log_service_pb2.AppendEntryRequest(
            request_id=event.event_id,
            draft=log_pb2.EntryDraft(
                event_time=_timestamp(event.time),
                actor=log_pb2.Actor(
                    type=_ACTOR_TYPES.get(event.actor_type, log_pb2.ACTOR_TYPE_UNSPECIFIED), id=event.actor_id
                ),
                action=event.action,
                outcome=_OUTCOMES.get(event.outcome, log_pb2.OUTCOME_UNSPECIFIED),
                entity_type=event.entity_type,
                entity_id=event.entity_id,
                claim_id=event.claim_id,
                session_id=event.session_id,
                reason=event.reason,
                ip_address=event.ip_address,
                user_agent=event.user_agent,
                correlation_id=event.correlation_id,
                trace_id=spans.trace_id(event.trace_context),
                details_json=event.data.decode(),
            ),
        )
        validation.check(request)
        check_details(request.draft.details_json, "data")
        return conversion.to_draft(event.event_id, request.draft, background(event.service, event.tenant))


def _timestamp(time: str) -> Timestamp:
    message = Timestamp()
    try:
        message.FromDatetime(datetime.fromisoformat(time))
    except ValueError as error:
        raise InvalidField(f"the event's time is not RFC 3339: {time[:40]!r}") from error
    return message


def subject_erased(event_id: str, person: Actor, pseudonym: str, actor: Actor, time: datetime, reason: str) -> Event:
    """A person was erased."""
    message = events_pb2.SubjectErased(subject_id=person.id, pseudonym=pseudonym)
    return Event(event_id, "subject", "erased", message, time, "subject", pseudonym, actor, reason=reason)


def log_damaged(event_id: str, tenant: str, finding: Finding, time: datetime) -> Event:
    """A check of a tenant's log found something wrong."""
    message = events_pb2.LogDamaged(check=finding.check, subject=finding.subject, sentence=finding.sentence)
    actor = Actor(CallerType.SERVICE, SERVICE)
    return Event(event_id, "log", "damaged", message, time, "log", tenant, actor, outcome="failure")


def hold_placed(hold: Hold, actor: Actor, pseudonym: str) -> Event:
    """A legal hold was placed, on the subject with a pseudonym where it covers one."""
    message = events_pb2.LegalHoldPlaced(
        hold_id=hold.hold_id, scope=hold.scope.kind, claim_id=hold.scope.claim_id or "", pseudonym=pseudonym
    )
    return _hold_event(hold, "placed", message, hold.placed, actor)


def hold_released(hold: Hold, act: HoldAct, actor: Actor) -> Event:
    """A legal hold was released."""
    return _hold_event(hold, "released", events_pb2.LegalHoldReleased(hold_id=hold.hold_id), act, actor)


def _hold_event(hold: Hold, verb: str, message: Message, act: HoldAct, actor: Actor) -> Event:
    return Event(
        event_id=hold.last_event_id,
        noun="legal_hold",
        verb=verb,
        message=message,
        time=act.time,
        entity_type="legal_hold",
        entity_id=hold.hold_id,
        actor=actor,
        reason=act.reason,
    )
