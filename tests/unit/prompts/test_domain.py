import hashlib
from dataclasses import replace
from datetime import timedelta

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st
from proofloop_prompts.errors import (
    EtagStale,
    ExpireTimeOutOfRange,
    FreeTextNotAllowed,
    OptionUnknown,
    PromptAnswered,
    PromptCancelled,
    PromptExpired,
    ShownDiffers,
)
from proofloop_prompts.prompts.domain import (
    MAX_LIFETIME,
    OPEN,
    TRANSITIONS,
    Answer,
    Option,
    Shown,
    State,
    answer,
    cancel,
    create,
    deliver,
    expire,
)
from proofloop_runtime.call import CallerType
from proofloop_runtime.errors import NotOwner
from proofloop_runtime.events import Actor

LIFETIME = timedelta(hours=1)
MOMENT = timedelta(microseconds=1)
REVIEWER = Actor(CallerType.USER, "u-2")
SERVICE = Actor(CallerType.SERVICE, "prompts")

text = st.text(st.characters(exclude_categories=["Cs"]))
options = st.builds(Option, id=text, label=text)
everything_shown = st.builds(
    Shown, question=text, context=text, options=st.lists(options).map(tuple), free_text_allowed=st.booleans()
)


@pytest.fixture
def yes(shown):
    return Answer(option_id="yes", text="", shown_sha256=shown.sha256)


@given(everything_shown)
def test_the_hash_is_that_of_the_document_the_contract_describes(shown):
    document = {
        "context": shown.context,
        "free_text_allowed": shown.free_text_allowed,
        "options": [{"id": option.id, "label": option.label} for option in shown.options],
        "question": shown.question,
    }
    assert shown.sha256 == hashlib.sha256(rfc8785.dumps(document)).hexdigest()


def test_the_hash_of_a_known_prompt_never_changes(shown):
    assert shown.sha256 == "0acee08b3d92394ea5af0ef5757095385dcbb51961f27cf0eb2e4517119c5f24"


@given(everything_shown, everything_shown)
def test_two_prompts_that_show_different_things_have_different_hashes(one, other):
    assert (one.sha256 == other.sha256) == (one == other)


def test_states_that_lead_nowhere_are_final_and_the_rest_are_open():
    assert {State.PENDING, State.DELIVERED} == OPEN
    assert set(TRANSITIONS) == set(State)
    assert not any(State.PENDING in following for following in TRANSITIONS.values())


@pytest.mark.parametrize("lifetime", [timedelta(0), -MOMENT, MAX_LIFETIME + MOMENT])
def test_a_prompt_expires_after_its_creation_and_within_the_longest_lifetime(draft, act, lifetime):
    asking = act(REVIEWER)
    with pytest.raises(ExpireTimeOutOfRange) as refusal:
        create(replace(draft, expire_time=asking.time + lifetime), prompt_id="p", act=asking)
    assert [violation.field for violation in refusal.value.violations] == ["expire_time"]


def test_a_prompt_may_live_for_exactly_the_longest_lifetime(draft, act):
    asking = act(REVIEWER)
    longest = replace(draft, expire_time=asking.time + MAX_LIFETIME)
    assert create(longest, prompt_id="p", act=asking).state is State.PENDING


def test_only_a_pending_prompt_in_time_awaits_delivery_and_only_to_its_assignee(prompt, act):
    now = prompt.changes[0].act.time
    assert prompt.awaits_delivery_to("u-17", now)
    assert not prompt.awaits_delivery_to("u-2", now)
    assert not prompt.awaits_delivery_to(None, now)
    assert not prompt.awaits_delivery_to("u-17", prompt.draft.expire_time)
    assert not deliver(prompt, act()).awaits_delivery_to("u-17", now)


def test_an_answer_is_kept_with_the_hash_of_what_was_shown(prompt, act, yes):
    answered = answer(deliver(prompt, act()), yes, act())
    assert answered.state is State.ANSWERED
    assert answered.answer == yes
    assert [step.state for step in answered.changes] == [State.PENDING, State.DELIVERED, State.ANSWERED]


def test_a_prompt_known_from_a_list_may_be_answered_without_delivery(prompt, act, yes):
    answered = answer(prompt, yes, act())
    assert answered.entry_into(State.DELIVERED) is None


