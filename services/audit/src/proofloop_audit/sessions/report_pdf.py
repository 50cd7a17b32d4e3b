"""A report as a document to print and file: PDF/A-3b (ISO 19005-3) with its JSON form attached.

The layout (``report.typ``) reads what it shows as data, which the typesetter never parses as markup. Only the
typesetter's own fonts are used and every time is the report's, so the same figures give the same bytes on any machine.
"""

import json
import tempfile
from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from importlib.resources import files
from itertools import groupby
from pathlib import Path
from typing import Any, Final

import typst

from proofloop_audit.sessions.statistics import PERCENTILES, Count, Statistics

_LAYOUT: Final = files(__package__).joinpath("report.typ").read_bytes()

_MOST_DAYS: Final = 32
"""Days that are listed one by one; more are listed by month."""

_NONE: Final = "\N{EN DASH}"


def render(tenant: str, create_time: datetime, kind: str | None, statistics: Statistics, document: bytes) -> bytes:
    """Return the PDF."""
    model = _displayed(tenant, create_time, kind, statistics)
    with tempfile.TemporaryDirectory(prefix="proofloop-report-") as folder:
        root = Path(folder)
        (root / "report.typ").write_bytes(_LAYOUT)
        (root / "display.json").write_text(json.dumps(model))
        (root / "statistics.json").write_bytes(document)
        return typst.compile(
            root / "report.typ",
            root=root,
            ignore_system_fonts=True,
            pdf_standards="a-3b",
            # PDF dates know no fractions of a second.
            timestamp=create_time.replace(microsecond=0),
        )


def _displayed(tenant: str, create_time: datetime, kind: str | None, statistics: Statistics) -> dict[str, Any]:
    whole, window = statistics.sessions, statistics.window
    by_month = len(statistics.days) > _MOST_DAYS
    spans = _months(statistics.days) if by_month else [(_day(day), count) for day, count in statistics.days.items()]
    return {
        "tenant": tenant,
        "kind": kind or "",
        "first_day": _day(window.first_day),
        "last_day": _day(window.last_day),
        "as_of": f"{_day(create_time.date())}, {create_time:%H:%M:%S} UTC",
        "empty": whole.total == 0,
        "tiles": [
            ("Sessions", _number(whole.total)),
            ("Succeeded", _number(whole.succeeded)),
            ("Failed", _number(whole.failed)),
            ("Running", _number(whole.running)),
            ("Success rate", _rate(whole)),
        ],
        "durations": [("Mean", _length(whole.mean)), *_percentiles(statistics)],
        "bars": _bars(statistics.days.values()),
        "highest": _number(max(count.total for count in statistics.days.values())),
        "by_month": by_month,
        "spans": [(name, *_cells(count)) for name, count in spans],
        "kinds": [(name, *_cells(count)) for name, count in statistics.kinds.items()],
        "events": [(name, _number(count.total), _number(count.failed)) for name, count in statistics.events.items()],
        "figures": [
            (total.name, _decimal(total.amount), total.unit or _NONE, _number(total.count))
            for total in statistics.figures
        ],
    }


_PERCENTILE_NAMES: Final = {50: "Median", 90: "90 % within", 95: "95 % within", 99: "99 % within"}


def _percentiles(statistics: Statistics) -> list[tuple[str, str]]:
    lengths = zip(PERCENTILES, statistics.percentiles, strict=False)
    return [(_PERCENTILE_NAMES[per_cent], _length(length)) for per_cent, length in lengths]


def _bars(days: Iterable[Count]) -> list[tuple[float, float, float]]:
    """Return the parts of each day's bar, 1 being the height of the highest: succeeded, failed, running."""
    counts = list(days)
    highest = max((count.total for count in counts), default=0) or 1
    return [(count.succeeded / highest, count.failed / highest, count.running / highest) for count in counts]


def _months(days: Mapping[date, Count]) -> list[tuple[str, Count]]:
    return [
        (f"{month:%B %Y}", sum((count for _, count in found), Count()))
        for month, found in groupby(days.items(), key=lambda item: item[0].replace(day=1))
    ]


def _cells(count: Count) -> tuple[str, ...]:
    return (
        _number(count.total),
        _number(count.succeeded),
        _number(count.failed),
        _number(count.running),
        _rate(count),
        _length(count.mean),
    )


def _day(day: date) -> str:
    return f"{day.day} {day:%B %Y}"


def _number(count: int) -> str:
    return f"{count:,}"


def _decimal(amount: Decimal) -> str:
    return f"{amount:,f}"


def _rate(count: Count) -> str:
    return _NONE if count.success_rate is None else f"{count.success_rate * 100:.2f} %"


def _length(length: timedelta | None) -> str:
    """Return a duration with its two greatest units, or three digits where it is below a minute."""
    if length is None:
        return _NONE
    if length < timedelta(seconds=1):
        return f"{length / timedelta(milliseconds=1):.3g} ms"
    if length < timedelta(minutes=1):
        return f"{length.total_seconds():.3g} s"
    seconds = round(length.total_seconds())
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days:,} d {hours} h"
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {seconds:02} s"
