"""What the prompts service publishes, and what of other services' events it takes in."""

from datetime import datetime
from uuid import UUID

from google.protobuf.message import Message
from proofloop.prompts.v1 import events_pb2
from proofloop.prompts.v1.prompts_pb2 import FeedEvent
from proofloop_runtime.consuming import PermanentFailure
from proofloop_runtime.events import Envelope, Event

from proofloop_prompts.prompts import conversion
from proofloop_prompts.prompts.domain import Prompt, State

SERVICE = "prompts"
CREATED = "prompt.created"
"""Feed type of the event that brings a prompt to its assignee."""

_VERBS = {
    State.PENDING: "created",
    State.DELIVERED: "delivered",
    State.ANSWERED: "answered",
    State.EXPIRED: "expired",
    State.CANCELLED: "cancelled",
}


def of_change(prompt: Prompt) -> Event:
    """Return the event of a prompt's last change."""
    act = prompt.changes[-1].act
    return Event(
        event_id=act.event_id,
        noun="prompt",
        verb=_VERBS[prompt.state],
        message=_data(prompt),
        time=act.time,
        entity_type="prompt",
        entity_id=prompt.prompt_id,
        actor=act.actor,
        claim_id=prompt.draft.claim_id,
        reason=act.reason,
    )


def to_feed(event: Event, prompt: Prompt) -> FeedEvent:
    """Return a prompt's event as it stands in feeds."""
    return FeedEvent(
        event_id=event.event_id,
        type=f"{event.noun}.{event.verb}",
        event_time=conversion.timestamp(event.time),
        claim_id=prompt.draft.claim_id,
        service=SERVICE,
        entity_type=event.entity_type,
        entity_id=event.entity_id,
        prompt=conversion.from_prompt(prompt),
    )


def foreign_to_feed(event: Envelope) -> FeedEvent:
    """Return another service's event as it stands in its claim's feed.

    Raises:
        PermanentFailure: its time or its claim is not what events carry.
    """
    try:
        time, claim_id = datetime.fromisoformat(event.time), str(UUID(event.claim_id))
    except ValueError as error:
        raise PermanentFailure("the event's time or claim id is malformed") from error
    return FeedEvent(
        event_id=event.event_id,
        type=event.action,
        event_time=conversion.timestamp(time),
        claim_id=claim_id,
        service=event.service,
        entity_type=event.entity_type,
        entity_id=event.entity_id,
    )


def _data(prompt: Prompt) -> Message:
    draft, shown = prompt.draft, prompt.draft.shown
    match prompt.state:
        case State.PENDING:
            return events_pb2.PromptCreated(
                prompt_id=prompt.prompt_id,
                claim_id=draft.claim_id,
                evidence_id=draft.evidence_id or "",
                assignee_id=draft.assignee_id,
                question=shown.question,
                context=shown.context,
                options=conversion.from_options(shown.options),
                free_text_allowed=shown.free_text_allowed,
                shown_sha256=shown.sha256,
                priority=conversion.PRIORITIES[draft.priority],
                channel=conversion.CHANNELS[draft.channel],
                expire_time=conversion.timestamp(draft.expire_time),
            )
        case State.DELIVERED:
            return events_pb2.PromptDelivered(
                prompt_id=prompt.prompt_id,
                claim_id=draft.claim_id,
                assignee_id=draft.assignee_id,
                shown_sha256=shown.sha256,
            )
        case State.ANSWERED:
            return _answered(prompt)
        case State.EXPIRED:
            return events_pb2.PromptExpired(
                prompt_id=prompt.prompt_id,
                claim_id=draft.claim_id,
                assignee_id=draft.assignee_id,
                expire_time=conversion.timestamp(draft.expire_time),
            )
        case State.CANCELLED:
            return events_pb2.PromptCancelled(
                prompt_id=prompt.prompt_id,
                claim_id=draft.claim_id,
                assignee_id=draft.assignee_id,
                reason=prompt.changes[-1].act.reason,
            )


def _answered(prompt: Prompt) -> events_pb2.PromptAnswered:
    answer, draft = prompt.answer, prompt.draft
    if answer is None:
        raise ValueError(f"prompt {prompt.prompt_id} is answered without an answer")
    option = draft.shown.option(answer.option_id)
    return events_pb2.PromptAnswered(
        prompt_id=prompt.prompt_id,
        claim_id=draft.claim_id,
        evidence_id=draft.evidence_id or "",
        assignee_id=draft.assignee_id,
        option_id=answer.option_id,
        option_label=option.label if option else "",
        text=answer.text,
        shown_sha256=answer.shown_sha256,
    )
