"""A prompt, the states it may take, and what each change demands.

Nothing here reads a clock, draws an id or touches a store: times and ids come in, a new `Prompt` comes out,
and a change that is refused raises and leaves everything as it was.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from proofloop_runtime.call import CallerType
from proofloop_runtime.errors import NotOwner, PreconditionViolation
from proofloop_runtime.events import Actor
from proofloop_verifier import canonical

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

MAX_LIFETIME: Final = timedelta(days=366)
"""How far ahead a prompt may expire."""


class State(StrEnum):
    """Where a prompt stands."""

    PENDING = "pending"
    DELIVERED = "delivered"
    ANSWERED = "answered"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


TRANSITIONS: Final[Mapping[State, frozenset[State]]] = {
    # An assignee may know a prompt from a list, which delivers nothing: hence pending to answered.
    State.PENDING: frozenset({State.DELIVERED, State.ANSWERED, State.EXPIRED, State.CANCELLED}),
    State.DELIVERED: frozenset({State.ANSWERED, State.EXPIRED, State.CANCELLED}),
    State.ANSWERED: frozenset(),
    State.EXPIRED: frozenset(),
    State.CANCELLED: frozenset(),
}
"""The states that each state may go to. Whatever does not stand here is refused."""

OPEN: Final = frozenset(state for state, following in TRANSITIONS.items() if following)
"""The states in which a prompt still waits for its answer."""


class Priority(StrEnum):
    """How much a prompt matters to the order of its assignee's work."""

    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"
    URGENT = "urgent"


class Channel(StrEnum):
    """Where the assignee should be reached."""

    IN_APP = "in_app"
    EMAIL = "email"
    SMS = "sms"


@dataclass(frozen=True, slots=True)
class Option:
    """One of the answers that a prompt offers."""

    id: str
    label: str


@dataclass(frozen=True, slots=True)
class Shown:
    """Everything that the assignee has before their eyes, and nothing else.

    `kept_sha256` is not empty once the assignee was erased and the texts with them.
    """

    question: str
    context: str
    options: tuple[Option, ...]
    free_text_allowed: bool
    kept_sha256: str = ""

    @property
    def sha256(self) -> str:
        """SHA-256 of the canonical JSON (RFC 8785) of what is, or was, shown, 64 hex digits."""
        if self.kept_sha256:
            return self.kept_sha256
        document = canonical.dumps(
            {
                "question": self.question,
                "context": self.context,
                "options": [{"id": option.id, "label": option.label} for option in self.options],
                "free_text_allowed": self.free_text_allowed,
            }
        )
        return hashlib.sha256(document).hexdigest()

    def option(self, option_id: str) -> Option | None:
        """The option of this id, if it is offered."""
        return next((option for option in self.options if option.id == option_id), None)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the assignee said, bound to what they were shown.

    `option_id` or `text` may be empty; both only where the assignee was erased.
    """

    option_id: str
    text: str
    shown_sha256: str


@dataclass(frozen=True, slots=True)
class Act:
    """Somebody does something to a prompt: when, who, why, and under which event it becomes known."""

    time: datetime
    actor: Actor
    reason: str
    event_id: str


@dataclass(frozen=True, slots=True)
class Change:
    """An act brought the prompt into a state."""

    state: State
    act: Act


@dataclass(frozen=True, slots=True)
class Draft:
    """A prompt as it is asked for. `evidence_id` is None where it is about no evidence item."""

    claim_id: str
    evidence_id: str | None
    assignee_id: str
    shown: Shown
    priority: Priority
    channel: Channel
    expire_time: datetime


@dataclass(frozen=True, slots=True)
class Prompt:
    """A question to one person about one claim, and all that became of it, oldest change first."""

    prompt_id: str
    draft: Draft
    changes: tuple[Change, ...]
    answer: Answer | None = None

    @property
    def state(self) -> State:
        """Where it stands."""
        return self.changes[-1].state

    @property
    def etag(self) -> str:
        """Another one after every change: the id of the last change's event."""
        return self.changes[-1].act.event_id

    def entry_into(self, state: State) -> Act | None:
        """What brought it into `state`, if it was ever there."""
        return next((change.act for change in self.changes if change.state is state), None)

    def is_overdue(self, now: datetime) -> bool:
        """Whether its time has run out, though the expiry may not have been recorded yet."""
        return now >= self.draft.expire_time

    def awaits_delivery_to(self, person_id: str, now: datetime) -> bool:
        """Whether handing it to `person_id` now is its delivery."""
        return self.state is State.PENDING and person_id == self.draft.assignee_id and not self.is_overdue(now)


