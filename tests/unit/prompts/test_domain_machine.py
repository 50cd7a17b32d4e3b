"""Whatever happens to a prompt, in whatever order, it behaves like a model of five lines."""

from datetime import UTC, datetime, timedelta
from itertools import count, pairwise

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from proofloop_prompts import errors
from proofloop_prompts.prompts import domain
from proofloop_prompts.prompts.domain import State
from proofloop_runtime.call import CallerType
from proofloop_runtime.errors import NotOwner
from proofloop_runtime.events import Actor

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
FINAL = {
    State.ANSWERED: errors.PromptAnswered,
    State.EXPIRED: errors.PromptExpired,
    State.CANCELLED: errors.PromptCancelled,
}
ASSIGNEE, REVIEWER = Actor(CallerType.USER, "u-17"), Actor(CallerType.USER, "u-2")
actors = st.sampled_from([ASSIGNEE, REVIEWER, Actor(CallerType.SERVICE, "u-17")])


class PromptMachine(RuleBasedStateMachine):
    """Drives one prompt with right and wrong requests, early and late, and predicts each outcome."""

    @initialize(free_text=st.booleans(), minutes=st.integers(1, 5))
    def ask(self, free_text, minutes):
        self.now, self.numbers = NOW, count()
        self.shown = domain.Shown("Why?", "", (domain.Option("a", "A"), domain.Option("b", "B")), free_text)
        draft = domain.Draft(
            claim_id="claim",
            evidence_id=None,
            assignee_id="u-17",
            shown=self.shown,
            priority=domain.Priority.NORMAL,
            channel=domain.Channel.IN_APP,
            expire_time=NOW + timedelta(minutes=minutes),
        )
        self.prompt = domain.create(draft, prompt_id="p", act=self.act(REVIEWER))
        self.history = [State.PENDING]

    def act(self, actor):
        return domain.Act(self.now, actor, "because", event_id=str(next(self.numbers)))

    def expect(self, expected, state, action):
        """`action` moves the prompt to `state`, or raises exactly `expected` and moves nothing."""
        if expected is not None:
            with pytest.raises(expected):
                action()
        else:
            self.prompt = action()
            self.history.append(state)

    @property
    def closed(self):
        """The refusal that the prompt's state or time demands, if any."""
        late = errors.PromptExpired if self.now >= self.prompt.draft.expire_time else None
        return FINAL.get(self.history[-1], late)

    @rule(minutes=st.integers(0, 3))
    def wait(self, minutes):
        self.now += timedelta(minutes=minutes)

    @rule(actor=actors)
    def deliver(self, actor):
        mine = actor == ASSIGNEE
        # No caller can ask for a second delivery: it is a defect, not a refusal.
        twice = ValueError if self.history[-1] is State.DELIVERED else None
        expected = (twice or self.closed) if mine else NotOwner
        act = self.act(actor)
        self.expect(expected, State.DELIVERED, lambda: domain.deliver(self.prompt, act))

    @rule(
        actor=actors,
        bound=st.booleans(),
        option=st.sampled_from(["a", "b", "", "c"]),
        text=st.sampled_from(["", "hm"]),
    )
    def answer(self, actor, bound, option, text):
        given = domain.Answer(option, text, self.shown.sha256 if bound else "0" * 64)
        mine = actor == ASSIGNEE
        wrong_text = errors.FreeTextNotAllowed if text and not self.shown.free_text_allowed else None
        wrong = errors.OptionUnknown if option == "c" else wrong_text
        expected = (self.closed or (wrong if bound else errors.ShownDiffers)) if mine else NotOwner
        act = self.act(actor)
        self.expect(expected, State.ANSWERED, lambda: domain.answer(self.prompt, given, act))

    @rule()
    def expire(self):
        late = self.now >= self.prompt.draft.expire_time
        expected = FINAL.get(self.history[-1]) if late else ValueError
        act = self.act(Actor(CallerType.SERVICE, "prompts"))
        self.expect(expected, State.EXPIRED, lambda: domain.expire(self.prompt, act))

    @rule(actor=actors, fresh=st.booleans())
    def cancel(self, actor, fresh):
        expected = self.closed if fresh else errors.EtagStale
        act = self.act(actor)
        etag = self.prompt.etag if fresh else "other"
        self.expect(expected, State.CANCELLED, lambda: domain.cancel(self.prompt, act, etag=etag))

    @invariant()
    def the_history_is_what_was_accepted_and_no_longer_than_three(self):
        assert [change.state for change in self.prompt.changes] == self.history
        assert len(self.history) <= 3

    @invariant()
    def every_step_stands_in_the_table_and_time_runs_forward(self):
        for before, after in pairwise(self.prompt.changes):
            assert after.state in domain.TRANSITIONS[before.state]
            assert before.act.time <= after.act.time

    @invariant()
    def there_is_an_answer_exactly_when_the_prompt_is_answered(self):
        assert (self.prompt.answer is not None) == (self.prompt.state is State.ANSWERED)


PromptMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=15, deadline=None)
TestPromptMachine = PromptMachine.TestCase
