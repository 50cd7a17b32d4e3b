"""The echo service: it answers with what it knows of the call, keeps notes, and hears of notes kept."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from proofloop_runtime.application import Application, Components, Runtime, Servicer
from proofloop_runtime.call import background, current, serving
from proofloop_runtime.consuming import Consumer
from proofloop_runtime.errors import DomainError, Draining, NotOwner
from proofloop_runtime.events import Actor, Envelope, Event
from proofloop_runtime.health import Probe
from proofloop_runtime.processing import processing
from proofloop_runtime.settings import ServiceSettings
from pydantic_settings import SettingsConfigDict

from proofloop_echo.contract import REASONS, SERVICE, NoteWritten, SayRequest, SayResponse, register

SECRET = "hunter2"
Command = Callable[[Any], Awaitable[Any]]


class EchoSettings(ServiceSettings):
    """Nothing of its own."""

    model_config = SettingsConfigDict(env_prefix="ECHO_", frozen=True, extra="ignore", hide_input_in_errors=True)

    other: str = ""


@dataclass
class Echo:
    """The servicer, with commands that tests add to."""

    runtime: Runtime
    commands: dict[str, Command] = field(default_factory=dict)
    started: asyncio.Event = field(default_factory=asyncio.Event)
    release: asyncio.Event = field(default_factory=asyncio.Event)
    closed: asyncio.Event = field(default_factory=asyncio.Event)
    ended: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        own = {"": self.answer, "crash": self.crash, "deny": self.deny, "wait": self.wait, "note": self.note}
        self.commands = own | self.commands

    def forget(self) -> None:
        """Forget what happened."""
        self.started, self.release, self.closed, self.ended = asyncio.Event(), asyncio.Event(), asyncio.Event(), []

    async def answer(self, request: Any) -> Any:
        call = current()
        remaining = call.deadline - asyncio.get_running_loop().time() if call.deadline else 0
        return SayResponse(
            text=request.text,
            tenant=call.caller.tenant,
            caller=call.caller.key,
            correlation_id=call.correlation_id,
            ip_address=call.ip_address,
            user_agent=call.user_agent,
            remaining=remaining,
        )

    async def crash(self, _request: Any) -> Any:
        raise RuntimeError(SECRET)

    async def deny(self, _request: Any) -> Any:
        raise NotOwner("this note belongs to somebody else")

    async def wait(self, request: Any) -> Any:
        self.started.set()
        try:
            await self.release.wait()
        except asyncio.CancelledError:
            self.ended.append("cancelled")
            raise
        return await self.answer(request)

    async def note(self, request: Any) -> Any:
        async def keep(unit: Any) -> Any:
            caller = current().caller
            await unit.execute(
                sa.text("INSERT INTO note (tenant, note_id, text) VALUES (:tenant, :id, :text)"),
                {"tenant": unit.tenant, "id": request.request_id, "text": request.text},
            )
            await unit.publish(
                Event(
                    event_id=self.runtime.ids.uuid7(),
                    noun="note",
                    verb="written",
                    message=NoteWritten(text=request.text),
                    time=self.runtime.clock.now(),
                    entity_type="note",
                    entity_id=request.request_id,
                    actor=Actor(caller.type, caller.id),
                )
            )
            return SayResponse(text=request.text)

        return await self.runtime.database.once(request, SayResponse, keep)

    async def say(self, request: Any, _context: Any) -> Any:
        return await self.commands[request.command](request)

    look = operate = say

    async def repeat(self, request: Any, _context: Any) -> AsyncIterator[Any]:
        try:
            for _ in range(request.count):
                yield await self.answer(request)
            if request.command == "watch":
                self.started.set()
                await self.runtime.draining.wait()
                raise Draining
            if request.command:
                await self.commands[request.command](request)
        finally:
            self.closed.set()

    async def collect(self, requests: AsyncIterator[Any], _context: Any) -> Any:
        texts = []
        async for request in requests:
            texts.append(request.text)
            if request.command:
                await self.commands[request.command](request)
        return await self.answer(SayRequest(text=" ".join(texts)))

    async def converse(self, requests: AsyncIterator[Any], _context: Any) -> AsyncIterator[Any]:
        async for request in requests:
            yield await self.commands[request.command](request)

    async def heard(self, events: Sequence[Envelope]) -> list[Exception | None]:
        return [await self._heard(event) for event in events]

    async def _heard(self, event: Envelope) -> Exception | None:
        message = NoteWritten.FromString(b"")
        from google.protobuf import json_format

        with processing("echo-notes", event):
            json_format.Parse(event.data, message)
            try:
                with serving(background("echo", event.tenant, event.correlation_id)):
                    async with self.runtime.database.transaction() as unit:
                        if await unit.first_time("echo-notes", event.event_id):
                            await unit.execute(
                                sa.text("INSERT INTO heard (tenant, event_id, text) VALUES (:tenant, :id, :text)"),
                                {"tenant": unit.tenant, "id": event.event_id, "text": message.text},
                            )
            except DomainError as error:
                return error
        return None


def make_application(
    *,
    born: Callable[[Echo], None] = lambda _echo: None,
    consumers: Sequence[Consumer] | None = None,
    workers: Sequence[Callable[[], Awaitable[None]]] = (),
    probes: Mapping[str, Probe] | None = None,
) -> Application[EchoSettings]:
    """Return the service; `born` is told of the servicer when it is made."""

    async def bootstrap(runtime: Runtime, _settings: EchoSettings) -> Components:
        echo = Echo(runtime)
        born(echo)
        own = [Consumer("echo-notes", echo.heard, "proofloop.event.*.echo.note.written")]
        return Components(
            servicers=[Servicer(SERVICE, register, echo)],
            consumers=own if consumers is None else consumers,
            workers=workers,
            probes=probes or {},
        )

    return Application("echo", "proofloop_echo", EchoSettings, REASONS, bootstrap)
