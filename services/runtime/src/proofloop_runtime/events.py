"""Domain events, and how they stand on the wire: CloudEvents 1.0, NATS binding, binary mode.

Attribute values are percent-encoded as the binding for HTTP prescribes, so that any text fits a header.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, Self
from urllib.parse import quote, unquote

from google.protobuf import json_format
from google.protobuf.message import Message

from proofloop_runtime.call import CallerType

SUBJECT_PREFIX = "proofloop.event"
EVENTS = f"{SUBJECT_PREFIX}.>"

_HEADERS = {
    "event_id": "ce-id",
    "source": "ce-source",
    "type": "ce-type",
    "time": "ce-time",
    "tenant": "ce-tenant",
    "service": "ce-service",
    "action": "ce-action",
    "outcome": "ce-outcome",
    "reason": "ce-reason",
    "entity_type": "ce-entitytype",
    "entity_id": "ce-subject",
    "claim_id": "ce-claimid",
    "session_id": "ce-sessionid",
    "actor_type": "ce-actortype",
    "actor_id": "ce-actorid",
    "correlation_id": "ce-correlationid",
    "ip_address": "ce-clientip",
    "user_agent": "ce-useragent",
}
"""Field of `Envelope` → header of the CloudEvents attribute. Those that CloudEvents does not define are extensions."""

_ATTRIBUTES = tuple(_HEADERS.values())

_REQUIRED = (
    "ce-id",
    "ce-source",
    "ce-type",
    "ce-time",
    "ce-tenant",
    "ce-service",
    "ce-action",
    "ce-subject",
    "ce-entitytype",
    "ce-actortype",
    "ce-actorid",
)


class MalformedEvent(Exception):
    """The message is no event of ours; delivering it again would not help."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acted."""

    type: CallerType
    id: str


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened, to be published in the transaction that makes it so.

    Attributes:
        event_id: UUID; also the id of its entry in the audit log, and the `Nats-Msg-Id`.
        noun: What it happened to, such as `prompt`.
        verb: What happened, such as `answered`.
        message: The data, a message of the service's `events.proto`.
        time: When it happened.
        entity_type: Kind of the entity, usually the noun.
        entity_id: Id of the entity.
        actor: Who did it.
        claim_id: The claim it belongs to, where there is one.
        outcome: `success`, `failure` or `denied`.
        reason: Why, in the actor's words.
        session_id: The session it belongs to, where there is one.
    """

    event_id: str
    noun: str
    verb: str
    message: Message
    time: datetime
    entity_type: str
    entity_id: str
    actor: Actor
    claim_id: str | None = None
    outcome: str = "success"
    reason: str = ""
    session_id: str | None = None


class Envelope(NamedTuple):
    """An event as it travels: its attributes, in the order of `_HEADERS`, and its data.

    Attributes:
        event_id: See `Event`.
        source: URI of the service, `/proofloop/<service>`.
        type: Full name of the data's message.
        time: RFC 3339, UTC.
        tenant: The tenant.
        service: Name of the service.
        action: `<noun>.<verb>`.
        outcome: `success`, `failure` or `denied`.
        reason: Why, or empty.
        entity_type: Kind of the entity.
        entity_id: Id of the entity.
        claim_id: The claim, or empty.
        session_id: The session, or empty.
        actor_type: `user` or `service`.
        actor_id: Who acted.
        correlation_id: The correlation id, or empty.
        ip_address: The actor's client address, or empty.
        user_agent: The actor's client program, or empty.
        data: proto3 JSON of the message.
        trace_context: W3C trace context headers.
    """

    event_id: str
    source: str
    type: str
    time: str
    tenant: str
    service: str
    action: str
    outcome: str
    reason: str
    entity_type: str
    entity_id: str
    claim_id: str
    session_id: str
    actor_type: str
    actor_id: str
    correlation_id: str
    ip_address: str
    user_agent: str
    data: bytes
    trace_context: Mapping[str, str]

    @property
    def subject(self) -> str:
        """Return the NATS subject, `proofloop.event.<tenant>.<service>.<noun>.<verb>`."""
        return f"{SUBJECT_PREFIX}.{self.tenant}.{self.service}.{self.action}"

    def headers(self) -> dict[str, str]:
        """Return the NATS headers: CloudEvents attributes, trace context and the de-duplication id."""
        headers = {"ce-specversion": "1.0", "content-type": "application/json", "Nats-Msg-Id": self.event_id}
        for field, header in _HEADERS.items():
            if value := getattr(self, field):
                headers[header] = attribute_value(value)
        return {**headers, **self.trace_context}

    @classmethod
    def parse(cls, headers: Mapping[str, str] | None, data: bytes) -> Self:
        """Read an event from a message.

        Raises:
            MalformedEvent: a required attribute is missing, or the data is not JSON that can be read.
        """
        headers = headers or {}
        if not all(map(headers.get, _REQUIRED)):
            missing = [header for header in _REQUIRED if not headers.get(header)]
            names = ", ".join(header.removeprefix("ce-") for header in missing)
            raise MalformedEvent(f"missing CloudEvents attributes: {names}")
        try:
            json.loads(data.decode())
        except (ValueError, RecursionError) as error:
            raise MalformedEvent("the data is not JSON, or nested too deeply") from error
        values = [headers.get(header, "") for header in _ATTRIBUTES]
        # Few events have anything encoded, and 18 looks for it cost more than all else here.
        if "%" in "".join(values):
            values = [unquote(value) for value in values]
        trace_context = {name: headers[name] for name in ("traceparent", "tracestate") if name in headers}
        return cls._make((*values, data, trace_context))


def attribute_value(text: str) -> str:
    """Return a text as it stands in a header."""
    return quote(text, safe=" !#$&'()*+,-./:;<=>?@[]^_`{|}~")


def envelope(
    event: Event,
    *,
    tenant: str,
    service: str,
    correlation_id: str,
    ip_address: str,
    user_agent: str,
    trace_context: Mapping[str, str],
) -> Envelope:
    """Return the event as it travels."""
    text = json_format.MessageToJson(event.message, indent=None, ensure_ascii=False)
    return Envelope(
        event_id=event.event_id,
        source=f"/proofloop/{service}",
        type=event.message.DESCRIPTOR.full_name,
        time=event.time.isoformat().replace("+00:00", "Z"),
        tenant=tenant,
        service=service,
        action=f"{event.noun}.{event.verb}",
        outcome=event.outcome,
        reason=event.reason,
        entity_type=event.entity_type,
        entity_id=event.entity_id,
        claim_id=event.claim_id or "",
        session_id=event.session_id or "",
        actor_type=event.actor.type,
        actor_id=event.actor.id,
        correlation_id=correlation_id,
        ip_address=ip_address,
        user_agent=user_agent,
        data=text.encode(),
        trace_context=trace_context,
    )
