"""`proofloop dead-letters`: what a consumer could not handle is listed, and delivered again when that was mended."""

import asyncio
import json
from uuid import uuid4

import pytest
from proofloop_echo.contract import EchoStub, SayRequest
from proofloop_runtime.consuming import Consumer, PermanentFailure
from proofloop_runtime.dead_letters import app
from typer.testing import CliRunner

NOTES = "proofloop.event.*.echo.note.written"


class Reader:
    """A consumer that cannot read what holds `poison` until it is mended."""

    def __init__(self) -> None:
        self.read: list[str] = []
        self.mended = False

    async def handle(self, events):
        return [self._read(json.loads(event.data)["text"]) for event in events]

    def _read(self, text: str) -> Exception | None:
        if "poison" in text and not self.mended:
            return PermanentFailure("nobody can read this: 'é'")
        self.read.append(text)
        return None


@pytest.fixture
def dead_letters(nats):
    """Runs the command."""

    async def run(*arguments: str):
        return await asyncio.to_thread(CliRunner().invoke, app, [*arguments, "--nats", nats.url])

    return run


@pytest.fixture
def listed(dead_letters, eventually):
    """Waits until so many letters are listed."""

    async def wait(count: int, *arguments: str) -> list[dict]:
        async def enough() -> tuple[list[dict]] | None:
            result = await dead_letters("list", "--json", *arguments)
            found = [json.loads(line) for line in result.output.splitlines()]
            return (found,) if len(found) == count else None

        (found,) = await eventually(enough)
        return found

    return wait


async def test_a_letter_is_listed_and_takes_effect_once_when_it_is_replayed(
    serve, dead_letters, listed, eventually
) -> None:
    picky, easy = Reader(), Reader()
    easy.mended = True
    consumers = [Consumer("picky", picky.handle, NOTES), Consumer("easy", easy.handle, NOTES)]
    async with serve(consumers=consumers) as (service, _), service.channel() as channel:
        for text in ("fine", "poison 1", "poison 2"):
            await EchoStub(channel).Say(SayRequest(command="note", text=text, request_id=str(uuid4())))
        first, second = await listed(2)
        assert await listed(0, "--consumer", "easy") == []
        assert first["subject"] == "proofloop.event.acme.echo.note.written"
        assert (first["consumer"], first["error"]) == ("picky", "PermanentFailure")
        assert first["reason"] == "nobody can read this: 'é'"
        assert first["event_id"] != second["event_id"]
        assert "poison" not in (await dead_letters("list")).output

        picky.mended = True
        result = await dead_letters("replay", str(first["sequence"]))
        assert (result.exit_code, first["event_id"] in result.output) == (0, True)
        assert await listed(1) == [second]
        await dead_letters("replay", "--all", "--consumer", "picky")
        await listed(0)

        async def all_read() -> bool:
            return sorted(picky.read) == ["fine", "poison 1", "poison 2"]

        await eventually(all_read)


async def test_what_fails_again_is_a_letter_again(serve, dead_letters, listed) -> None:
    reader = Reader()
    async with serve(consumers=[Consumer("picky", reader.handle, NOTES)]) as (service, _), service.channel() as channel:
        await EchoStub(channel).Say(SayRequest(command="note", text="poison", request_id=str(uuid4())))
        [letter] = await listed(1)
        for _ in range(2):
            result = await dead_letters("replay", "--all")
            assert result.output.startswith(f"{letter['sequence']}: ")
            [again] = await listed(1)
            assert again["event_id"] == letter["event_id"]
            assert again["sequence"] > letter["sequence"]
            letter = again


async def test_wrong_use_is_refused_in_plain_words(nats, serve, dead_letters) -> None:
    async with serve():
        assert (await dead_letters("replay")).exit_code == 2
        assert (await dead_letters("replay", "7", "--all")).exit_code == 2
        result = await dead_letters("replay", "7")
    assert (result.exit_code, result.output) == (1, "proofloop dead-letters: there is no such letter\n")
    await nats.stop()
    result = await dead_letters("list")
    assert result.exit_code == 1
    assert result.output.startswith("proofloop dead-letters: NATS does not answer")
