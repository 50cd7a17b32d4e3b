"""The JSON form of a claim's facts: how they are stored, and how a packet tells them.

Amounts are decimal text and dates ISO 8601, so that nothing is rounded and nothing is guessed.
"""

from datetime import date
from decimal import Decimal

from proofloop_packets.claims.domain import Amount, ClaimFacts, Identifier, NamedDate, Party
from proofloop_packets.packets import snapshot

_CENT = Decimal("0.01")


def to_json(facts: ClaimFacts) -> snapshot.ClaimFacts:
    """Return the facts as a JSON object; amounts have two decimal places, or as many as they need."""
    return {
        "narrative": facts.narrative,
        "identifiers": [{"kind": each.kind, "value": each.value} for each in facts.identifiers],
        "amounts": [
            {"name": each.name, "amount": {"amount": _plain(each.value), "currency": each.currency}}
            for each in facts.amounts
        ],
        "dates": [{"name": each.name, "date": each.date.isoformat()} for each in facts.dates],
        "parties": [{"role": each.role, "name": each.name} for each in facts.parties],
    }


def from_json(stored: snapshot.ClaimFacts) -> ClaimFacts:
    """Return the facts that `to_json` wrote."""
    return ClaimFacts(
        narrative=stored["narrative"],
        identifiers=tuple(Identifier(each["kind"], each["value"]) for each in stored["identifiers"]),
        amounts=tuple(
            Amount(each["name"], each["amount"]["currency"], Decimal(each["amount"]["amount"]))
            for each in stored["amounts"]
        ),
        dates=tuple(NamedDate(each["name"], date.fromisoformat(each["date"])) for each in stored["dates"]),
        parties=tuple(Party(each["role"], each["name"]) for each in stored["parties"]),
    )


def _plain(value: Decimal) -> str:
    exponent = value.as_tuple().exponent
    return format(value.quantize(_CENT) if isinstance(exponent, int) and exponent > -2 else value, "f")