def test_every_change_has_another_etag(prompt, act, yes):
    delivered = deliver(prompt, act())
    answered = answer(delivered, yes, act())
    assert len({prompt.etag, delivered.etag, answered.etag}) == 3


@pytest.mark.parametrize("actor", [REVIEWER, Actor(CallerType.SERVICE, "u-17")])
def test_nobody_but_the_assignee_answers(prompt, act, yes, actor):
    with pytest.raises(NotOwner):
        answer(prompt, yes, act(actor))


def test_nobody_but_the_assignee_takes_delivery(prompt, act):
    with pytest.raises(NotOwner):
        deliver(prompt, act(REVIEWER))


def test_an_answer_to_another_text_is_refused_with_the_hash_it_needs(prompt, act, yes, shown):
    with pytest.raises(ShownDiffers) as refusal:
        answer(prompt, replace(yes, shown_sha256="0" * 64), act())
    assert refusal.value.metadata["shown_sha256"] == shown.sha256


def test_an_option_that_is_not_offered_is_refused_with_those_that_are(prompt, act, yes):
    with pytest.raises(OptionUnknown) as refusal:
        answer(prompt, replace(yes, option_id="maybe"), act())
    assert [violation.field for violation in refusal.value.violations] == ["option_id"]
    assert refusal.value.metadata["options"] == "yes,no"


def test_text_is_refused_where_only_options_are_taken(prompt, act, yes):
    with pytest.raises(FreeTextNotAllowed) as refusal:
        answer(prompt, replace(yes, text="Some were broken."), act())
    assert [violation.field for violation in refusal.value.violations] == ["text"]


def test_text_may_stand_beside_an_option_or_alone_where_it_is_allowed(draft, act, shown):
    open_question = replace(shown, free_text_allowed=True)
    asked = create(replace(draft, shown=open_question), prompt_id="p", act=act(REVIEWER))
    for option_id in ("yes", ""):
        said = Answer(option_id, "Some were broken.", open_question.sha256)
        assert answer(asked, said, act()).answer == said


def test_a_second_answer_is_refused(prompt, act, yes):
    answered = answer(prompt, yes, act())
    with pytest.raises(PromptAnswered) as refusal:
        answer(answered, yes, act())
    (violation,) = refusal.value.violations
    assert violation.subject == "prompts/prompt-1"


def test_an_answer_just_in_time_counts_and_one_at_the_expiry_does_not(prompt, act, yes):
    assert answer(prompt, yes, act(after=LIFETIME - MOMENT)).state is State.ANSWERED
    with pytest.raises(PromptExpired) as refusal:
        answer(prompt, yes, act(after=LIFETIME))
    assert refusal.value.metadata["expire_time"] == "2026-01-02T04:04:05Z"


def test_an_overdue_prompt_cannot_be_cancelled_though_nobody_recorded_its_expiry(prompt, act):
    with pytest.raises(PromptExpired):
        cancel(prompt, act(REVIEWER, after=LIFETIME))


def test_a_prompt_does_not_expire_before_its_time(prompt, act):
    with pytest.raises(ValueError, match="not due"):
        expire(prompt, act(SERVICE, after=LIFETIME - MOMENT))


def test_final_states_refuse_answers_and_cancellations_each_with_its_own_reason(prompt, act, yes):
    answered = answer(prompt, yes, act())
    cancelled = cancel(prompt, act(REVIEWER))
    expired = expire(prompt, act(SERVICE, after=LIFETIME))
    for final, reason in ((answered, PromptAnswered), (cancelled, PromptCancelled), (expired, PromptExpired)):
        with pytest.raises(reason):
            answer(final, yes, act())
        with pytest.raises(reason):
            cancel(final, act(REVIEWER))


def test_a_cancellation_under_a_stale_etag_is_refused(prompt, act):
    delivered = deliver(prompt, act())
    with pytest.raises(EtagStale):
        cancel(delivered, act(REVIEWER), etag=prompt.etag)
    cancelled = cancel(delivered, act(REVIEWER), etag=delivered.etag)
    assert cancelled.state is State.CANCELLED


def test_history_never_runs_backwards_though_a_replicas_clock_does(prompt, act):
    delivered = deliver(prompt, act(after=timedelta(seconds=-3)))
    assert delivered.changes[-1].act.time == prompt.changes[0].act.time
