"""What audit consumes: every domain event becomes an entry, under the event's id and hence exactly once in effect.

And what it publishes: erasures, which the other services obey, legal holds, and damages of the log itself.
"""

import asyncio
import re
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime

from google.protobuf.message import Message
from proofloop.audit.v1 import events_pb2, log_pb2, log_service_pb2
from proofloop_runtime import telemetry as spans
from proofloop_runtime.call import CallerType
from proofloop_runtime.consuming import Outcomes, PermanentFailure
from proofloop_runtime.errors import DomainError, FailedPrecondition, InvalidArgument, InvalidField
from proofloop_runtime.events import Actor, Envelope, Event
from proofloop_runtime.interceptors import validation
from proofloop_runtime.processing import start_processing
from proofloop_runtime.spans import RecordedSpan
from proofloop_verifier.leaf import Outcome
from proofloop_verifier.report import Finding

from proofloop_audit import telemetry
from proofloop_audit.log.domain import Draft, Receipt, check_details
from proofloop_audit.log.exporting import SERVICE
from proofloop_audit.log.holds import Hold, HoldAct
from proofloop_audit.log.sealing import Sealer
from proofloop_audit.log.sequencer import Sequencer

CONSUMER = "audit-log"

_CHUNK = 100
"""Events that are handed to the sequencer before the event loop, and with it the sequencer, gets its turn."""

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

    async def handle(self, events: Sequence[Envelope]) -> asyncio.Future[Outcomes]:
        """Append a batch; each event succeeds or fails alone.

        Returns when all are in the hands of the sequencer, which keeps their order, so that the next batch is made
        ready while this one is written.

        One step for all of them, then the next: event by event, amid all else, the same work costs twice as much.
        """
        # The entry of an erasure stands since the erasure itself, and names nobody; the event does.
        own = [event for event in events if event.type != _SUBJECT_ERASED]
        with ExitStack() as ending:
            processes = [start_processing(CONSUMER, event) for event in own]
            ending.callback(_end, processes)
            appending = []
            for start in range(0, len(own), _CHUNK):
                if start:
                    await asyncio.sleep(0)
                chunk = slice(start, start + _CHUNK)
                checked = _are_entries(own[chunk])
                for event, process in zip(own[chunk], processes[chunk], strict=True):
                    appending.append(await self._append(event, process, checked=checked))
            return asyncio.ensure_future(_outcomes(events, appending, processes, ending.pop_all()))

    async def _append(
        self, event: Envelope, process: RecordedSpan, *, checked: bool
    ) -> "asyncio.Future[list[Receipt]] | Exception":
        """Hand an event to the sequencer; return what tells where it stands, or why it cannot be appended."""
        try:
            draft = self._draft(event, process.trace_id, checked=checked)
        # ValueError: text that is not Unicode, which no other reader of the log could take either.
        except (InvalidArgument, ValueError) as error:
            return PermanentFailure(str(error))
        try:
            entry = self._sealer.remembered(draft)
            if entry is None:
                with spans.within(process):
                    entry = await self._sealer.unsealed(draft)
            return self._sequencer.append([entry])
        except DomainError as error:
            return error

    def _draft(self, event: Envelope, trace_id: str, *, checked: bool) -> Draft:
        """Return the event as an entry, held to the contract's rules for one that is handed in, unless that was done.

        An event from the future is taken in all the same: it did happen, and the append time stands beside its own.

        Raises:
            InvalidArgument: it breaks one of the rules.
            ValueError: its text is not Unicode.
        """
        if event.tenant not in self._tenants:
            raise InvalidField("there is no such tenant")
        if not _SERVICE.fullmatch(event.service):
            raise InvalidField("the source is no name of a service")
        details = event.data.decode()
        if not checked:
            request = log_service_pb2.AppendEntryRequest()
            _fill(request, event)
            validation.check(request)
        check_details(details, "data")
        return Draft(
            entry_id=event.event_id.lower(),
            tenant=event.tenant,
            service=event.service,
            actor_type=CallerType(event.actor_type),
            actor_id=event.actor_id,
            action=event.action,
            outcome=Outcome(event.outcome),
            entity_type=event.entity_type,
            entity_id=event.entity_id,
            event_time=_time(event),
            claim_id=event.claim_id.lower() or None,
            session_id=event.session_id or None,
            correlation_id=event.correlation_id or None,
            trace_id=trace_id,
            reason=event.reason,
            ip_address=event.ip_address,
            user_agent=event.user_agent,
            details=details,
        )


def _are_entries(events: Iterable[Envelope]) -> bool:
    """Tell whether all events keep the contract's rules for entries. Asked of each alone, it costs twice as much."""
    together = log_service_pb2.AppendEntriesRequest()
    try:
        for event in events:
            _fill(together.entries.add(), event)
        validation.check(together)
    # ValueError: text that is not Unicode.
    except (InvalidArgument, ValueError):
        return False
    return True


def _fill(request: log_service_pb2.AppendEntryRequest, event: Envelope) -> None:
    """Make a request the one that would append the event.

    Field by field: to make the parts and then the whole of them costs twice as much.
    """
    request.request_id = event.event_id
    draft = request.draft
    draft.actor.type = _ACTOR_TYPES.get(event.actor_type, log_pb2.ACTOR_TYPE_UNSPECIFIED)
    draft.actor.id = event.actor_id
    draft.action = event.action
    draft.outcome = _OUTCOMES.get(event.outcome, log_pb2.OUTCOME_UNSPECIFIED)
    draft.entity_type = event.entity_type
    draft.entity_id = event.entity_id
    draft.claim_id = event.claim_id
    draft.session_id = event.session_id
    draft.reason = event.reason
    draft.ip_address = event.ip_address
    draft.user_agent = event.user_agent
    draft.correlation_id = event.correlation_id
    draft.details_json = event.data.decode()


def _time(event: Envelope) -> datetime:
    try:
        time = datetime.fromisoformat(event.time)
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise InvalidField(f"the event's time is not RFC 3339: {event.time[:40]!r}") from error


async def _outcomes(
    events: Sequence[Envelope],
    appending: "Sequence[asyncio.Future[list[Receipt]] | Exception]",
    processes: Sequence[RecordedSpan],
    ending: ExitStack,
) -> Outcomes:
    """Wait until a batch is in the log; return, for each event, why it is not."""
    with ending:
        own = iter([await _outcome(*pair) for pair in zip(appending, processes, strict=True)])
    return [None if event.type == _SUBJECT_ERASED else next(own) for event in events]


async def _outcome(appending: "asyncio.Future[list[Receipt]] | Exception", process: RecordedSpan) -> Exception | None:
    """Wait until an event is in the log; return why it is not."""
    if isinstance(appending, Exception):
        return appending
    try:
        [receipt] = await appending
    except FailedPrecondition as error:
        return PermanentFailure(str(error))
    except DomainError as error:
        return error
    process.set_attribute(telemetry.ENTRY_ID, receipt.entry_id)
    process.set_attribute(telemetry.ENTRY_INDEX, receipt.index)
    return None


def _end(processes: Iterable[RecordedSpan]) -> None:
    for process in processes:
        process.end()


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
