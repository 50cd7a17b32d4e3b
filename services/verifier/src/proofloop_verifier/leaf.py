"""The audit leaf, version 1: what the log hashes for each entry, and commitments to what it keeps apart.

A leaf is canonical JSON without personal data. What an entry says about a person stands in a *personal part*
beside it, and the leaf holds only a commitment, HMAC-SHA256(salt, part): whoever is given part and salt can
check them; whoever is not learns nothing, even from guessing.
"""

from __future__ import annotations

import hmac
import re
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple, cast

from proofloop_verifier import canonical
from proofloop_verifier.canonical import dumps_string
from proofloop_verifier.merkle import HASH_SIZE

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_LEAF_BYTES = 65_535
"""Longest leaf; C2SP tlog-tiles counts an entry's bytes in 16 bits."""

_VERSION = 1
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z")
_HASH = re.compile(r"[0-9a-f]{64}")
_IDENTIFIER_128 = re.compile(r"[0-9a-f]{32}")


class LeafError(ValueError):
    """The bytes are not a leaf of version 1, or the leaf cannot be written; the message names the member."""


class Outcome(StrEnum):
    """What became of an action."""

    SUCCESS = "success"
    FAILURE = "failure"
    DENIED = "denied"


class SubjectCommitment(NamedTuple):
    """Binds one data subject's personal part to a leaf."""

    pseudonym: str
    """Random name of the subject, 32 hex digits."""
    commitment: bytes
    """`commitment(salt, part)`, 32 bytes."""

    def dump(self) -> str:
        """Its canonical form in a leaf."""
        return f'{{"commitment":"{self.commitment.hex()}","pseudonym":{dumps_string(self.pseudonym)}}}'


class ClaimLink(NamedTuple):
    """A leaf's place in the chain of its claim's entries."""

    claim_id: str
    sequence: int
    """Counts the claim's entries from 0, without a gap."""
    previous: bytes | None
    """Leaf hash of the claim's previous entry; None at sequence 0, and only there."""

    def dump(self) -> str:
        """Its members in the canonical form of a leaf."""
        previous = "" if self.previous is None else f'"claim_previous":"{self.previous.hex()}",'
        return f'"claim_id":{dumps_string(self.claim_id)},{previous}"claim_sequence":{self.sequence}'


class Leaf(NamedTuple):
    """One entry of a log, as it is hashed. Times are aware; they are written in UTC with microseconds."""

    entry_id: str
    event_time: datetime
    append_time: datetime
    tenant: str
    service: str
    action: str
    outcome: Outcome
    entity_type: str
    entity_id: str
    claim: ClaimLink | None = None
    session_id: str | None = None
    correlation_id: str | None = None
    trace_id: str | None = None
    subjects: tuple[SubjectCommitment, ...] = ()

    def to_bytes(self) -> bytes:
        """The exact bytes that are hashed; LeafError where they would be too long or not Unicode."""
        string = dumps_string
        claim = "" if self.claim is None else f"{self.claim.dump()},"
        subjects = f'"subjects":[{",".join([subject.dump() for subject in self.subjects])}],' if self.subjects else ""
        try:
            data = canonical.to_utf8(
                f'{{"action":{string(self.action)},"append_time":{_dump_time(self.append_time)},{claim}'
                f'{_dump_given("correlation_id", self.correlation_id)}"entity_id":{string(self.entity_id)},'
                f'"entity_type":{string(self.entity_type)},"entry_id":{string(self.entry_id)},'
                f'"event_time":{_dump_time(self.event_time)},"outcome":{string(self.outcome)},'
                f'"service":{string(self.service)},{_dump_given("session_id", self.session_id)}{subjects}'
                f'"tenant":{string(self.tenant)},{_dump_given("trace_id", self.trace_id)}"v":{_VERSION}}}'
            )
        except canonical.CanonicalError as error:
            raise LeafError(str(error)) from error
        if len(data) > MAX_LEAF_BYTES:
            raise LeafError(f"the leaf has {len(data)} bytes; {MAX_LEAF_BYTES} are allowed")
        return data

    @classmethod
    def parse(cls, data: bytes) -> Leaf:
        """Read a leaf; LeafError unless `to_bytes` of the result is exactly `data`."""
        if len(data) > MAX_LEAF_BYTES:
            raise LeafError(f"the leaf has {len(data)} bytes; {MAX_LEAF_BYTES} are allowed")
        try:
            members = canonical.loads(data)
        except canonical.CanonicalError as error:
            raise LeafError(str(error)) from error
        if not isinstance(members, dict):
            raise LeafError("the leaf is not a JSON object")
        if members.get("v") != _VERSION or isinstance(members.get("v"), bool):
            raise LeafError(f"the leaf is not of version {_VERSION}")
        leaf = cls(
            entry_id=_text(members, "entry_id"),
            event_time=_time(members, "event_time"),
            append_time=_time(members, "append_time"),
            tenant=_text(members, "tenant"),
            service=_text(members, "service"),
            action=_text(members, "action"),
            outcome=_outcome(members),
            entity_type=_text(members, "entity_type"),
            entity_id=_text(members, "entity_id"),
            claim=_claim(members),
            session_id=_text(members, "session_id") if "session_id" in members else None,
            correlation_id=_text(members, "correlation_id") if "correlation_id" in members else None,
            trace_id=_matching(members, "trace_id", _IDENTIFIER_128) if "trace_id" in members else None,
            subjects=_subjects(members),
        )
        if leaf.to_bytes() != data:
            raise LeafError("the leaf has members that a leaf of version 1 does not have")
        return leaf


