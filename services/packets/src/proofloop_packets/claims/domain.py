"""Claims and the facts they assert."""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum


class ClaimState(StrEnum):
    """How far a claim has come."""

    DRAFT = "draft"
    """Opened without facts."""
    EVIDENCE_PENDING = "evidence_pending"
    """Its facts are there, evidence for them is awaited."""
    READY = "ready"
    """Complete: it can be submitted."""
    SUBMITTED = "submitted"
    """Handed to whoever decides it."""
    APPROVED = "approved"
    """Decided in favour."""
    DENIED = "denied"
    """Decided against."""
    PAID = "paid"
    """The money has arrived."""


@dataclass(frozen=True, slots=True)
class Identifier:
    """A number or code by which documents can be told to belong to the claim."""

    kind: str
    value: str


@dataclass(frozen=True, slots=True)
class Amount:
    """A sum of money that the claim states, exact, in the currency's main unit (ISO 4217)."""

    name: str
    currency: str
    value: Decimal


@dataclass(frozen=True, slots=True)
class NamedDate:
    """A calendar date that the claim states."""

    name: str
    date: date


@dataclass(frozen=True, slots=True)
class Party:
    """A person or an organisation that the claim names."""

    role: str
    name: str


@dataclass(frozen=True, slots=True)
class ClaimFacts:
    """What a claim asserts, and what its evidence has to show."""

    narrative: str = ""
    identifiers: tuple[Identifier, ...] = ()
    amounts: tuple[Amount, ...] = ()
    dates: tuple[NamedDate, ...] = ()
    parties: tuple[Party, ...] = ()

    @property
    def stated(self) -> bool:
        """Tell whether anything is asserted at all."""
        return self != ClaimFacts()


@dataclass(frozen=True, slots=True)
class Claim:
    """A demand that stands or falls with its evidence.

    Attributes:
        claim_id: UUIDv7.
        title: One line that tells it from others.
        kind: What kind of claim it is.
        owner_id: The claimant.
        facts: What it asserts.
        state: How far it has come.
        create_time: When it was opened.
        update_time: When it last changed.
        version: Number of its changes, from 1.
        last_event_id: The event of its last change.
    """

    claim_id: str
    title: str
    kind: str
    owner_id: str
    facts: ClaimFacts
    state: ClaimState
    create_time: datetime
    update_time: datetime
    version: int
    last_event_id: str


def open_claim(
    *, claim_id: str, title: str, kind: str, owner_id: str, facts: ClaimFacts, event_id: str, now: datetime
) -> Claim:
    """Return a new claim: a draft without facts, waiting for evidence with them."""
    return Claim(
        claim_id=claim_id,
        title=title,
        kind=kind,
        owner_id=owner_id,
        facts=facts,
        state=ClaimState.EVIDENCE_PENDING if facts.stated else ClaimState.DRAFT,
        create_time=now,
        update_time=now,
        version=1,
        last_event_id=event_id,
    )
