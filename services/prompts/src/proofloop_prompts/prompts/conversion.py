"""Between the contract's messages and the domain."""

from datetime import UTC, datetime
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp
from proofloop.prompts.v1 import prompts_pb2
from proofloop.prompts.v1 import prompts_service_pb2 as contract
from proofloop_runtime.call import CallerType

from proofloop_prompts.prompts.domain import Answer, Change, Channel, Draft, Option, Priority, Prompt, Shown, State
from proofloop_prompts.prompts.store import PromptFilter

STATES: Final = {state: prompts_pb2.PromptState.Value(f"PROMPT_STATE_{state.name}") for state in State}
PRIORITIES: Final = {priority: prompts_pb2.Priority.Value(f"PRIORITY_{priority.name}") for priority in Priority}
CHANNELS: Final = {channel: prompts_pb2.Channel.Value(f"CHANNEL_{channel.name}") for channel in Channel}
_STATES: Final = {value: state for state, value in STATES.items()}
_PRIORITIES: Final = {0: Priority.NORMAL} | {value: priority for priority, value in PRIORITIES.items()}
_CHANNELS: Final = {0: Channel.IN_APP} | {value: channel for channel, value in CHANNELS.items()}
_ACTOR_TYPES: Final = {kind: prompts_pb2.ActorType.Value(f"ACTOR_TYPE_{kind.name}") for kind in CallerType}


def to_draft(request: contract.CreatePromptRequest, default_expire_time: datetime) -> Draft:
    """Return the prompt that a caller asks for."""
    return Draft(
        claim_id=request.claim_id.lower(),
        evidence_id=request.evidence_id.lower() or None,
        assignee_id=request.assignee_id,
        shown=Shown(
            question=request.question,
            context=request.context,
            options=tuple(Option(option.id, option.label) for option in request.options),
            free_text_allowed=request.free_text_allowed,
        ),
        priority=_PRIORITIES[request.priority],
        channel=_CHANNELS[request.channel],
        expire_time=request.expire_time.ToDatetime(UTC) if request.HasField("expire_time") else default_expire_time,
    )


def to_answer(request: contract.AnswerPromptRequest) -> Answer:
    """Return the answer that a caller gives."""
    return Answer(option_id=request.option_id, text=request.text, shown_sha256=request.shown_sha256)


def to_filter(request: contract.ListPromptsRequest) -> PromptFilter:
    """Return what a caller wants listed."""
    return PromptFilter(
        claim_id=request.claim_id.lower() or None,
        assignee_id=request.assignee_id or None,
        states=frozenset(_STATES[state] for state in request.states),
    )


def from_prompt(prompt: Prompt) -> prompts_pb2.Prompt:
    """Return a prompt as callers see it."""
    draft, shown = prompt.draft, prompt.draft.shown
    created, updated = prompt.changes[0].act, prompt.changes[-1].act
    message = prompts_pb2.Prompt(
        prompt_id=prompt.prompt_id,
        claim_id=draft.claim_id,
        evidence_id=draft.evidence_id or "",
        assignee_id=draft.assignee_id,
        question=shown.question,
        context=shown.context,
        options=from_options(shown.options),
        free_text_allowed=shown.free_text_allowed,
        shown_sha256=shown.sha256,
        priority=PRIORITIES[draft.priority],
        channel=CHANNELS[draft.channel],
        state=STATES[prompt.state],
        expire_time=timestamp(draft.expire_time),
        create_time=timestamp(created.time),
        update_time=timestamp(updated.time),
        changes=[_change(change) for change in prompt.changes],
        last_event_id=updated.event_id,
        etag=prompt.etag,
    )
    delivered = prompt.entry_into(State.DELIVERED)
    if delivered is not None:
        message.deliver_time.CopyFrom(timestamp(delivered.time))
    if prompt.answer is not None:
        answer = prompt.answer
        message.answer.option_id = answer.option_id
        message.answer.text = answer.text
        message.answer.shown_sha256 = answer.shown_sha256
        message.answer.answer_time.CopyFrom(timestamp(updated.time))
    return message


def from_options(options: tuple[Option, ...]) -> list[prompts_pb2.Option]:
    """Return the answers offered."""
    return [prompts_pb2.Option(id=option.id, label=option.label) for option in options]


def timestamp(time: datetime) -> Timestamp:
    """Return the time as a message."""
    message = Timestamp()
    message.FromDatetime(time)
    return message


def _change(change: Change) -> prompts_pb2.StateChange:
    act = change.act
    return prompts_pb2.StateChange(
        state=STATES[change.state],
        change_time=timestamp(act.time),
        actor_type=_ACTOR_TYPES[act.actor.type],
        actor_id=act.actor.id,
        reason=act.reason,
        event_id=act.event_id,
    )