def commitment(salt: bytes, part: bytes) -> bytes:
    """HMAC-SHA256(salt, part): binds a leaf to a personal part without telling it. `salt` has 32 bytes."""
    return hmac.digest(salt, part, "sha256")


def opens(committed: bytes, salt: bytes, part: bytes) -> bool:
    """Whether `committed` is the commitment to this part under this salt."""
    return len(salt) == HASH_SIZE and hmac.compare_digest(commitment(salt, part), committed)


def parse_personal_part(part: bytes) -> dict[str, str]:
    """The members of a personal part; LeafError unless it is a canonical JSON object of strings."""
    try:
        members = canonical.loads(part)
    except canonical.CanonicalError as error:
        raise LeafError(str(error)) from error
    if not isinstance(members, dict) or not all(isinstance(value, str) for value in members.values()):
        raise LeafError("the personal part is not an object of strings")
    return cast("dict[str, str]", members)


def _dump_given(name: str, value: str | None) -> str:
    return "" if value is None else f'"{name}":{dumps_string(value)},'


@lru_cache(maxsize=16)  # entries that are appended together have their append time in common
def _dump_time(time: datetime) -> str:
    in_utc = time if time.tzinfo is UTC else time.astimezone(UTC)
    return f'"{in_utc.isoformat(timespec="microseconds").removesuffix("+00:00")}Z"'


def _text(members: Mapping[str, canonical.Value], name: str) -> str:
    value = members.get(name)
    if not isinstance(value, str) or not value:
        raise LeafError(f"{name} must be a string that is not empty")
    return value


def _matching(members: Mapping[str, canonical.Value], name: str, pattern: re.Pattern[str]) -> str:
    value = _text(members, name)
    if not pattern.fullmatch(value):
        raise LeafError(f"{name} does not have its form: {value[:80]!r}")
    return value


def _time(members: Mapping[str, canonical.Value], name: str) -> datetime:
    value = _matching(members, name, _TIME)
    try:
        return datetime.fromisoformat(value)
    except ValueError as error:
        raise LeafError(f"{name} is not a time: {value}") from error


def _outcome(members: Mapping[str, canonical.Value]) -> Outcome:
    value = _text(members, "outcome")
    try:
        return Outcome(value)
    except ValueError as error:
        raise LeafError(f"outcome is none of {', '.join(Outcome)}: {value[:80]!r}") from error


def _claim(members: Mapping[str, canonical.Value]) -> ClaimLink | None:
    if "claim_id" not in members:
        return None
    sequence = members.get("claim_sequence")
    if not isinstance(sequence, int) or isinstance(sequence, bool) or sequence < 0:
        raise LeafError("claim_sequence must be a number from 0 on")
    if (sequence > 0) != ("claim_previous" in members):
        raise LeafError("claim_previous must be there exactly when claim_sequence is above 0")
    previous = bytes.fromhex(_matching(members, "claim_previous", _HASH)) if sequence else None
    return ClaimLink(_text(members, "claim_id"), sequence, previous)


def _subjects(members: Mapping[str, canonical.Value]) -> tuple[SubjectCommitment, ...]:
    subjects = members.get("subjects", [])
    if not isinstance(subjects, list) or not all(isinstance(subject, dict) for subject in subjects):
        raise LeafError("subjects must be a list of objects")
    return tuple(
        SubjectCommitment(
            _matching(subject, "pseudonym", _IDENTIFIER_128),
            bytes.fromhex(_matching(subject, "commitment", _HASH)),
        )
        for subject in cast("list[dict[str, canonical.Value]]", subjects)
    )
