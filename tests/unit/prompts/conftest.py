"""A prompt to work on, and the changes that can happen to it."""

from datetime import UTC, datetime, timedelta
from itertools import count

import pytest
from proofloop_prompts.prompts.domain import Act, Channel, Draft, Option, Priority, Shown, create
from proofloop_runtime.call import CallerType
from proofloop_runtime.events import Actor

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
LIFETIME = timedelta(hours=1)
ASSIGNEE = Actor(CallerType.USER, "u-17")
REVIEWER = Actor(CallerType.USER, "u-2")


@pytest.fixture
def shown():
    return Shown(
        question="Were 40 units delivered?",
        context="The invoice says 40, the ledger 28.",
        options=(Option("yes", "Yes"), Option("no", "No")),
        free_text_allowed=False,
    )


@pytest.fixture
def draft(shown):
    return Draft(
        claim_id="01890000-0000-7000-8000-000000000001",
        evidence_id=None,
        assignee_id=ASSIGNEE.id,
        shown=shown,
        priority=Priority.NORMAL,
        channel=Channel.IN_APP,
        expire_time=NOW + LIFETIME,
    )


@pytest.fixture
def act():
    """Make acts, each with an event id of its own."""
    numbers = count()

    def make(actor=ASSIGNEE, *, after=timedelta(0)):
        return Act(NOW + after, actor, reason="because", event_id=f"event-{next(numbers)}")

    return make


@pytest.fixture
def prompt(draft, act):
    return create(draft, prompt_id="prompt-1", act=act(REVIEWER))
