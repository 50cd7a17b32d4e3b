"""The command: finds or brings up a stack, plays the loop, leaves its results."""

import asyncio
import json
import time
import zipfile
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Annotated

import typer
from opentelemetry.trace import format_trace_id
from proofloop_runtime.telemetry import Telemetry, span
from rich.console import Console

from proofloop_local.demo.cast import person
from proofloop_local.demo.example import Example
from proofloop_local.demo.loop import Played, play
from proofloop_local.errors import ServerError
from proofloop_local.span_store import SpanStore
from proofloop_local.spans import Span
from proofloop_local.stack import Stack
from proofloop_local.state import StackState, find_stack
from proofloop_local.trace import write

SETTLED_SECONDS = 1.5
LONGEST_SECONDS = 10.0

Data = Annotated[Path, typer.Option(help="The stack's data folder.")]
ExampleFolder = Annotated[Path, typer.Option("--example", help="Folder of the example claim.")]
Output = Annotated[Path, typer.Option(help="Folder for what the demo leaves.")]


def demo(
    data: Data = Path(".proofloop"),
    example: ExampleFolder = Path("examples/fba-lost-inbound"),
    output: Output = Path("out/demo"),
) -> None:
    """Play the evidence loop on an example claim, on the running stack or one brought up for it.

    Exit codes: 0 the packet verifies; 1 something went wrong, in plain words.
    """
    console = Console(highlight=False, soft_wrap=True)
    try:
        output.mkdir(parents=True, exist_ok=True)
        asyncio.run(_demo(data, Example.read(example), output, console))
    except ServerError as error:
        console.print(str(error), style="bold red", markup=False)
        raise typer.Exit(1) from None


async def _demo(data: Path, example: Example, output: Path, console: Console) -> None:
    async with AsyncExitStack() as stack:
        state = find_stack(data)
        if state is None:
            local = Stack(data, report=lambda step: console.print(step, style="dim"))
            state = (await stack.enter_async_context(local)).state
        played, trace_id = await _play_traced(example, state, output, console)
        _leave(played, output)
        spans = await _settled(SpanStore(state.data / "traces"), trace_id)
        if not spans:
            raise ServerError(f"The trace {trace_id} was not recorded", f"See whether {state.otlp} takes spans")
        write(spans, output / "trace.txt")
    proven = played.report.entries_proven
    console.print(f"demo: packet {played.packet.packet_id} verified, {proven} audit entries proven, trace {trace_id}")


async def _play_traced(example: Example, state: StackState, output: Path, console: Console) -> tuple[Played, str]:
    """Play the loop in one trace; return what it leaves and the trace's id."""
    telemetry = Telemetry("demo", "0", state.otlp)
    telemetry.install()
    start = time.monotonic()

    def tell(step: str, what: str) -> None:
        console.print(f"[dim]{time.monotonic() - start:6.2f} s[/dim]  [bold]{step:<10}[/bold]", end="")
        console.print(what, markup=False)

    async with AsyncExitStack() as stack:
        claimant = await stack.enter_async_context(person(state, "claimant@example.com", "claimant"))
        reviewer = await stack.enter_async_context(person(state, "reviewer@example.com", "reviewer"))
        auditor = await stack.enter_async_context(person(state, "auditor@example.com", "auditor"))
        with span("evidence loop") as root:
            played = await play(
                example, claimant=claimant, reviewer=reviewer, auditor=auditor, output=output, tell=tell
            )
    await asyncio.to_thread(telemetry.shutdown)
    return played, format_trace_id(root.get_span_context().trace_id)


def _leave(played: Played, output: Path) -> None:
    """Write what the loop left beside the packet: summary, audit entries, checkpoint and the key to trust."""
    with zipfile.ZipFile(played.file) as archive:
        (output / "summary.pdf").write_bytes(archive.read(f"{played.packet.packet_id}/data/summary.pdf"))
    lines = (
        json.dumps({"index": entry.index, "leaf_hash": entry.leaf_hash.hex(), "leaf": entry.leaf.decode()})
        for entry in played.entries
    )
    (output / "audit.jsonl").write_text("".join(f"{line}\n" for line in lines))
    (output / "checkpoint.txt").write_text(played.checkpoint.note)
    (output / "log.vkey").write_text(f"{played.checkpoint.verifier_key}\n")


async def _settled(store: SpanStore, trace_id: str) -> list[Span]:
    """Return the trace's spans once no more have come for a while: services hand theirs in late, in batches."""
    end = time.monotonic() + LONGEST_SECONDS
    spans: list[Span] = []
    while time.monotonic() < end:
        await asyncio.sleep(SETTLED_SECONDS)
        now = await asyncio.to_thread(store.trace, trace_id)
        if now and len(now) == len(spans):
            break
        spans = now
    return spans