def create(draft: Draft, *, prompt_id: str, act: Act) -> Prompt:
    """A pending prompt. ExpireTimeOutOfRange unless it expires after `act.time`, within `MAX_LIFETIME`."""
    if not act.time < draft.expire_time <= act.time + MAX_LIFETIME:
        raise ExpireTimeOutOfRange(
            f"expire_time must be after {_rfc3339(act.time)} by at most {MAX_LIFETIME.days} days",
            field="expire_time",
        )
    return Prompt(prompt_id=prompt_id, draft=draft, changes=(Change(State.PENDING, act),))


def deliver(prompt: Prompt, act: Act) -> Prompt:
    """The prompt as handed to its assignee, who must be the actor. Refuses as `answer` does by state."""
    _require_assignee(prompt, act.actor)
    return _advance(prompt, State.DELIVERED, act)


def answer(prompt: Prompt, given: Answer, act: Act) -> Prompt:
    """The prompt with its answer.

    Raises, in this order: NotOwner; PromptAnswered, PromptCancelled or PromptExpired (the last also when
    the time has run out and nobody recorded it yet); ShownDiffers; OptionUnknown; FreeTextNotAllowed.
    """
    _require_assignee(prompt, act.actor)
    answered = _advance(prompt, State.ANSWERED, act)
    shown = prompt.draft.shown
    if given.shown_sha256 != shown.sha256:
        raise ShownDiffers(
            "the answer is bound to another text than this prompt shows",
            violations=[_violation(prompt, "shown_sha256 differs")],
            shown_sha256=shown.sha256,
        )
    if given.option_id and shown.option(given.option_id) is None:
        offered = ",".join(option.id for option in shown.options)
        raise OptionUnknown(f"the prompt offers no option {given.option_id!r}", field="option_id", options=offered)
    if given.text and not shown.free_text_allowed:
        raise FreeTextNotAllowed("the prompt takes one of its options and no text", field="text")
    return replace(answered, answer=given)


def expire(prompt: Prompt, act: Act) -> Prompt:
    """The prompt as expired; its time must have run out."""
    if not prompt.is_overdue(act.time):
        raise ValueError(f"prompt {prompt.prompt_id} is not due before {prompt.draft.expire_time}")
    return _advance(prompt, State.EXPIRED, act)


def cancel(prompt: Prompt, act: Act, *, etag: str = "") -> Prompt:
    """The prompt as withdrawn. EtagStale if another `etag` is given; else refuses by state, as `answer`."""
    if etag and etag != prompt.etag:
        raise EtagStale("the prompt changed since this etag was handed out", etag=prompt.etag)
    return _advance(prompt, State.CANCELLED, act)


def _advance(prompt: Prompt, state: State, act: Act) -> Prompt:
    if state not in TRANSITIONS[prompt.state]:
        raise _refusal(prompt, state)
    if state is not State.EXPIRED and prompt.is_overdue(act.time):
        raise _expired(prompt)
    # Replicas' clocks differ by a little; a prompt's history never runs backwards.
    in_order = replace(act, time=max(act.time, prompt.changes[-1].act.time))
    return replace(prompt, changes=(*prompt.changes, Change(state, in_order)))


def _require_assignee(prompt: Prompt, actor: Actor) -> None:
    if actor.type is not CallerType.USER or actor.id != prompt.draft.assignee_id:
        raise NotOwner("the prompt is assigned to somebody else")


def _refusal(prompt: Prompt, state: State) -> Exception:
    """What to raise when a prompt in its present state cannot go to `state`."""
    match prompt.state:
        case State.EXPIRED:
            return _expired(prompt)
        case State.ANSWERED:
            return PromptAnswered("the prompt is answered", violations=[_violation(prompt, "answered")])
        case State.CANCELLED:
            return PromptCancelled("the prompt was cancelled", violations=[_violation(prompt, "cancelled")])
        case _:
            return ValueError(f"a {prompt.state} prompt cannot become {state}")


def _expired(prompt: Prompt) -> PromptExpired:
    expire_time = _rfc3339(prompt.draft.expire_time)
    return PromptExpired(
        f"the prompt expired at {expire_time}",
        violations=[_violation(prompt, "expired")],
        expire_time=expire_time,
    )


def _violation(prompt: Prompt, description: str) -> PreconditionViolation:
    return PreconditionViolation(type="STATE", subject=f"prompts/{prompt.prompt_id}", description=description)


def _rfc3339(time: datetime) -> str:
    return time.isoformat().replace("+00:00", "Z")
