"""Deliverables as JSON and CSV."""

import csv
import io
import json
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st
from proofloop_exports.errors import DeliverableTooLarge, TemplateNotApplicable
from proofloop_exports.workflows import rendering
from proofloop_exports.workflows.csv_text import neutralise, read_lines, restore, write_line
from proofloop_exports.workflows.documents import Number, Value, parse
from proofloop_exports.workflows.records import Format, Template
from proofloop_exports.workflows.rendering import render

INVOICE = parse(
    """{"invoice": "INV-4711", "total": -12.50, "paid": false, "due": null,
        "lines": [
          {"sku": "A", "qty": 40, "ship_to": {"city": "Köln", "tags": ["x", 1.0]}},
          {"sku": "=HYPERLINK(1)", "qty": 28.0, "note": "say \\"hi\\",\\nplease"}
        ]}"""
)

texts = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from("=+-@\t\r\n'\","), max_size=8)
values: st.SearchStrategy[Value] = st.recursive(
    st.one_of(st.none(), st.booleans(), st.sampled_from(["1", "1.0", "-12.50"]).map(Number), texts),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(texts, inner, max_size=5),
    max_leaves=20,
)


def shown(template: Template, format_: Format, data: Value = INVOICE) -> str:
    return render(data, "40 billed, 28 received.", template, format_).decode()


def test_the_executive_summary_holds_the_facts_without_the_rows() -> None:
    assert json.loads(shown(Template.EXECUTIVE_SUMMARY, Format.JSON)) == {
        "summary": "40 billed, 28 received.",
        "facts": {"invoice": "INV-4711", "total": -12.5, "paid": False, "due": None},
    }


def test_the_detailed_form_holds_everything_with_the_text_of_its_numbers() -> None:
    text = shown(Template.DETAILED, Format.JSON)
    assert text.startswith('{\n  "summary": "40 billed, 28 received.",\n  "data": {\n    "invoice": "INV-4711",\n')
    assert '"total": -12.50' in text
    assert '"qty": 28.0' in text


def test_the_detailed_csv_has_a_line_per_value() -> None:
    lines = list(csv.reader(io.StringIO(shown(Template.DETAILED, Format.CSV), newline="")))
    assert lines[:6] == [
        ["path", "type", "value"],
        ["", "object", ""],
        ["/summary", "string", "40 billed, 28 received."],
        ["/data", "object", ""],
        ["/data/invoice", "string", "INV-4711"],
        ["/data/total", "number", "-12.50"],
    ]
    assert ["/data/lines/1/sku", "string", "'=HYPERLINK(1)"] in lines


def test_the_ledger_is_a_table_of_the_rows() -> None:
    assert list(csv.reader(io.StringIO(shown(Template.LEDGER, Format.CSV), newline=""))) == [
        ["sku", "qty", "ship_to/city", "ship_to/tags", "note"],
        ["A", "40", "Köln", '["x",1.0]', ""],
        ["'=HYPERLINK(1)", "28.0", "", "", 'say "hi",\nplease'],
    ]
    assert [row["qty"] for row in json.loads(shown(Template.LEDGER, Format.JSON))] == [40, 28.0]


def test_the_ledger_shows_the_longest_list_of_objects() -> None:
    data = parse('{"a": [{"x": 1}], "b": {"c": [{"y": 1}, {"y": 2}]}, "d": [1, 2, 3]}')
    assert shown(Template.LEDGER, Format.CSV, data) == "y\r\n1\r\n2\r\n"


@pytest.mark.parametrize("text", ['{"a": [1, 2]}', "{}", '{"a": [{"b": 1}, 2]}', '{"a": []}'])
def test_a_ledger_of_no_rows_is_refused(text: str) -> None:
    with pytest.raises(TemplateNotApplicable):
        shown(Template.LEDGER, Format.JSON, parse(text))


