"""Events that a consumer could not handle: `proofloop dead-letters` lists them, and has them delivered again.

A letter that is replayed reaches every consumer of its subject. Those who had the event before know its id and do
nothing.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from typing import Annotated, TypeVar
from urllib.parse import unquote

import nats
import nats.errors
import nats.js.errors
import typer
from nats.js.api import RawStreamMsg
from nats.js.client import JetStreamContext
from rich.console import Console
from rich.table import Table

from proofloop_runtime.messaging import (
    CONSUMER_HEADER,
    DEAD_LETTER_PREFIX,
    DEAD_LETTER_STREAM,
    ERROR_HEADER,
    MESSAGE_ID,
    REASON_HEADER,
)

_OURS = (CONSUMER_HEADER, ERROR_HEADER, REASON_HEADER)

ResultT = TypeVar("ResultT")

app = typer.Typer(no_args_is_help=True, help="Events that a consumer could not handle.")


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """What is known of a letter; its data may name people and is left where it is.

    Attributes:
        sequence: Its place among the dead letters, which names it.
        consumer: Who could not handle it.
        subject: Where it was published.
        event_id: The event's id; empty where the message was no event.
        error: The type of the error.
        reason: What was wrong, where that is known.
    """

    sequence: int
    consumer: str
    subject: str
    event_id: str
    error: str
    reason: str

    @classmethod
    def of(cls, message: RawStreamMsg) -> "DeadLetter":
        """Return the letter that a message of the stream is."""
        headers = message.headers or {}
        return cls(
            sequence=message.seq or 0,
            consumer=headers.get(CONSUMER_HEADER, ""),
            subject=_subject(message),
            event_id=headers.get("ce-id", ""),
            error=headers.get(ERROR_HEADER, ""),
            reason=unquote(headers.get(REASON_HEADER, "")),
        )


async def letters(jetstream: JetStreamContext, consumer: str | None = None) -> AsyncIterator[DeadLetter]:
    """Yield the dead letters, oldest first: all, or those of one consumer."""
    sequence = 1
    while True:
        try:
            message = await jetstream.get_msg(
                DEAD_LETTER_STREAM, seq=sequence, subject=f"{DEAD_LETTER_PREFIX}.>", next=True
            )
        except nats.js.errors.NotFoundError:
            return
        letter = DeadLetter.of(message)
        sequence = letter.sequence + 1
        if consumer in (None, letter.consumer):
            yield letter


async def replay(jetstream: JetStreamContext, sequence: int) -> DeadLetter:
    """Have a letter's event delivered again. It is a dead letter no more once the event stream has it.

    Should this be cut off in between, it may be done again: the event then is delivered twice, and takes effect once.

    Raises:
        NotFoundError: there is no such letter (of `nats.js.errors`).
    """
    message = await jetstream.get_msg(DEAD_LETTER_STREAM, seq=sequence)
    headers = {name: value for name, value in (message.headers or {}).items() if name not in _OURS}
    # The id that it was published under would be taken for a repetition, and dropped.
    headers[MESSAGE_ID] = f"replay-{sequence}"
    await jetstream.publish(_subject(message), message.data or b"", headers=headers)
    await jetstream.delete_msg(DEAD_LETTER_STREAM, sequence)
    return DeadLetter.of(message)


def _subject(message: RawStreamMsg) -> str:
    return (message.subject or "").removeprefix(f"{DEAD_LETTER_PREFIX}.")


_Url = Annotated[str, typer.Option("--nats", envvar="NATS_URL", metavar="URL", help="Where NATS is.")]
_Consumer = Annotated[str | None, typer.Option(metavar="NAME", help="Only letters of this consumer.")]


@app.command("list")
def list_letters(
    url: _Url,
    consumer: _Consumer = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON object a line.")] = False,
) -> None:
    """List the dead letters, oldest first, without their data."""

    async def collect(jetstream: JetStreamContext) -> list[DeadLetter]:
        return [letter async for letter in letters(jetstream, consumer)]

    found = _with_jetstream(url, collect)
    if as_json:
        for letter in found:
            typer.echo(json.dumps(asdict(letter)))
        return
    table = Table("sequence", "consumer", "subject", "event", "error", "reason")
    for letter in found:
        table.add_row(*(str(value) for value in asdict(letter).values()))
    Console().print(table if found else "There are no dead letters.")


@app.command("replay")
def replay_letters(
    url: _Url,
    sequences: Annotated[
        list[int] | None, typer.Argument(help="Sequences of the letters, as `list` shows them.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All letters, or all of --consumer.")] = False,
    consumer: _Consumer = None,
) -> None:
    """Have dead letters delivered again, after what kept them from being handled was mended.

    Exit codes: 0 done; 1 there is no such letter, or NATS does not answer; 2 wrong usage.
    """
    if bool(sequences) == everything:
        raise typer.BadParameter("name letters, or say --all")

    async def run(jetstream: JetStreamContext) -> Sequence[DeadLetter]:
        # Found before the first goes out: what fails again is a new letter.
        wanted = sequences or [letter.sequence async for letter in letters(jetstream, consumer)]
        return [await replay(jetstream, sequence) for sequence in wanted]

    for letter in _with_jetstream(url, run):
        typer.echo(f"{letter.sequence}: {letter.subject} {letter.event_id}")


def _with_jetstream(url: str, work: Callable[[JetStreamContext], Awaitable[ResultT]]) -> ResultT:
    async def run() -> ResultT:
        async with _connected(url) as jetstream:
            return await work(jetstream)

    try:
        return asyncio.run(run())
    except nats.js.errors.NotFoundError as error:
        typer.echo("proofloop dead-letters: there is no such letter", err=True)
        raise typer.Exit(1) from error
    except (nats.errors.Error, nats.js.errors.Error, OSError) as error:
        typer.echo(f"proofloop dead-letters: NATS does not answer ({type(error).__name__})", err=True)
        raise typer.Exit(1) from error


@asynccontextmanager
async def _connected(url: str) -> AsyncIterator[JetStreamContext]:
    async def quietly(_error: Exception) -> None:
        """Say nothing: the error is raised where it is waited for."""

    client = await nats.connect(
        url, allow_reconnect=False, max_reconnect_attempts=1, connect_timeout=5, error_cb=quietly
    )
    try:
        yield client.jetstream()
    finally:
        await client.close()
