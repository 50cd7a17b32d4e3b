"""What can be done with prompts, each in the caller's transaction."""

from collections.abc import Collection
from datetime import datetime

from proofloop.access.v1.access_pb2 import ROLE_AUDITOR, ROLE_COMPLIANCE, ROLE_REVIEWER, ROLE_SERVICE
from proofloop_runtime.call import Caller, CallerType
from proofloop_runtime.database import UnitOfWork
from proofloop_runtime.errors import NotOwner
from proofloop_runtime.events import Actor

from proofloop_prompts.errors import PromptNotFound
from proofloop_prompts.events import SERVICE
from proofloop_prompts.prompts import domain, store
from proofloop_prompts.prompts.domain import Answer, Draft, Prompt
from proofloop_prompts.prompts.journal import Journal
from proofloop_prompts.prompts.store import PromptFilter

SEE_ALL = (ROLE_REVIEWER, ROLE_COMPLIANCE, ROLE_AUDITOR, ROLE_SERVICE)
"""Roles that see every prompt and every claim's feed of their tenant."""

_SELF = Actor(CallerType.SERVICE, SERVICE)


async def create(unit: UnitOfWork, journal: Journal, *, draft: Draft, actor: Actor, reason: str) -> Prompt:
    """Ask somebody something."""
    act = journal.act(unit, actor, reason)
    prompt = domain.create(draft, prompt_id=journal.ids.uuid7(), act=act)
    await store.insert(unit, prompt)
    await journal.record(unit, prompt)
    return prompt


async def get(unit: UnitOfWork, journal: Journal, *, prompt_id: str, caller: Caller) -> Prompt:
    """Return a prompt that the caller may see; to its assignee, this delivers it.

    Raises:
        PromptNotFound: the tenant has none of this id.
        NotOwner: it is assigned to somebody else.
    """
    prompt = _found(await store.find(unit, prompt_id), prompt_id)
    caller.must_own(prompt.draft.assignee_id, *SEE_ALL)
    if caller.type is CallerType.USER and prompt.awaits_delivery_to(caller.id, unit.clock.now()):
        (prompt,) = await deliver(unit, journal, prompt_ids=[prompt_id], person_id=caller.id) or [prompt]
    return prompt


async def deliver(unit: UnitOfWork, journal: Journal, *, prompt_ids: Collection[str], person_id: str) -> list[Prompt]:
    """Record that the assignee was handed these prompts; return those for which it was the first time."""
    delivered = []
    for prompt_id in sorted(prompt_ids):
        prompt = await store.lock(unit, prompt_id)
        if prompt is not None and prompt.awaits_delivery_to(person_id, unit.clock.now()):
            act = journal.act(unit, Actor(CallerType.USER, person_id), "shown to the assignee")
            delivered.append(domain.deliver(prompt, act))
    if delivered:
        await store.save(unit, delivered)
        await journal.record(unit, *delivered)
    return delivered


def visible(wanted: PromptFilter, caller: Caller) -> PromptFilter:
    """Return the filter narrowed to what the caller may see.

    Raises:
        NotOwner: they ask for somebody else's.
    """
    if caller.roles.intersection(SEE_ALL):
        return wanted
    if wanted.assignee_id not in (None, caller.id):
        raise NotOwner("you may list the prompts that are assigned to you")
    return PromptFilter(wanted.claim_id, caller.id, wanted.states)


async def answer(unit: UnitOfWork, journal: Journal, *, prompt_id: str, given: Answer, actor: Actor) -> Prompt:
    """Answer a prompt, as its assignee.

    Raises:
        PromptNotFound: the tenant has none of this id.
        DomainError: as `domain.answer`.
    """
    prompt = _found(await store.lock(unit, prompt_id), prompt_id)
    answered = domain.answer(prompt, given, journal.act(unit, actor, "answered by the assignee"))
    await store.save(unit, [answered])
    await journal.record(unit, answered)
    return answered


async def cancel(unit: UnitOfWork, journal: Journal, *, prompt_id: str, etag: str, actor: Actor, reason: str) -> Prompt:
    """Withdraw a prompt.

    Raises:
        PromptNotFound: the tenant has none of this id.
        DomainError: as `domain.cancel`.
    """
    prompt = _found(await store.lock(unit, prompt_id), prompt_id)
    cancelled = domain.cancel(prompt, journal.act(unit, actor, reason), etag=etag)
    await store.save(unit, [cancelled])
    await journal.record(unit, cancelled)
    return cancelled


async def expire_due(unit: UnitOfWork, journal: Journal, *, now: datetime, limit: int) -> list[Prompt]:
    """Expire up to `limit` prompts whose time has run out; return them."""
    due = await store.lock_due(unit, now, limit=limit)
    expired = [domain.expire(prompt, journal.act(unit, _SELF, "no answer in time")) for prompt in due]
    if expired:
        await store.save(unit, expired)
        await journal.record(unit, *expired)
    return expired


def _found(prompt: Prompt | None, prompt_id: str) -> Prompt:
    if prompt is None:
        raise PromptNotFound("there is no such prompt", prompt_id=prompt_id)
    return prompt
