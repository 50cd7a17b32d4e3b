"""A report as PDF, workbook and JSON says what the statistics say, in each."""

import io
import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import openpyxl
import pytest
from google.protobuf import json_format
from proofloop.audit.v1 import sessions_pb2
from proofloop_audit.sessions.figures import from_statistics
from proofloop_audit.sessions.report import Format, Report, render
from proofloop_audit.sessions.statistics import Count, EventCount, Statistics, Total, Window
from pypdf import PdfReader

NOW = datetime(2026, 1, 2, 15, 4, 5, 123456, tzinfo=UTC)
BUSY = Count(1_234, 1_000, 200, 1_200 * 1_500_000)
LONG = Decimal("987654321987654321.000000000001")


def report(full_days: int = 30, **changes) -> Report:
    window = Window.ending(NOW, full_days)
    facts = {
        "window": window,
        "sessions": BUSY,
        "percentiles": tuple(timedelta(seconds=seconds) for seconds in (0.35, 20, 3_700, 270_000)),
        "kinds": {"invoice_parsing": BUSY},
        "events": {"quality_check": EventCount(2_345, 17)},
        "figures": (Total("cost", "USD", Decimal("12.50"), 3), Total("tokens", "-1+1", LONG, 4)),
        "days": dict.fromkeys(window.days(), Count()) | {window.last_day: BUSY},
    }
    return Report("acme", NOW, None, Statistics(**facts | changes))


def empty() -> Report:
    window = Window.ending(NOW, 30)
    days = dict.fromkeys(window.days(), Count())
    return report(sessions=Count(), percentiles=(), kinds={}, events={}, figures=(), days=days)


def pdf(made: Report) -> PdfReader:
    return PdfReader(io.BytesIO(render(made, Format.PDF)))


def words(made: Report) -> str:
    return " ".join(
        " ".join(page.extract_text() for page in pdf(made).pages).replace("\N{ZERO WIDTH SPACE}", "").split()
    )


@pytest.mark.parametrize("format_", [Format.PDF, Format.JSON])
def test_the_same_figures_at_the_same_time_give_the_same_bytes(format_: Format) -> None:
    assert render(report(), format_) == render(report(), format_)


def test_the_pdf_is_pdf_a_3b_of_its_time_and_holds_the_json() -> None:
    read = pdf(report())
    metadata = read.root_object["/Metadata"].get_object().get_data().decode()
    assert "<pdfaid:part>3</pdfaid:part>" in metadata
    assert "<pdfaid:conformance>B</pdfaid:conformance>" in metadata
    assert read.metadata.creation_date == NOW.replace(microsecond=0)
    assert read.attachments == {"statistics.json": [render(report(), Format.JSON)]}


def test_the_pdf_says_the_figures_in_words_that_people_use() -> None:
    text = words(report())
    for said in (
        "3 December 2025 to 2 January 2026",
        "As of 2 January 2026, 15:04:05 UTC",
        "1,234",
        "83.33 %",
        "1.5 s",
        "350 ms",
        "20 s",
        "1 h 01 min",
        "3 d 3 h",
        "invoice_parsing",
        "2,345 17",
        "cost 12.50 USD 3",
        "987,654,321,987,654,321.000000000001",
    ):
        assert said in text, said
    assert "Only sessions of the kind" not in text


def test_the_pdf_lists_days_up_to_a_month_and_months_beyond() -> None:
    assert "31 December 2025 0 0 0 0" in words(report())
    year = words(report(full_days=366))
    assert "December 2025 0 0 0 0" in year
    assert "January 2026 1,234 1,000 200 34 83.33 % 1.5 s" in year
    assert "31 December 2025" not in year


def test_a_report_without_sessions_says_so() -> None:
    text = words(empty())
    assert "No session has ended." in text
    assert "There were no sessions." in text
    for format_ in (Format.XLSX, Format.JSON):
        assert render(empty(), format_)


def test_the_workbook_holds_every_day_and_no_formula() -> None:
    workbook = openpyxl.load_workbook(io.BytesIO(render(report(full_days=366), Format.XLSX)))
    rows = {sheet.title: list(sheet.iter_rows(values_only=True)) for sheet in workbook}
    assert list(rows) == ["Summary", "Days", "Kinds", "Events", "Figures"]
    assert len(rows["Days"]) == 1 + 367
    last = rows["Days"][-1]
    assert (last[0].date(), *last[1:]) == (date(2026, 1, 2), 1_234, 1_000, 200, 34, 0.833333, 1.5)
    assert rows["Events"][1] == ("quality_check", 2_345, 17)
    # A spreadsheet keeps fifteen digits of a number; what has more stands as text.
    assert rows["Figures"][1:] == [("cost", 12.5, "USD", 3), ("tokens", f"{LONG:f}", "-1+1", 4)]
    texts = [cell for sheet in workbook for row in sheet.iter_rows() for cell in row if isinstance(cell.value, str)]
    assert all(cell.data_type == "s" and cell.quotePrefix for cell in texts)


def test_a_text_that_looks_like_a_formula_is_text_in_the_workbook() -> None:
    wanted = report(figures=(Total("cost", "=1+1", Decimal(1), 1),))
    sheet = openpyxl.load_workbook(io.BytesIO(render(wanted, Format.XLSX)))["Figures"]
    assert (sheet["C2"].value, sheet["C2"].data_type) == ("=1+1", "s")


def test_the_json_is_the_statistics_and_whose_they_are() -> None:
    document = json.loads(render(report(), Format.JSON))
    statistics = json_format.ParseDict(document.pop("statistics"), sessions_pb2.SessionStatistics())
    assert statistics == from_statistics(report().statistics)
    assert document == {"tenant": "acme", "create_time": "2026-01-02T15:04:05.123456Z", "kind": None}
