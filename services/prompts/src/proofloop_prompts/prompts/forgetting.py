"""What prompts and their feeds forget of an erased person. States, times, ids and hashes stay."""

from collections.abc import Collection
from dataclasses import replace

from proofloop.prompts.v1 import prompts_pb2
from proofloop_runtime.call import CallerType
from proofloop_runtime.database import UnitOfWork
from proofloop_runtime.events import Actor

from proofloop_prompts.prompts import feed_store, store
from proofloop_prompts.prompts.domain import Change, Prompt
from proofloop_prompts.prompts.feed import Recipient

_BATCH = 200
_NOBODY = Actor(CallerType.USER, "")


async def forget(unit: UnitOfWork, person_id: str) -> None:
    """Blank every prompt that was put to a person or that they changed, in the feeds too; remove their own feed."""
    after: str | None = None
    while prompts := await store.lock_of_person(unit, person_id, after=after, limit=_BATCH):
        await store.blank(unit, [without(prompt, person_id) for prompt in prompts])
        await _forget_in_feeds(unit, prompts, person_id)
        after = prompts[-1].prompt_id
    await feed_store.remove(unit, Recipient.person(person_id))


def without(prompt: Prompt, person_id: str) -> Prompt:
    """The prompt without what it says of a person.

    Of one that was put to them, that is what they were asked and what was said about it; of another one, what they did.
    """
    addressed = prompt.draft.assignee_id == person_id
    changes = tuple(_change_without(change, person_id, addressed=addressed) for change in prompt.changes)
    if not addressed:
        return replace(prompt, changes=changes)
    shown = replace(prompt.draft.shown, question="", context="", kept_sha256=prompt.draft.shown.sha256)
    return replace(
        prompt,
        draft=replace(prompt.draft, assignee_id="", shown=shown),
        changes=changes,
        answer=prompt.answer and replace(prompt.answer, text=""),
    )


def blank(message: prompts_pb2.Prompt, person_id: str) -> None:
    """Take from a prompt in a feed what `without` takes from the prompt itself."""
    addressed = message.assignee_id == person_id
    if addressed:
        for field in ("assignee_id", "question", "context"):
            message.ClearField(field)
        if message.HasField("answer"):
            message.answer.ClearField("text")
    for change in message.changes:
        theirs = change.actor_type == prompts_pb2.ACTOR_TYPE_USER and change.actor_id == person_id
        if theirs:
            change.ClearField("actor_id")
        if theirs or addressed:
            change.ClearField("reason")


def _change_without(change: Change, person_id: str, *, addressed: bool) -> Change:
    theirs = change.act.actor == Actor(CallerType.USER, person_id)
    act = replace(
        change.act,
        actor=_NOBODY if theirs else change.act.actor,
        reason="" if theirs or addressed else change.act.reason,
    )
    return replace(change, act=act)


async def _forget_in_feeds(unit: UnitOfWork, prompts: Collection[Prompt], person_id: str) -> None:
    """Blank the prompts in their claims' feeds and, where they were put to somebody else, in that person's."""
    ids = {prompt.prompt_id for prompt in prompts}
    recipients = {Recipient.claim(prompt.draft.claim_id) for prompt in prompts}
    recipients |= {Recipient.person(prompt.draft.assignee_id) for prompt in prompts}
    for recipient in recipients - {Recipient.person(person_id)}:
        async for position, event in feed_store.everything(unit, recipient):
            if event.entity_id in ids and event.HasField("prompt"):
                blank(event.prompt, person_id)
                await feed_store.replace(unit, position, event)
