import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st
from proofloop_prompts.errors import ResumeTokenInvalid
from proofloop_prompts.prompts.feed import EventTypes, Position, Recipient

CLAIM = "01890000-0000-7000-8000-000000000001"
people = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)
recipients = people.map(Recipient.person) | st.uuids().map(str).map(Recipient.claim)


def encoded(text):
    return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()


@given(recipients, st.integers(0, 10**18 - 1))
def test_a_token_leads_back_to_its_position(recipient, sequence):
    position = Position(recipient, sequence)
    assert Position.from_token(position.token(), recipient=recipient) == position


@given(recipients, recipients.filter(bool))
def test_a_token_of_another_feed_is_refused(one, other):
    if one == other:
        return
    with pytest.raises(ResumeTokenInvalid, match="another feed"):
        Position.from_token(Position(one, 1).token(), recipient=other)


@pytest.mark.parametrize(
    "token",
    ["", "!", "a", "ä", encoded("claim"), encoded(f"claim-{CLAIM}:-1"), encoded(f"claim-{CLAIM}:01"),
     encoded(f"claim-{CLAIM}:1\n"), encoded(f"claim-{CLAIM}:{10**18}"), "_w"],
)  # fmt: skip
def test_what_is_no_token_is_refused_and_the_field_is_named(token):
    with pytest.raises(ResumeTokenInvalid) as refusal:
        Position.from_token(token, recipient=Recipient.claim(CLAIM))
    assert [violation.field for violation in refusal.value.violations] == ["resume_token"]


@given(people)
def test_a_persons_key_is_one_token_of_a_subject_and_does_not_hold_their_name(person):
    key = Recipient.person(person).key
    assert key.removeprefix("user-").isalnum()
    assert len(key) == len("user-") + 64


def test_the_feed_of_a_person_is_never_that_of_a_claim():
    assert Recipient.person(CLAIM) != Recipient.claim(CLAIM)


@pytest.mark.parametrize(
    ("wanted", "admitted"),
    [
        ([], True),
        (["prompt.created"], True),
        (["prompt.*"], True),
        (["packet.*", "prompt.created"], True),
        (["prompt.answered"], False),
        (["prompts.*"], False),
    ],
)
def test_a_reader_gets_the_types_it_asked_for(wanted, admitted):
    assert EventTypes.of(wanted).admit("prompt.created") is admitted
