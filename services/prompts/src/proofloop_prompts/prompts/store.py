"""The table of prompts. Every statement sees the tenant of its transaction and no other."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from proofloop_runtime.call import CallerType
from proofloop_runtime.database import UnitOfWork
from proofloop_runtime.events import Actor
from sqlalchemy.dialects import postgresql as pg

from proofloop_prompts.prompts.domain import (
    OPEN,
    Act,
    Answer,
    Change,
    Channel,
    Draft,
    Option,
    Priority,
    Prompt,
    Shown,
    State,
)

_metadata = sa.MetaData()

_prompt = sa.Table(
    "prompt",
    _metadata,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("prompt_id", pg.UUID(as_uuid=False), primary_key=True),
    sa.Column("claim_id", pg.UUID(as_uuid=False), nullable=False),
    sa.Column("evidence_id", pg.UUID(as_uuid=False)),
    sa.Column("assignee_id", sa.Text, nullable=False),
    sa.Column("question", sa.Text, nullable=False),
    sa.Column("context", sa.Text, nullable=False),
    sa.Column("options", pg.JSONB, nullable=False),
    sa.Column("free_text_allowed", sa.Boolean, nullable=False),
    sa.Column("shown_sha256", sa.Text),
    sa.Column("priority", sa.Text, nullable=False),
    sa.Column("channel", sa.Text, nullable=False),
    sa.Column("expire_time", sa.DateTime(timezone=True), nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("changes", pg.JSONB, nullable=False),
    sa.Column("answer", pg.JSONB(none_as_null=True)),
)
# Written out, so that the planner recognises the condition of the index on what is due.
_is_open = sa.text("state IN ({})".format(", ".join(f"'{state}'" for state in sorted(OPEN))))


@dataclass(frozen=True, slots=True)
class PromptFilter:
    """Which prompts to list; None, or no states, asks for nothing in particular."""

    claim_id: str | None = None
    assignee_id: str | None = None
    states: frozenset[State] = frozenset()


async def insert(unit: UnitOfWork, prompt: Prompt) -> None:
    """Store a new prompt."""
    draft = prompt.draft
    await unit.execute(
        sa.insert(_prompt).values(
            tenant=unit.tenant,
            prompt_id=prompt.prompt_id,
            claim_id=draft.claim_id,
            evidence_id=draft.evidence_id,
            assignee_id=draft.assignee_id,
            question=draft.shown.question,
            context=draft.shown.context,
            options=[{"id": option.id, "label": option.label} for option in draft.shown.options],
            free_text_allowed=draft.shown.free_text_allowed,
            priority=draft.priority,
            channel=draft.channel,
            expire_time=draft.expire_time,
            **_progress(prompt),
        )
    )


async def save(unit: UnitOfWork, prompts: Sequence[Prompt]) -> None:
    """Store what became of prompts; what was asked never changes."""
    statement = (
        sa.update(_prompt)
        .where(_prompt.c.tenant == unit.tenant, _prompt.c.prompt_id == sa.bindparam("id"))
        .values({name: sa.bindparam(name) for name in ("state", "changes", "answer")})
    )
    await unit.execute(statement, [{"id": prompt.prompt_id, **_progress(prompt)} for prompt in prompts])


async def lock_of_person(unit: UnitOfWork, person_id: str, *, after: str | None, limit: int) -> list[Prompt]:
    """Return up to `limit` prompts behind the id `after` that were put to a person or that they changed, locked."""
    changed = _prompt.c.changes.contains([{"actor_type": CallerType.USER, "actor_id": person_id}])
    query = (
        sa.select(_prompt)
        .where(_prompt.c.tenant == unit.tenant, sa.or_(_prompt.c.assignee_id == person_id, changed))
        .order_by(_prompt.c.prompt_id)
        .limit(limit)
        .with_for_update()
    )
    if after is not None:
        query = query.where(_prompt.c.prompt_id > after)
    return [_from_row(row) for row in (await unit.execute(query)).mappings()]


async def blank(unit: UnitOfWork, prompts: Sequence[Prompt]) -> None:
    """Store prompts from which an erased person was taken."""
    columns = ("assignee_id", "question", "context", "shown_sha256", "state", "changes", "answer")
    statement = (
        sa.update(_prompt)
        .where(_prompt.c.tenant == unit.tenant, _prompt.c.prompt_id == sa.bindparam("id"))
        .values({name: sa.bindparam(name) for name in columns})
    )
    rows = [
        {
            "id": prompt.prompt_id,
            "assignee_id": prompt.draft.assignee_id,
            "question": prompt.draft.shown.question,
            "context": prompt.draft.shown.context,
            "shown_sha256": prompt.draft.shown.kept_sha256 or None,
            **_progress(prompt),
        }
        for prompt in prompts
    ]
    await unit.execute(statement, rows)


async def find(unit: UnitOfWork, prompt_id: str) -> Prompt | None:
    """Return a prompt, if there is one of this id."""
    row = (await unit.execute(_one(unit, prompt_id))).mappings().one_or_none()
    return None if row is None else _from_row(row)


async def lock(unit: UnitOfWork, prompt_id: str) -> Prompt | None:
    """Return a prompt, and let nobody else change it until the transaction ends."""
    row = (await unit.execute(_one(unit, prompt_id).with_for_update())).mappings().one_or_none()
    return None if row is None else _from_row(row)


async def page(unit: UnitOfWork, wanted: PromptFilter, *, after: str | None, limit: int) -> list[Prompt]:
    """Return up to `limit` prompts behind the id `after`, in the order of their ids, which is that of creation."""
    query = sa.select(_prompt).where(_prompt.c.tenant == unit.tenant).order_by(_prompt.c.prompt_id).limit(limit)
    if wanted.claim_id is not None:
        query = query.where(_prompt.c.claim_id == wanted.claim_id)
    if wanted.assignee_id is not None:
        query = query.where(_prompt.c.assignee_id == wanted.assignee_id)
    if wanted.states:
        query = query.where(_prompt.c.state.in_(sorted(wanted.states)))
    if after is not None:
        query = query.where(_prompt.c.prompt_id > after)
    return [_from_row(row) for row in (await unit.execute(query)).mappings()]


async def lock_due(unit: UnitOfWork, now: datetime, *, limit: int) -> list[Prompt]:
    """Return up to `limit` open prompts whose time has run out, leaving those that another replica works on."""
    query = (
        sa.select(_prompt)
        .where(_prompt.c.tenant == unit.tenant, _is_open, _prompt.c.expire_time <= now)
        .order_by(_prompt.c.expire_time)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return [_from_row(row) for row in (await unit.execute(query)).mappings()]


async def next_due(unit: UnitOfWork) -> datetime | None:
    """Return when the next open prompt expires, if there is one."""
    query = sa.select(sa.func.min(_prompt.c.expire_time)).where(_prompt.c.tenant == unit.tenant, _is_open)
    time: datetime | None = (await unit.execute(query)).scalar_one()
    return time


def _one(unit: UnitOfWork, prompt_id: str) -> sa.Select[Any]:
    return sa.select(_prompt).where(_prompt.c.tenant == unit.tenant, _prompt.c.prompt_id == prompt_id)


def _progress(prompt: Prompt) -> dict[str, Any]:
    """Return the columns that change."""
    answer = prompt.answer
    return {
        "state": prompt.state,
        "changes": [
            {
                "state": change.state,
                "time": change.act.time.isoformat(),
                "actor_type": change.act.actor.type,
                "actor_id": change.act.actor.id,
                "reason": change.act.reason,
                "event_id": change.act.event_id,
            }
            for change in prompt.changes
        ],
        "answer": answer and {"option_id": answer.option_id, "text": answer.text, "shown_sha256": answer.shown_sha256},
    }


def _from_row(row: Mapping[Any, Any]) -> Prompt:
    shown = Shown(
        question=row["question"],
        context=row["context"],
        options=tuple(Option(**option) for option in row["options"]),
        free_text_allowed=row["free_text_allowed"],
        kept_sha256=row["shown_sha256"] or "",
    )
    draft = Draft(
        claim_id=row["claim_id"],
        evidence_id=row["evidence_id"],
        assignee_id=row["assignee_id"],
        shown=shown,
        priority=Priority(row["priority"]),
        channel=Channel(row["channel"]),
        expire_time=row["expire_time"],
    )
    return Prompt(
        prompt_id=row["prompt_id"],
        draft=draft,
        changes=tuple(_change(change) for change in row["changes"]),
        answer=None if row["answer"] is None else Answer(**row["answer"]),
    )


def _change(stored: Mapping[str, str]) -> Change:
    act = Act(
        time=datetime.fromisoformat(stored["time"]),
        actor=Actor(CallerType(stored["actor_type"]), stored["actor_id"]),
        reason=stored["reason"],
        event_id=stored["event_id"],
    )
    return Change(State(stored["state"]), act)
