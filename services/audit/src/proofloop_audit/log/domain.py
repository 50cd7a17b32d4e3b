"""What an entry is, before and after the log has given it a place."""

import json
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from proofloop_runtime.call import CallerType
from proofloop_verifier import canonical
from proofloop_verifier.leaf import Leaf, Outcome

from proofloop_audit.errors import DetailsNotJson, EventTimeInFuture

ERASED = "subject.erased"
"""Action of the entry that every erasure appends for each pseudonym, in its own transaction."""
EXPIRED = "subject.expired"
"""Action of the entry for each pseudonym whose key was destroyed because the retention ended, likewise."""
_DEEPEST = 64


class Draft(NamedTuple):
    """An entry as its author hands it in.

    Attributes:
        entry_id: Request id or event id.
        tenant: Whose log.
        service: The service that reports it.
        actor_type: Kind of the actor.
        actor_id: Who acted. Personal.
        action: `noun.verb`.
        outcome: What became of it.
        entity_type: Kind of the entity.
        entity_id: Id of the entity.
        event_time: When it happened; None: when the log takes it in.
        claim_id: The claim, or None.
        session_id: The session, or None.
        correlation_id: The correlation id, or None.
        trace_id: The trace, or None.
        reason: Why. Personal.
        ip_address: Client address. Personal.
        user_agent: Client program. Personal.
        details: JSON text as received. Personal.
    """

    entry_id: str
    tenant: str
    service: str
    actor_type: CallerType
    actor_id: str
    action: str
    outcome: Outcome
    entity_type: str
    entity_id: str
    event_time: datetime | None = None
    claim_id: str | None = None
    session_id: str | None = None
    correlation_id: str | None = None
    trace_id: str | None = None
    reason: str = ""
    ip_address: str = ""
    user_agent: str = ""
    details: str = ""

    @property
    def subject(self) -> str:
        """Return the name of the data subject: its kind and its id."""
        return f"{self.actor_type}:{self.actor_id}"

    def personal_part(self) -> bytes:
        """Return what the entry says about its actor, as canonical JSON without the members that are empty."""
        string = canonical.dumps_string
        user_agent = f',"user_agent":{string(self.user_agent)}' if self.user_agent else ""
        return canonical.to_utf8(
            f'{{"actor_id":{string(self.actor_id)},"actor_type":{string(self.actor_type)},'
            f"{_dump_given('details', self.details)}{_dump_given('ip_address', self.ip_address)}"
            f'{_dump_given("reason", self.reason)}"subject":{string(self.subject)}{user_agent}}}'
        )

    def fingerprint_input(self, personal_part: bytes) -> bytes:
        """Return what must be equal for a repetition to be one. The trace may differ: it is a new call."""
        string = canonical.dumps_string
        event_time = self.event_time.isoformat() if self.event_time else ""
        members = canonical.to_utf8(
            f"[{string(self.service)},{string(self.action)},{string(self.outcome)},{string(self.entity_type)},"
            f"{string(self.entity_id)},{string(event_time)},{string(self.claim_id or '')},"
            f"{string(self.session_id or '')}]"
        )
        return members + personal_part


@dataclass(frozen=True, slots=True)
class Receipt:
    """Where an entry stands."""

    entry_id: str
    index: int
    leaf_hash: bytes


@dataclass(frozen=True, slots=True)
class PersonalPart:
    """What an entry says about one subject; without salt and part when the subject was erased."""

    pseudonym: str
    salt: bytes = b""
    part: bytes = b""


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry with its place in the log."""

    index: int
    leaf_bytes: bytes
    leaf_hash: bytes
    leaf: Leaf
    parts: tuple[PersonalPart, ...]


@dataclass(frozen=True, slots=True)
class EntryFilter:
    """Which entries to list; None asks for nothing in particular. Times are of the append."""

    claim_id: str | None = None
    entity_type: str | None = None
    entity_id: str | None = None
    actor_id: str | None = None
    action: str | None = None
    session_id: str | None = None
    outcome: Outcome | None = None
    start_time: datetime | None = None
    end_time: datetime | None = None

    def names(self) -> list[str]:
        """Return the names of the conditions."""
        return [field.name for field in fields(self) if getattr(self, field.name) is not None]


def _dump_given(name: str, value: str) -> str:
    return f'"{name}":{canonical.dumps_string(value)},' if value else ""


def check_event_time(event_time: datetime, now: datetime, skew: timedelta, field: str) -> None:
    """Refuse an event that claims to come from the future.

    Raises:
        EventTimeInFuture: it lies further ahead than `skew`.
    """
    if event_time > now + skew:
        raise EventTimeInFuture(f"event_time lies more than {skew} ahead of the log's clock", field=field)


def check_details(text: str, field: str) -> None:
    """Refuse details that two readers could understand differently.

    Raises:
        DetailsNotJson: not JSON text (RFC 8259), a member named twice, NaN or Infinity, a lone surrogate, or nested
            deeper than 64.
    """
    if not text:
        return
    try:
        value = _decode(text)
        # A lone surrogate comes from an escape alone, and depth from brackets.
        if "\\u" in text or text.count("{") + text.count("[") > _DEEPEST:
            _check_value(value, 1)
    except RecursionError as error:
        raise DetailsNotJson(f"nested deeper than {_DEEPEST}", field=field) from error
    except UnicodeEncodeError as error:
        raise DetailsNotJson("a string holds a lone surrogate", field=field) from error
    except ValueError as error:
        raise DetailsNotJson(str(error), field=field) from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member is named twice")
    return members


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


# Integers stay text: they may have more digits than Python reads.
_decode = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_refuse, parse_int=str).decode


def _check_value(value: Any, depth: int) -> None:
    if isinstance(value, str):
        value.encode()
        return
    if depth > _DEEPEST and isinstance(value, dict | list):
        raise ValueError(f"nested deeper than {_DEEPEST}")
    if isinstance(value, dict):
        for name, member in value.items():
            name.encode()
            _check_value(member, depth + 1)
    elif isinstance(value, list):
        for item in value:
            _check_value(item, depth + 1)
