"""PromptService: the edge between the contract and prompts."""

import asyncio
from contextlib import aclosing
from dataclasses import dataclass
from datetime import timedelta

import grpc.aio
from proofloop.prompts.v1 import prompts_service_pb2 as contract
from proofloop.prompts.v1.error_reason_pb2 import ErrorReason
from proofloop.prompts.v1.prompts_pb2 import Heartbeat, StreamEnd
from proofloop.prompts.v1.prompts_service_pb2_grpc import PromptServiceServicer
from proofloop_runtime import paging
from proofloop_runtime.call import current
from proofloop_runtime.database import Database, UnitOfWork
from proofloop_runtime.errors import DomainError, Draining
from proofloop_runtime.events import Actor
from proofloop_runtime.ports import Clock

from proofloop_prompts import telemetry
from proofloop_prompts.errors import ReaderTooSlow
from proofloop_prompts.prompts import conversion, feed_store, handlers, store
from proofloop_prompts.prompts.expiry import Expiry
from proofloop_prompts.prompts.feed import EventTypes, Position
from proofloop_prompts.prompts.journal import Journal
from proofloop_prompts.prompts.streams import Streams
from proofloop_prompts.prompts.watch import Beat, Watch, feed_of, feed_of_list

Context = grpc.aio.ServicerContext[object, object]


@dataclass(frozen=True, slots=True)
class Limits:
    """What the edge decides.

    Attributes:
        lifetime: When a prompt expires whose asker does not say.
        stall: How long a reader may take for one message of a stream.
    """

    lifetime: timedelta
    stall: timedelta


class PromptServicer(PromptServiceServicer):
    """Serves prompts."""

    def __init__(
        self,
        database: Database,
        journal: Journal,
        expiry: Expiry,
        watch: Watch,
        streams: Streams,
        clock: Clock,
        limits: Limits,
    ) -> None:
        self._database = database
        self._journal = journal
        self._expiry = expiry
        self._watch = watch
        self._streams = streams
        self._clock = clock
        self._limits = limits

    async def CreatePrompt(
        self, request: contract.CreatePromptRequest, context: Context
    ) -> contract.CreatePromptResponse:
        """See the contract."""
        draft = conversion.to_draft(request, self._clock.now() + self._limits.lifetime)

        async def effect(unit: UnitOfWork) -> contract.CreatePromptResponse:
            reason = request.reason or "asked"
            prompt = await handlers.create(unit, self._journal, draft=draft, actor=_actor(), reason=reason)
            unit.after_commit(lambda: self._expiry.expects(draft.expire_time))
            return contract.CreatePromptResponse(prompt=conversion.from_prompt(prompt))

        return await self._database.once(request, contract.CreatePromptResponse, effect)

    async def GetPrompt(self, request: contract.GetPromptRequest, context: Context) -> contract.GetPromptResponse:
        """See the contract."""
        async with self._database.transaction() as unit:
            prompt = await handlers.get(unit, self._journal, prompt_id=request.prompt_id, caller=current().caller)
        return contract.GetPromptResponse(prompt=conversion.from_prompt(prompt))

    async def ListPrompts(self, request: contract.ListPromptsRequest, context: Context) -> contract.ListPromptsResponse:
        """See the contract."""
        caller = current().caller
        wanted = handlers.visible(conversion.to_filter(request), caller)
        position = paging.decode(request)
        limit = paging.size(request)
        feed = feed_of_list(caller, wanted.claim_id)
        async with self._database.transaction() as unit:
            # Before the prompts are read: what happens meanwhile then lies behind the token, never before it.
            reached = None if feed is None else await feed_store.end(unit, feed)
            after = None if position is None else paging.identifier(position)
            prompts = await store.page(unit, wanted, after=after, limit=limit + 1)
        response = contract.ListPromptsResponse(
            prompts=map(conversion.from_prompt, prompts[:limit]),
            resume_token="" if reached is None else reached.token(),
        )
        if len(prompts) > limit:
            response.next_page_token = paging.encode(request, [prompts[limit - 1].prompt_id])
        return response

    async def AnswerPrompt(
        self, request: contract.AnswerPromptRequest, context: Context
    ) -> contract.AnswerPromptResponse:
        """See the contract."""
        given = conversion.to_answer(request)

        async def effect(unit: UnitOfWork) -> contract.AnswerPromptResponse:
            prompt = await handlers.answer(
                unit, self._journal, prompt_id=request.prompt_id, given=given, actor=_actor()
            )
            return contract.AnswerPromptResponse(prompt=conversion.from_prompt(prompt))

        return await self._database.once(request, contract.AnswerPromptResponse, effect)

    async def CancelPrompt(
        self, request: contract.CancelPromptRequest, context: Context
    ) -> contract.CancelPromptResponse:
        """See the contract."""

        async def effect(unit: UnitOfWork) -> contract.CancelPromptResponse:
            prompt = await handlers.cancel(
                unit,
                self._journal,
                prompt_id=request.prompt_id,
                etag=request.etag,
                actor=_actor(),
                reason=request.reason,
            )
            return contract.CancelPromptResponse(prompt=conversion.from_prompt(prompt))

        return await self._database.once(request, contract.CancelPromptResponse, effect)

    async def WatchPrompts(  # type: ignore[override]  # writes by itself, so that it can drop a reader that stalls
        self, request: contract.WatchPromptsRequest, context: Context
    ) -> None:
        """See the contract."""
        caller = current().caller
        recipient = feed_of(caller, request.claim_id.lower())
        with self._streams.opened(caller):
            position = await self._watch.begin(recipient, request.resume_token)
            beats = self._watch.follow(caller, position, EventTypes.of(request.event_types))
            try:
                async with aclosing(beats):
                    async for beat in beats:
                        position = beat.position
                        await self._hand_over(context, _message(beat))
                await self._end(context, position, Draining("this replica is shutting down; watch again"))
            except DomainError as error:
                # A reader of Server-Sent Events sees no status, only messages.
                await self._end(context, position, error)
                raise

    async def _hand_over(self, context: Context, message: contract.WatchPromptsResponse) -> None:
        """Write a message of the stream.

        Raises:
            ReaderTooSlow: the reader does not take it in time. gRPC holds back a write while the reader's window is
                full, so that a slow reader costs one message and not a queue.
        """
        stall = self._limits.stall
        try:
            async with asyncio.timeout(stall.total_seconds()):
                await context.write(message)
        except TimeoutError as error:
            raise ReaderTooSlow(f"the reader took no message for {stall}", retry_after=timedelta(seconds=1)) from error

    async def _end(self, context: Context, position: Position, error: DomainError) -> None:
        reason = ErrorReason.DESCRIPTOR.values_by_number[error.reason].name
        telemetry.ended_streams.add(1, {telemetry.STREAM_END: reason})
        if not isinstance(error, ReaderTooSlow):
            end = StreamEnd(reason=reason, message=error.message)
            await self._hand_over(context, contract.WatchPromptsResponse(resume_token=position.token(), end=end))


def _actor() -> Actor:
    caller = current().caller
    return Actor(caller.type, caller.id)


def _message(beat: Beat) -> contract.WatchPromptsResponse:
    token = beat.position.token()
    if beat.event is None:
        return contract.WatchPromptsResponse(resume_token=token, heartbeat=Heartbeat())
    return contract.WatchPromptsResponse(resume_token=token, event=beat.event)
