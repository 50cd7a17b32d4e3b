"""Between the contract's messages and the domain."""

from datetime import date
from decimal import Decimal

from google.type import date_pb2, money_pb2
from proofloop.packets.v1 import claims_pb2

from proofloop_packets.claims.domain import (
    Amount,
    Claim,
    ClaimFacts,
    ClaimState,
    Identifier,
    NamedDate,
    Party,
)

_NANOS = Decimal(10**9)

_STATES = {
    claims_pb2.CLAIM_STATE_DRAFT: ClaimState.DRAFT,
    claims_pb2.CLAIM_STATE_EVIDENCE_PENDING: ClaimState.EVIDENCE_PENDING,
    claims_pb2.CLAIM_STATE_READY: ClaimState.READY,
    claims_pb2.CLAIM_STATE_SUBMITTED: ClaimState.SUBMITTED,
    claims_pb2.CLAIM_STATE_APPROVED: ClaimState.APPROVED,
    claims_pb2.CLAIM_STATE_DENIED: ClaimState.DENIED,
    claims_pb2.CLAIM_STATE_PAID: ClaimState.PAID,
}
_STATE_VALUES = {state: value for value, state in _STATES.items()}


def to_state(value: claims_pb2.ClaimState.ValueType) -> ClaimState | None:
    """Return the state that a list is filtered by; None for any."""
    return _STATES.get(value)


def from_claim(claim: Claim) -> claims_pb2.Claim:
    """Return the claim as a message."""
    message = claims_pb2.Claim(
        claim_id=claim.claim_id,
        title=claim.title,
        kind=claim.kind,
        owner_id=claim.owner_id,
        facts=from_facts(claim.facts),
        state=_STATE_VALUES[claim.state],
        etag=str(claim.version),
        last_event_id=claim.last_event_id,
    )
    message.create_time.FromDatetime(claim.create_time)
    message.update_time.FromDatetime(claim.update_time)
    return message


def from_facts(facts: ClaimFacts) -> claims_pb2.ClaimFacts:
    """Return the facts as a message."""
    return claims_pb2.ClaimFacts(
        narrative=facts.narrative,
        identifiers=[claims_pb2.Identifier(kind=each.kind, value=each.value) for each in facts.identifiers],
        amounts=[claims_pb2.NamedAmount(name=each.name, amount=_money(each)) for each in facts.amounts],
        dates=[
            claims_pb2.NamedDate(
                name=each.name,
                date=date_pb2.Date(year=each.date.year, month=each.date.month, day=each.date.day),
            )
            for each in facts.dates
        ],
        parties=[claims_pb2.Party(role=each.role, name=each.name) for each in facts.parties],
    )


def to_facts(facts: claims_pb2.ClaimFacts) -> ClaimFacts:
    """Return the facts of a request."""
    return ClaimFacts(
        narrative=facts.narrative,
        identifiers=tuple(Identifier(each.kind, each.value) for each in facts.identifiers),
        amounts=tuple(
            Amount(each.name, each.amount.currency_code, each.amount.units + each.amount.nanos / _NANOS)
            for each in facts.amounts
        ),
        dates=tuple(NamedDate(each.name, date(each.date.year, each.date.month, each.date.day)) for each in facts.dates),
        parties=tuple(Party(each.role, each.name) for each in facts.parties),
    )


def _money(amount: Amount) -> money_pb2.Money:
    units = int(amount.value)
    return money_pb2.Money(currency_code=amount.currency, units=units, nanos=int((amount.value - units) * _NANOS))
