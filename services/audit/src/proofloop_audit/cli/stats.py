"""`proofloop audit stats`: how many sessions there were, how long they took, and what they used."""

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from enum import StrEnum
from itertools import dropwhile
from pathlib import Path
from typing import Annotated

import typer
from google.protobuf.duration_pb2 import Duration
from proofloop.audit.v1 import sessions_pb2
from proofloop.audit.v1 import sessions_service_pb2 as contract
from rich.table import Table

from proofloop_audit.cli import tables
from proofloop_audit.cli.client import connected
from proofloop_audit.cli.files import write_whole
from proofloop_audit.cli.options import Connection, spread

_BAR = 24
_NONE = "-"


class Report(StrEnum):
    """The forms of a report, as its name ends."""

    PDF = ".pdf"
    XLSX = ".xlsx"
    JSON = ".json"


@spread
def stats(
    connection: Connection,
    days: Annotated[int, typer.Option(min=1, max=366, metavar="N", help="So many full days, and today.")] = 30,
    kind: Annotated[str, typer.Option(help="Only sessions of this kind. Default: all.")] = "",
    report: Annotated[
        Path | None,
        typer.Option(dir_okay=False, metavar="FILE", help="Write a report instead: .pdf, .xlsx or .json."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Show the figures of the sessions that began in the last days, in UTC.

    Exit codes: 0 shown or written; 1 the service refused; 2 wrong usage; 5 no answer, try again.
    """
    if report is not None:
        _write_report(connection, report, days, kind, as_json=as_json)
        return
    with connected(connection) as audit:
        found = audit.statistics(days=days, kind=kind)
    if as_json:
        typer.echo(tables.to_json(found, indent=2))
        return
    console = tables.console()
    for number, table in enumerate(_tables(found)):
        if number:
            console.print()
        console.print(table)


def _write_report(connection: Connection, file: Path, days: int, kind: str, *, as_json: bool) -> None:
    try:
        form = Report(file.suffix.lower())
    except ValueError as error:
        raise typer.BadParameter(f"{file} ends in none of {', '.join(Report)}", param_hint="--report") from error
    if as_json:
        raise typer.BadParameter("goes without --report; FILE.json is a report as JSON", param_hint="--json")
    format_ = contract.ReportFormat.Value(f"REPORT_FORMAT_{form.name}")
    request = contract.GenerateReportRequest(days=days, kind=kind, format=format_)
    with connected(connection) as audit:
        size = write_whole(file, audit.report(request))
    typer.echo(f"{file}: {size:,} bytes", err=True)


def _tables(found: sessions_pb2.SessionStatistics) -> Iterator[Table]:
    yield _whole(found)
    if found.kinds:
        yield _sessions("kind", ((figures.kind, figures.sessions) for figures in found.kinds))
    if found.events:
        table = _table("event", "total", "not a success")
        for event in found.events:
            table.add_row(tables.cell(event.type), f"{event.total:,}", f"{event.failed:,}")
        yield table
    if found.figures:
        table = _table("figure", "sum", "unit", "reported")
        for figure in found.figures:
            cells = (tables.cell(text) for text in (figure.name, figure.sum, figure.unit))
            table.add_row(*cells, f"{figure.count:,}")
        yield table
    if found.sessions.total:
        yield _days(found)


def _whole(found: sessions_pb2.SessionStatistics) -> Table:
    whole = found.sessions
    table = Table.grid("name", "value", padding=(0, 2))
    table.columns[0].style = "dim"
    table.add_row("days", f"{found.first_date} to {found.last_date}, UTC")
    table.add_row("sessions", f"{whole.total:,}")
    for name, count in (("succeeded", whole.succeeded), ("failed", whole.failed), ("running", whole.running)):
        table.add_row(name, f"{count:,}")
    table.add_row("success rate", _rate(whole))
    table.add_row("mean duration", _length(whole, "mean_duration"))
    for per_cent in (50, 90, 95, 99):
        table.add_row(f"{per_cent} % within", _length(found.durations, f"p{per_cent}"))
    return table


def _sessions(first: str, rows: Iterator[tuple[str, sessions_pb2.SessionFigures]]) -> Table:
    table = _table(first, "sessions", "succeeded", "failed", "running", "rate", "mean")
    for name, figures in rows:
        counts = (figures.total, figures.succeeded, figures.failed, figures.running)
        table.add_row(
            tables.cell(name), *(f"{count:,}" for count in counts), _rate(figures), _length(figures, "mean_duration")
        )
    return table


def _days(found: sessions_pb2.SessionStatistics) -> Table:
    """Return a bar for each day, from the first one on that had a session."""
    highest = max(day.sessions.total for day in found.days)
    table = _table("day", "sessions", "failed")
    table.add_column("")
    for day in dropwhile(lambda day: not day.sessions.total, found.days):
        total = day.sessions.total
        # A day that had one shows.
        bar = "\N{FULL BLOCK}" * -(-_BAR * total // highest)
        table.add_row(day.date, f"{total:,}", f"{day.sessions.failed:,}", bar)
    return table


def _table(first: str, *numbers: str) -> Table:
    table = Table(first, show_edge=False, pad_edge=False)
    for name in numbers:
        table.add_column(name, justify="left" if name == "unit" else "right")
    return table


def _rate(figures: sessions_pb2.SessionFigures) -> str:
    return f"{Decimal(figures.success_rate) * 100:.2f} %" if figures.success_rate else _NONE


def _length(message: sessions_pb2.SessionFigures | sessions_pb2.DurationPercentiles, name: str) -> str:
    """Return a duration, which is absent where no session ended."""
    if not message.HasField(name):  # type: ignore[arg-type] # stubs want a literal
        return _NONE
    duration: Duration = getattr(message, name)
    return _spoken(duration.ToTimedelta())


def _spoken(length: timedelta) -> str:
    seconds = length.total_seconds()
    if seconds < 1:
        return f"{seconds * 1000:.3g} ms"
    if seconds < 60:
        return f"{seconds:.3g} s"
    return str(timedelta(seconds=round(seconds)))
