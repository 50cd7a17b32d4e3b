"""`proofloop trace`: what happened in a request, across services and messages, as a waterfall."""

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from proofloop_local.labels import outcome, several, title
from proofloop_local.span_store import SpanStore
from proofloop_local.spans import Kind, Span
from proofloop_local.waterfall import Row, Waterfall, arrange

FOUND_NOTHING = 4
PLAIN_WIDTH = 150
BAR_WIDTH = 36
RECENT = 20
HEALTH = "grpc.health."
COLOURS = ("cyan", "green", "magenta", "yellow", "blue", "bright_red", "bright_cyan", "bright_green")
MARKS = {
    Kind.SERVER: "◀",
    Kind.CLIENT: "▶",
    Kind.PRODUCER: "✉▶",
    Kind.CONSUMER: "✉◀",
    Kind.INTERNAL: "·",
}
LEGEND = "◀ call taken   ▶ call made   ✉▶ message sent   ✉◀ message taken up   · own work   ✗ failed"
TraceId = Annotated[str, typer.Argument(help="A trace's id or its beginning. Without it: the recent traces.")]
Output = Annotated[Path | None, typer.Option(help="Write plain text to this file.")]
Data = Annotated[Path, typer.Option(help="The stack's data folder.")]


def trace(
    trace_id: TraceId = "",
    output: Output = None,
    data: Data = Path(".proofloop"),
    full: Annotated[bool, typer.Option(help="Show every span, also where many like ones follow.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the spans as JSON lines.")] = False,
) -> None:
    """Show a trace of the local stack as a waterfall, or list the recent ones."""
    store = SpanStore(data / "traces")
    if not trace_id:
        _screen().print(recent(store))
        return
    spans = store.trace(trace_id.lower())
    if not spans:
        typer.echo(f"No trace {trace_id} was recorded in {data}.", err=True)
        raise typer.Exit(FOUND_NOTHING)
    if as_json:
        sys.stdout.writelines(f"{span.to_json()}\n" for span in spans)
    elif output is not None:
        write(spans, output, full=full)
    else:
        screen = _screen()
        screen.print(draw(arrange(spans, fold=not full), min(BAR_WIDTH, screen.width // 4)))


def write(spans: list[Span], file: Path, *, full: bool = False) -> None:
    """Write the waterfall of one trace's spans as plain text."""
    with file.open("w", encoding="utf-8") as output:
        console = Console(file=output, width=PLAIN_WIDTH, color_system=None, force_terminal=False)
        console.print(draw(arrange(spans, fold=not full)))
    lines = (line.rstrip() for line in file.read_text(encoding="utf-8").splitlines())
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _screen() -> Console:
    """The terminal, or, where output goes to a file or a program, as wide as plain text is."""
    screen = Console()
    return screen if screen.is_terminal else Console(width=PLAIN_WIDTH)


def draw(waterfall: Waterfall, bar_width: int = BAR_WIDTH) -> RenderableType:
    """The waterfall for a person."""
    colours = {share.name: COLOURS[i % len(COLOURS)] for i, share in enumerate(waterfall.services)}
    table = Table(box=None, padding=(0, 1, 0, 0), expand=True, header_style="bold")
    table.add_column("start", justify="right", no_wrap=True)
    table.add_column("duration", justify="right", no_wrap=True)
    table.add_column("service", no_wrap=True)
    table.add_column("span", ratio=1, overflow="fold")
    table.add_column("", width=bar_width, no_wrap=True)
    for row in waterfall.rows:
        span = row.first
        colour = colours[span.service]
        table.add_row(
            duration(span.start - waterfall.start),
            duration(row.end - span.start),
            Text(span.service, style=colour),
            _label(row),
            Text(bar(row, waterfall, bar_width), style="red" if span.failed else colour),
        )
    legend = Text(LEGEND, style="dim")
    if waterfall.left_out:
        legend.append(f"\nNot shown: {counted(waterfall.left_out, 'statement')} that only choose the tenant (--full).")
    return Group(_head(waterfall), Text(), table, Text(), legend)


def recent(store: SpanStore) -> RenderableType:
    """A table of the newest traces, newest first, without those in which services only look after themselves."""
    traces: dict[str, list[Span]] = {}
    for span in store:
        traces.setdefault(span.trace_id, []).append(span)
    asked = (spans for spans in traces.values() if not is_upkeep(spans))
    newest = sorted((arrange(spans) for spans in asked), key=lambda each: each.start, reverse=True)
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("time (UTC)", no_wrap=True, min_width=12)
    table.add_column("trace", no_wrap=True, min_width=32)
    for figure in ("spans", "duration"):
        table.add_column(figure, no_wrap=True, justify="right")
    table.add_column("begins with", no_wrap=True)
    for waterfall in newest[:RECENT]:
        table.add_row(
            moment(waterfall.start)[11:],
            waterfall.trace_id,
            str(sum(share.spans for share in waterfall.services)),
            duration(waterfall.end - waterfall.start),
            title(waterfall.rows[0].first),
        )
    return table if newest else Text("No trace has been recorded yet.")


def is_upkeep(spans: list[Span]) -> bool:
    """Whether nobody asked for it: a worker's look into its database, a probe of health."""
    return all(span.kind is Kind.CLIENT or span.name.startswith(HEALTH) for span in spans)


def duration(nanoseconds: int) -> str:
    """A length of time in three digits and the unit that suits it."""
    unit, size = ("s", 1_000_000_000) if nanoseconds >= 1_000_000_000 else ("ms", 1_000_000)
    value = nanoseconds / size
    digits = 2 if value < 10 else 1 if value < 100 else 0
    return f"{value:.{digits}f} {unit}"


def moment(nanoseconds: int) -> str:
    """A time in UTC, to the millisecond."""
    return datetime.fromtimestamp(nanoseconds / 1e9, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]


def counted(number: int, noun: str) -> str:
    """`1 span`, `2 spans`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def bar(row: Row, waterfall: Waterfall, width: int = BAR_WIDTH) -> str:
    """Where the row lies in the trace's time, in `width` characters."""
    whole = max(waterfall.end - waterfall.start, 1)
    left = min((row.first.start - waterfall.start) * width // whole, width - 1)
    length = (row.end - row.first.start) * width / whole
    return " " * left + ("▏" if length < 0.5 else "█" * min(max(round(length), 1), width - left))


def _head(waterfall: Waterfall) -> RenderableType:
    failed = sum(share.failed for share in waterfall.services)
    facts = (
        f"{moment(waterfall.start)} UTC",
        duration(waterfall.end - waterfall.start),
        counted(sum(share.spans for share in waterfall.services), "span"),
        counted(len(waterfall.services), "service"),
        f"{failed} failed" if failed else "none failed",
    )
    shares = ", ".join(f"{share.name} {share.spans}" for share in waterfall.services)
    return Group(
        Text(f"Trace {waterfall.trace_id}", style="bold"), Text(" · ".join(facts)), Text(f"Spans by service: {shares}")
    )


def _label(row: Row) -> Text:
    span = row.first
    rails = "".join("│ " if rail else "  " for rail in row.rails[1:])
    branch = ("└ " if row.last else "├ ") if row.depth else ""
    label = Text(rails + branch, style="dim")
    label.append(f"{MARKS[span.kind]} ", style="dim")
    label.append(title(span) if len(row.spans) == 1 else several(row.spans), style="bold" if not row.depth else "")
    ending = outcome(span)
    if span.failed:
        label.append(f" ✗ {ending}".rstrip(), style="red")
    elif ending:
        label.append(f" {ending}", style="yellow")
    if row.note:
        label.append(f" ({row.note})", style="dim")
    return label
