import json
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import example, given
from hypothesis import strategies as st
from proofloop.audit.v1 import log_pb2
from proofloop.audit.v1 import log_service_pb2 as contract
from proofloop_audit.errors import DetailsNotJson, EventTimeInFuture
from proofloop_audit.log import conversion
from proofloop_audit.log.batch import Batch, Chain, Head
from proofloop_audit.log.domain import check_details, check_event_time
from proofloop_audit.log.sealing import Sealed
from proofloop_runtime.call import CallerType, background
from proofloop_runtime.interceptors import validation
from proofloop_verifier.leaf import MAX_LEAF_BYTES, Outcome, SubjectCommitment, parse_personal_part
from proofloop_verifier.merkle import CompactRange

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
)
NOW = datetime(2026, 1, 2, tzinfo=UTC)
SKEW = timedelta(minutes=10)


@given(values)
def test_any_json_text_is_accepted(value) -> None:
    check_details(json.dumps(value), "details_json")
    check_details(json.dumps(value, ensure_ascii=False, indent=2), "details_json")


@given(values, st.characters(categories=["Cs"]))
def test_a_lone_surrogate_is_refused_wherever_it_stands(value, surrogate) -> None:
    for hostile in ([value, surrogate], {"a": {surrogate: value}}, {"a": f"text {surrogate} text"}):
        with pytest.raises(DetailsNotJson):
            check_details(json.dumps(hostile), "details_json")


@given(st.dictionaries(texts, values, min_size=1, max_size=4), st.data())
def test_a_member_named_twice_is_refused(members, data) -> None:
    twice = data.draw(st.sampled_from(sorted(members)))
    pairs = [*members.items(), (twice, None)]
    text = ",".join(f"{json.dumps(name)}:{json.dumps(value)}" for name, value in pairs)
    with pytest.raises(DetailsNotJson):
        check_details(f"[{{{text}}}]", "details_json")


@given(st.integers(1, 200))
@example(64)
@example(65)
def test_arrays_and_objects_nest_up_to_64_deep(depth) -> None:
    for opening, closing in (("[", "]"), ('{"a":', "}")):
        text = opening * depth + "1" + closing * depth
        if depth <= 64:
            check_details(text, "details_json")
        else:
            with pytest.raises(DetailsNotJson):
                check_details(text, "details_json")


@given(st.text(max_size=40))
def test_other_text_is_refused_and_never_breaks_the_check(text) -> None:
    try:
        json.loads(text)
    except ValueError:
        if text:
            with pytest.raises(DetailsNotJson):
                check_details(text, "details_json")


@given(st.timedeltas(min_value=-timedelta(days=10_000), max_value=timedelta(days=10_000)))
def test_an_event_may_lie_ahead_by_the_skew_and_no_further(ahead) -> None:
    if ahead <= SKEW:
        check_event_time(NOW + ahead, NOW, SKEW, "draft.event_time")
    else:
        with pytest.raises(EventTimeInFuture):
            check_event_time(NOW + ahead, NOW, SKEW, "draft.event_time")


@given(st.fixed_dictionaries(dict.fromkeys(("reason", "ip_address", "user_agent", "details"), texts)))
def test_a_personal_part_holds_what_is_there_and_nothing_else(new_draft, personal) -> None:
    part = new_draft(actor_id="ann", **personal).personal_part()
    expected = {name: value for name, value in personal.items() if value}
    assert parse_personal_part(part) == expected | {"actor_id": "ann", "actor_type": "user", "subject": "user:ann"}


CHANGES = {
    "service": "prompts",
    "actor_type": CallerType.SERVICE,
    "actor_id": "user-2",
    "action": "prompt.cancelled",
    "outcome": Outcome.DENIED,
    "entity_type": "claim",
    "entity_id": "prompt-2",
    "event_time": NOW,
    "claim_id": "0190a000-0000-7000-8000-000000000001",
    "session_id": "session-1",
    "reason": "why",
    "ip_address": "203.0.113.7",
    "user_agent": "Browser/1.0",
    "details": "{}",
}


@pytest.mark.parametrize("field", CHANGES)
def test_entries_that_differ_in_what_happened_have_different_fingerprints(new_sealed, field) -> None:
    assert new_sealed().fingerprint != new_sealed(**{field: CHANGES[field]}).fingerprint


@given(texts, texts)
def test_neighbouring_fields_cannot_be_shifted_into_each_other(new_sealed, one, other) -> None:
    assert (
        new_sealed(entity_type=one, entity_id=other).fingerprint
        == new_sealed(entity_type=other, entity_id=one).fingerprint
    ) == (one == other)


def test_a_repetition_in_another_trace_has_the_same_fingerprint(new_sealed) -> None:
    assert new_sealed(trace_id="1" * 32, correlation_id="one").fingerprint == new_sealed().fingerprint


def test_the_longest_entry_of_the_contract_makes_a_leaf_that_is_far_from_too_long() -> None:
    # A control character takes six bytes of JSON, and nothing takes more.
    request = contract.AppendEntryRequest(
        request_id=str(uuid4()),
        draft=log_pb2.EntryDraft(
            event_time=Timestamp(seconds=1_767_225_600),
            actor=log_pb2.Actor(type=log_pb2.ACTOR_TYPE_USER, id="\x01" * 256),
            action="a." + "a" * 126,
            outcome=log_pb2.OUTCOME_SUCCESS,
            entity_type="e" * 64,
            entity_id="\x01" * 256,
            claim_id=str(uuid4()),
            reason="\x01" * 2000,
            session_id="\x01" * 128,
            correlation_id="\x01" * 128,
            trace_id="0" * 32,
            user_agent="\x01" * 512,
            details_json='"' + "d" * 65_534 + '"',
        ),
    )
    validation.check(request)
    draft = conversion.to_draft(request.request_id, request.draft, background("s" * 63, "t" * 63))
    batch = Batch(
        Head(CompactRange(), NOW), {request.draft.claim_id: Chain(2**53 - 2, bytes(32))}, NOW + timedelta(seconds=1)
    )
    batch.add(Sealed(draft, SubjectCommitment("0" * 32, bytes(32)), b"", b""))
    assert len(batch.entries[0].leaf) < MAX_LEAF_BYTES // 10
