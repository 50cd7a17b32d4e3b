"""What a claim is made of."""

from datetime import UTC, date, datetime
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st
from proofloop_packets.claims import facts as facts_json
from proofloop_packets.claims.domain import (
    Amount,
    ClaimFacts,
    ClaimState,
    Identifier,
    NamedDate,
    Party,
    open_claim,
)

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)

names = st.from_regex(r"[a-z][a-z0-9_]{0,10}", fullmatch=True)
facts = st.builds(
    ClaimFacts,
    narrative=st.text(max_size=50),
    identifiers=st.lists(st.builds(Identifier, names, st.text(min_size=1)), max_size=3).map(tuple),
    amounts=st.lists(
        st.builds(
            Amount,
            names,
            st.just("EUR"),
            st.decimals(-(10**18), 10**18, allow_nan=False, allow_infinity=False, places=9),
        ),
        max_size=3,
    ).map(tuple),
    dates=st.lists(st.builds(NamedDate, names, st.dates()), max_size=3).map(tuple),
    parties=st.lists(st.builds(Party, names, st.text(min_size=1)), max_size=3).map(tuple),
)


def opened(asserted: ClaimFacts):
    return open_claim(claim_id="c", title="t", kind="k", owner_id="o", facts=asserted, event_id="e", now=NOW)


def test_a_claim_without_facts_is_a_draft():
    assert opened(ClaimFacts()).state is ClaimState.DRAFT


def test_a_claim_with_any_fact_waits_for_evidence():
    assert opened(ClaimFacts(narrative="lost")).state is ClaimState.EVIDENCE_PENDING


def test_a_new_claim_names_the_event_that_tells_of_it():
    claim = opened(ClaimFacts())
    assert (claim.version, claim.last_event_id, claim.create_time, claim.update_time) == (1, "e", NOW, NOW)


@given(facts)
def test_facts_come_back_from_json_as_they_were(asserted: ClaimFacts):
    assert facts_json.from_json(facts_json.to_json(asserted)) == asserted


def test_amounts_and_dates_are_told_exactly():
    told = facts_json.to_json(
        ClaimFacts(
            amounts=(Amount("invoiced", "USD", Decimal("1E+3")), Amount("fee", "USD", Decimal("0.1050"))),
            dates=(NamedDate("shipped", date(2026, 1, 2)),),
        )
    )
    assert told["amounts"] == [
        {"name": "invoiced", "amount": {"amount": "1000.00", "currency": "USD"}},
        {"name": "fee", "amount": {"amount": "0.1050", "currency": "USD"}},
    ]
    assert told["dates"] == [{"name": "shipped", "date": "2026-01-02"}]
