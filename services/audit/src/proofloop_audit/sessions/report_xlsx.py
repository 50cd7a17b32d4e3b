"""A report as a workbook (ISO/IEC 29500): a sheet each for the summary, days, kinds, events and figures."""

import io
from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import openpyxl
from openpyxl.cell import WriteOnlyCell
from openpyxl.styles import Font
from openpyxl.utils import get_column_letter

from proofloop_audit.sessions.statistics import PERCENTILES, Count, Statistics

Cell = str | int | Decimal | date | timedelta | None

_SPREADSHEET_DIGITS: Final = 15
"""Digits that a spreadsheet keeps of a number; an exact one with more stands as text."""

_COUNTS: Final = ("Sessions", "Succeeded", "Failed", "Running", "Success rate", "Mean duration (s)")


def render(tenant: str, create_time: datetime, kind: str | None, statistics: Statistics) -> bytes:
    """Return the workbook."""
    workbook = openpyxl.Workbook(write_only=True)
    workbook.properties.creator = "Proofloop"
    workbook.properties.title = "Sessions"
    workbook.properties.created = create_time.replace(tzinfo=None)
    _sheet(workbook, "Summary", ("Figure", "Value"), _summary(tenant, create_time, kind, statistics))
    days = ((day, *_counts(count)) for day, count in statistics.days.items())
    _sheet(workbook, "Days", ("Day (UTC)", *_COUNTS), days)
    kinds = ((name, *_counts(count)) for name, count in statistics.kinds.items())
    _sheet(workbook, "Kinds", ("Kind", *_COUNTS), kinds)
    events = ((name, count.total, count.failed) for name, count in statistics.events.items())
    _sheet(workbook, "Events", ("Event", "Total", "Not successful"), events)
    figures = ((total.name, total.amount, total.unit, total.count) for total in statistics.figures)
    _sheet(workbook, "Figures", ("Figure", "Sum", "Unit", "Times reported"), figures)
    file = io.BytesIO()
    workbook.save(file)
    return file.getvalue()


def _summary(
    tenant: str, create_time: datetime, kind: str | None, statistics: Statistics
) -> Iterable[tuple[Cell, ...]]:
    yield "Tenant", tenant
    yield "Kind", kind or "all"
    yield "First day (UTC)", statistics.window.first_day
    yield "Last day (UTC)", statistics.window.last_day
    yield "As of", create_time.strftime("%Y-%m-%d %H:%M:%S UTC")
    yield from zip(_COUNTS, _counts(statistics.sessions), strict=True)
    for per_cent, length in zip(PERCENTILES, statistics.percentiles, strict=False):
        yield f"Duration, {per_cent} % (s, within 1 %)", length


def _counts(count: Count) -> tuple[Cell, ...]:
    return count.total, count.succeeded, count.failed, count.running, count.success_rate, count.mean


def _sheet(workbook: Any, name: str, head: Sequence[str], rows: Iterable[Sequence[Cell]]) -> None:
    sheet = workbook.create_sheet(name)
    sheet.freeze_panes = "A2"
    sheet.column_dimensions["A"].width = 34
    for number in range(2, len(head) + 1):
        sheet.column_dimensions[get_column_letter(number)].width = 24
    titles = [_cell(sheet, title) for title in head]
    for title in titles:
        title.font = Font(bold=True)
    sheet.append(titles)
    for row in rows:
        sheet.append([_cell(sheet, value) for value in row])


def _cell(sheet: Any, value: Cell) -> Any:
    if isinstance(value, timedelta):
        value = Decimal(value // timedelta(microseconds=1)) / 1_000_000
    if isinstance(value, Decimal) and len(value.as_tuple().digits) > _SPREADSHEET_DIGITS:
        value = f"{value:f}"
    cell = WriteOnlyCell(sheet, value)
    if isinstance(value, str):
        # Whatever it begins with, it is text and not a formula, also when it is edited or saved as CSV.
        cell.data_type = "s"
        cell.quotePrefix = True
    return cell