def test_an_executive_summary_of_a_list_is_refused() -> None:
    with pytest.raises(TemplateNotApplicable):
        shown(Template.EXECUTIVE_SUMMARY, Format.JSON, parse("[1]"))


@given(
    values,
    texts,
    st.sampled_from([Template.DETAILED, Template.LEDGER]),
    st.sampled_from([Format.JSON, Format.CSV]),
)
def test_whatever_the_data_the_file_reads_back_equal_and_repeats(
    value: Value, summary: str, template: Template, format_: Format
) -> None:
    data: Value = {"rows": [{"value": value}, {"": value}]}
    assert render(data, summary, template, format_) == render(data, summary, template, format_)


@given(values)
def test_no_cell_of_a_csv_begins_like_a_formula_unless_it_is_a_plain_number(value: Value) -> None:
    for template in (Template.DETAILED, Template.LEDGER):
        text = render([{"=cell": value}], "=summary", template, Format.CSV).decode()
        for line in csv.reader(io.StringIO(text, newline="")):
            for cell in line:
                assert (
                    not cell.startswith(("=", "+", "-", "@", "\t", "\r"))
                    or cell.lstrip("+-").replace(".", "").isdigit()
                )


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("+49 30 1234", "'+49 30 1234"),
        ("-12.50", "-12.50"),
        ("+5", "+5"),
        ("-1.2.3", "'-1.2.3"),
        ("-1\n=1", "'-1\n=1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\tx", "'\tx"),
        ("\rx", "'\rx"),
        ("\uff1d1", "'\uff1d1"),
        ("'=1", "''=1"),
        ("'tis", "'tis"),
        ("a=b", "a=b"),
        ("", ""),
    ],
)
def test_text_that_looks_like_a_formula_gets_an_apostrophe(text: str, cell: str) -> None:
    assert neutralise(text) == cell
    assert restore(cell) == text


@given(texts)
def test_taking_the_apostrophe_away_gives_the_text_back(text: str) -> None:
    assert restore(neutralise(text)) == text


@given(st.lists(st.lists(texts, min_size=1, max_size=4), min_size=1, max_size=4))
def test_lines_read_alike_here_and_elsewhere(lines: list[list[str]]) -> None:
    text = "".join(write_line(line) for line in lines)
    assert list(read_lines(text)) == lines
    assert list(csv.reader(io.StringIO(text, newline=""))) == lines


@pytest.mark.parametrize("text", ["a", 'a"b\r\n', '"a', '"a"b\r\n', "a\nb\r\n"])
def test_text_that_is_no_csv_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no cell begins"):
        list(read_lines(text))


def test_a_file_of_long_paths_is_refused_before_it_takes_the_memory() -> None:
    data: Value = {"n" * 100_000: [None] * 2000}
    tracemalloc.start()
    with pytest.raises(DeliverableTooLarge):
        shown(Template.DETAILED, Format.CSV, data)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 * rendering.MAX_SIZE


def test_a_table_of_columns_that_few_rows_share_is_refused() -> None:
    rows: Value = [{str(number): None} for number in range(1000)]
    assert shown(Template.LEDGER, Format.CSV, rows)
    with pytest.raises(DeliverableTooLarge, match="cells"):
        shown(Template.LEDGER, Format.CSV, [*rows, {"one": None, "more": None}])


def test_a_file_of_too_many_bytes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rendering, "MAX_SIZE", 10)
    with pytest.raises(DeliverableTooLarge):
        shown(Template.DETAILED, Format.JSON)


def test_the_deepest_document_is_rendered() -> None:
    data = parse('{"a":' * 64 + "1" + "}" * 64)
    for format_ in (Format.JSON, Format.CSV):
        assert render(data, "s", Template.DETAILED, format_)


def test_a_format_that_is_not_rendered_here_is_refused() -> None:
    with pytest.raises(ValueError, match="PDF"):
        shown(Template.DETAILED, Format.PDF)
