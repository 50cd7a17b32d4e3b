"""Brings what other services say about a claim into the claim's feed, exactly once."""

from collections.abc import Sequence

from proofloop_runtime.call import background, serving
from proofloop_runtime.consuming import Consumer, PermanentFailure
from proofloop_runtime.database import Database
from proofloop_runtime.errors import DomainError
from proofloop_runtime.events import Envelope
from proofloop_runtime.processing import processing

from proofloop_prompts.events import SERVICE, foreign_to_feed
from proofloop_prompts.prompts.feed import Recipient
from proofloop_prompts.prompts.feed_store import Addressed
from proofloop_prompts.prompts.journal import Journal

CONSUMER = "prompts-feed"


class FeedInbox:
    """Takes events from the stream. Our own are in the feeds already; those without a claim have no feed."""

    def __init__(self, database: Database, journal: Journal) -> None:
        self._database = database
        self._journal = journal

    def consumer(self) -> Consumer:
        """Return the durable consumer of every service's events."""
        return Consumer(CONSUMER, self.take)

    async def take(self, batch: Sequence[Envelope]) -> list[Exception | None]:
        """Append events to their claims' feeds, in order; return what kept each from it."""
        return [await self._take_one(event) for event in batch]

    async def _take_one(self, event: Envelope) -> Exception | None:
        if event.service == SERVICE or not event.claim_id:
            return None
        try:
            with processing(CONSUMER, event):
                await self._append(event)
        except (DomainError, PermanentFailure) as error:
            return error
        return None

    async def _append(self, event: Envelope) -> None:
        entry = foreign_to_feed(event)
        with serving(background(SERVICE, event.tenant, event.correlation_id)):
            async with self._database.transaction() as unit:
                if await unit.first_time(CONSUMER, event.event_id):
                    await self._journal.append(unit, Addressed(Recipient.claim(entry.claim_id), entry))
