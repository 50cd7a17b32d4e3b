"""Makes changes known: to the other services, to the feeds, and to whoever watches them."""

from proofloop_runtime.database import UnitOfWork
from proofloop_runtime.events import Actor
from proofloop_runtime.ports import Ids

from proofloop_prompts import events, telemetry
from proofloop_prompts.prompts import feed_store
from proofloop_prompts.prompts.domain import Act, Prompt
from proofloop_prompts.prompts.feed import Recipient
from proofloop_prompts.prompts.feed_store import Addressed
from proofloop_prompts.prompts.live import Live


class Journal:
    """Draws ids, and writes what happened in the transaction in which it happens."""

    def __init__(self, ids: Ids, live: Live) -> None:
        self.ids = ids
        self._live = live

    def act(self, unit: UnitOfWork, actor: Actor, reason: str) -> Act:
        """Return an act of now, under an event id of its own."""
        return Act(time=unit.clock.now(), actor=actor, reason=reason, event_id=self.ids.uuid7())

    async def record(self, unit: UnitOfWork, *prompts: Prompt) -> None:
        """Publish the last change of each prompt, and append it to the feeds of its assignee and its claim."""
        happened = [(events.of_change(prompt), prompt) for prompt in prompts]
        await unit.publish(*(event for event, _ in happened))
        items = []
        for event, prompt in happened:
            entry = events.to_feed(event, prompt)
            recipients = (Recipient.person(prompt.draft.assignee_id), Recipient.claim(prompt.draft.claim_id))
            items += [Addressed(recipient, entry) for recipient in recipients]
            telemetry.changes.add(1, {telemetry.PROMPT_STATE: prompt.state})
        await self.append(unit, *items)

    async def append(self, unit: UnitOfWork, *items: Addressed) -> None:
        """Append events to feeds, and wake their readers once that is committed."""
        await feed_store.append(unit, items)
        recipients = {item.recipient for item in items}
        tenant = unit.tenant
        unit.after_commit(lambda: self._live.wake(tenant, recipients))
