"""Follows a feed for one reader, page by page: nothing is held for a reader but the page it is being handed."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import timedelta

from proofloop.prompts.v1.prompts_pb2 import FeedEvent
from proofloop_runtime.call import Caller, CallerType
from proofloop_runtime.database import Database
from proofloop_runtime.errors import NotOwner

from proofloop_prompts.errors import NoOwnFeed
from proofloop_prompts.events import CREATED
from proofloop_prompts.prompts import feed_store, handlers
from proofloop_prompts.prompts.feed import EventTypes, Position, Recipient
from proofloop_prompts.prompts.journal import Journal
from proofloop_prompts.prompts.live import Live

_PAGE = 100


@dataclass(frozen=True, slots=True)
class Beat:
    """The position reached, and the event that leads there; None says that nothing happened."""

    position: Position
    event: FeedEvent | None = None


def feed_of(caller: Caller, claim_id: str) -> Recipient:
    """Return the feed of a claim or, without one, the caller's own.

    Raises:
        NotOwner: a claim's feed shows what others are asked.
        NoOwnFeed: the caller is no person.
    """
    if claim_id:
        if not caller.roles.intersection(handlers.SEE_ALL):
            raise NotOwner("a claim's feed shows what others are asked; watch your own")
        return Recipient.claim(claim_id)
    own = own_feed(caller)
    if own is None:
        raise NoOwnFeed("a service has no feed of its own; name a claim", field="claim_id")
    return own


def feed_of_list(caller: Caller, claim_id: str | None) -> Recipient | None:
    """Return the feed that tells what happens to a list of prompts; None where there is none."""
    if claim_id is not None and caller.roles.intersection(handlers.SEE_ALL):
        return Recipient.claim(claim_id)
    return own_feed(caller)


def own_feed(caller: Caller) -> Recipient | None:
    """Return the feed of the caller's own prompts; None for a service, which is asked nothing."""
    return Recipient.person(caller.id) if caller.type is CallerType.USER else None


class Watch:
    """Follows feeds.

    Args:
        draining: Is set when this replica shuts down; every stream then ends.
        heartbeat: How long a reader is told nothing at most.
        poll: How often to look for events that no wake-up told of.
    """

    def __init__(
        self,
        database: Database,
        journal: Journal,
        live: Live,
        draining: asyncio.Event,
        *,
        heartbeat: timedelta,
        poll: timedelta,
    ) -> None:
        self._database = database
        self._journal = journal
        self._live = live
        self._draining = draining
        self._heartbeat = heartbeat.total_seconds()
        self._poll = poll.total_seconds()

    async def begin(self, recipient: Recipient, resume_token: str) -> Position:
        """Return where to begin: behind the token or, without one, before the oldest event kept.

        Raises:
            ResumeTokenInvalid: it is no token of this feed.
            ResumeTokenOutOfRange: what follows it is not kept.
        """
        async with self._database.transaction() as unit:
            if not resume_token:
                return await feed_store.start(unit, recipient)
            position = Position.from_token(resume_token, recipient=recipient)
            await feed_store.read(unit, position, limit=1)
            return position

    async def follow(self, caller: Caller, position: Position, types: EventTypes) -> AsyncGenerator[Beat, None]:
        """Yield what happens behind a position until this replica drains.

        A heartbeat comes as soon as the reader has caught up, and whenever nothing has come for a while. Prompts that
        the caller is handed on their own feed are recorded as delivered when the reader asks for what follows them.

        Raises:
            ResumeTokenOutOfRange: the reader was so slow that what follows is not kept.
        """
        loop = asyncio.get_running_loop()
        news = asyncio.Event()
        async with self._live.listening(caller.tenant, position.recipient, news.set):
            quiet_until, caught_up = loop.time(), False
            while not self._draining.is_set():
                news.clear()
                async with self._database.transaction() as unit:
                    page = await feed_store.read(unit, position, limit=_PAGE)
                handed: list[FeedEvent] = []
                for reached, event in page:
                    position = reached
                    if types.admit(event.type):
                        yield Beat(position, event)
                        handed.append(event)
                        quiet_until = loop.time() + self._heartbeat
                await self._record_delivery(caller, position.recipient, handed)
                if page:
                    continue
                if not caught_up or loop.time() >= quiet_until:
                    yield Beat(position)
                    quiet_until, caught_up = loop.time() + self._heartbeat, True
                await self._pause(news, min(self._poll, quiet_until - loop.time()))

    async def _record_delivery(self, caller: Caller, recipient: Recipient, handed: list[FeedEvent]) -> None:
        prompt_ids = {event.entity_id for event in handed if event.type == CREATED}
        if prompt_ids and recipient == own_feed(caller):
            async with self._database.transaction() as unit:
                await handlers.deliver(unit, self._journal, prompt_ids=prompt_ids, person_id=caller.id)

    async def _pause(self, news: asyncio.Event, most: float) -> None:
        """Return when there is news, or this replica drains, or after `most` seconds."""
        waiting = {asyncio.ensure_future(news.wait()), asyncio.ensure_future(self._draining.wait())}
        try:
            await asyncio.wait(waiting, timeout=most, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waiting:
                task.cancel()
