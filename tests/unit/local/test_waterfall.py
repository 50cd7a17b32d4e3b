"""A waterfall shows what caused what, in order, without drowning in repetition."""

import random
from pathlib import Path

import pytest
from proofloop_local.labels import TIMES, outcome, several, title
from proofloop_local.span_store import SpanStore
from proofloop_local.spans import Kind, Link, Span
from proofloop_local.trace import bar, duration, write
from proofloop_local.waterfall import arrange

TRACE = "ab" * 16


def span(number: int, parent: int = 0, *, start: int | None = None, length: int = 10, **fields: object) -> Span:
    begin = number if start is None else start
    values: dict[str, object] = {
        "trace_id": TRACE,
        "span_id": f"{number:016x}",
        "parent_id": f"{parent:016x}" if parent else "",
        "name": f"step {number}",
        "kind": Kind.INTERNAL,
        "service": "packets",
        "start": begin * 1_000_000,
        "end": (begin + length) * 1_000_000,
        "failed": False,
        "message": "",
        "attributes": {},
        "links": (),
    }
    return Span(**(values | fields))


def shape(spans: list[Span], *, fold: bool = True) -> list[tuple[int, str, int]]:
    return [(row.depth, row.first.name, len(row.spans)) for row in arrange(spans, fold=fold).rows]


def test_children_stand_under_their_parent_in_order_of_time_whatever_order_they_came_in() -> None:
    spans = [span(1), span(2, 1), span(3, 2), span(4, 1)]
    wanted = [(0, "step 1", 1), (1, "step 2", 1), (2, "step 3", 1), (1, "step 4", 1)]
    for _ in range(10):
        shuffled = random.SystemRandom().sample(spans, len(spans))
        assert shape(shuffled + spans[:1]) == wanted


def test_a_message_taken_up_later_stands_under_the_span_that_sent_it() -> None:
    link = Link(TRACE, f"{2:016x}")
    rows = arrange([span(1), span(2, 1), span(3, links=(link,), kind=Kind.CONSUMER)]).rows
    assert [(row.depth, row.note) for row in rows] == [(0, ""), (1, ""), (2, "follows step 2")]


def test_spans_that_link_each_other_in_a_circle_are_all_shown() -> None:
    there, back = Link(TRACE, f"{2:016x}"), Link(TRACE, f"{1:016x}")
    assert len(arrange([span(1, links=(there,)), span(2, links=(back,))]).rows) == 2


def test_a_span_whose_parent_is_missing_says_so() -> None:
    [row] = arrange([span(2, 1)]).rows
    assert (row.depth, row.note) == (0, "its parent was not recorded")


def test_like_leaves_that_follow_each_other_are_one_row_but_a_failure_stands_alone() -> None:
    leaves = [span(number, 1, name="poll") for number in range(2, 8)]
    assert shape([span(1), *leaves]) == [(0, "step 1", 1), (1, "poll", 6)]
    failed = span(8, 1, name="poll", failed=True)
    assert shape([span(1), *leaves, failed])[-1] == (1, "poll", 1)
    assert len(shape([span(1), *leaves], fold=False)) == 7


def test_what_every_transaction_begins_with_is_left_out_unless_it_failed_or_all_is_wanted() -> None:
    choice = {"db.query.text": "SELECT set_config('app.tenants', $1, true)"}
    polls = [
        span(number, 1, name="SELECT", attributes=choice if number % 2 else {"db.query.text": "SELECT a FROM b"})
        for number in range(2, 12)
    ]
    folded = arrange([span(1), *polls])
    assert [(row.first.name, len(row.spans)) for row in folded.rows] == [("step 1", 1), ("SELECT", 5)]
    assert folded.left_out == 5
    assert arrange([span(1), *polls], fold=False).left_out == 0
    assert arrange([span(1), span(2, 1, attributes=choice, failed=True)]).left_out == 0


def calls(*services: str, kind: Kind = Kind.SERVER) -> list[Span]:
    """A root that calls each of the services in turn, and what each does with the call."""
    made = [span(10 * number, 1, name="Get", kind=Kind.CLIENT) for number in range(1, len(services) + 1)]
    taken = [
        span(10 * number + 1, 10 * number, name="Get", kind=kind, service=service)
        for number, service in enumerate(services, start=1)
    ]
    return [span(1), *made, *taken]


def test_like_calls_that_follow_each_other_are_one_row_with_all_that_is_below_them() -> None:
    assert shape(calls("audit", "audit", "audit")) == [(0, "step 1", 1), (1, "Get", 3)]
    assert len(shape(calls("audit", "audit", "audit"), fold=False)) == 7


def test_calls_below_which_something_else_happened_or_a_message_was_sent_each_have_their_rows() -> None:
    assert len(shape(calls("audit", "audit", "exports"))) == 7
    assert len(shape(calls("audit", "audit", "audit", kind=Kind.PRODUCER))) == 7


def test_an_empty_trace_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one span"):
        arrange([])


def test_a_bar_lies_where_the_span_lies_in_the_traces_time() -> None:
    rows = arrange([span(1, start=0, length=100), span(2, 1, start=50, length=50), span(3, 1, start=99, length=0)])
    drawn = [bar(row, rows, width=10) for row in rows.rows]
    assert drawn == ["██████████", "     █████", "         ▏"]


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [
        (0, "0.00 ms"),
        (1_234_567, "1.23 ms"),
        (56_700_000, "56.7 ms"),
        (999_000_000, "999 ms"),
        (1_500_000_000, "1.50 s"),
    ],
)
def test_durations_have_three_digits(nanoseconds: int, text: str) -> None:
    assert duration(nanoseconds) == text


def test_the_contracts_package_is_left_out_of_a_name() -> None:
    assert title(span(1, name="proofloop.packets.v1.PacketService/GetPacket")) == "PacketService/GetPacket"
    assert title(span(1, name="GET /a/b")) == "GET /a/b"


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("SELECT a.b \nFROM subject \nWHERE a = $1", "SELECT subject"),
        ("INSERT INTO outbox (tenant) VALUES ($1)", "SELECT outbox"),
        ("SELECT a FROM unnest($1) AS t JOIN log_node ON true", "SELECT"),
        ("UPDATE feed SET a = 1", "SELECT feed"),
        ("SELECT set_config('app.tenants', $1, true)", "SELECT set_config"),
        ("SELECT 1", "SELECT"),
    ],
)
def test_a_statement_is_called_by_its_table(query: str, name: str) -> None:
    assert title(span(1, name="SELECT", attributes={"db.query.text": query})) == name


def test_statements_that_follow_each_other_are_one_row_that_names_their_tables() -> None:
    queries = ["SELECT a FROM claim", "INSERT INTO outbox (a) VALUES ($1)", "UPDATE claim SET a = 1"]
    statements = [
        span(number, 1, name=query.split()[0], attributes={"db.query.text": query})
        for number, query in enumerate(queries, start=2)
    ]
    rows = arrange([span(1), *statements, span(9, 1)]).rows
    assert [len(row.spans) for row in rows] == [1, 3, 1]
    assert several(rows[1].spans) == "3 statements: claim, outbox"
    assert several(statements[:1] * 4) == f"SELECT claim {TIMES}4"


def test_an_outcome_is_told_where_it_was_not_well() -> None:
    assert outcome(span(1, attributes={"rpc.response.status_code": "OK"})) == ""
    assert outcome(span(1, attributes={"rpc.response.status_code": "NOT_FOUND"})) == "NOT_FOUND"
    failed = {"rpc.response.status_code": "INTERNAL", "error.type": "ValueError"}
    assert outcome(span(1, attributes=failed, message="gone")) == "INTERNAL: ValueError: gone"


def test_plain_text_has_no_escape_codes_and_every_service(tmp_path: Path) -> None:
    file = tmp_path / "trace.txt"
    failed = span(3, 2, service="audit", failed=True, message="NOT_FOUND")
    write([span(1), span(2, 1, service="exports"), failed], file)
    text = file.read_text()
    assert "\x1b" not in text
    assert TRACE in text
    assert "1 failed" in text
    assert "Spans by service: packets 1, exports 1, audit 1" in text
    assert "✗ NOT_FOUND" in text


def test_the_store_gives_back_what_it_got_and_forgets_the_oldest(tmp_path: Path) -> None:
    store = SpanStore(tmp_path, file_bytes=2000)
    spans = [span(number, links=(Link(TRACE, "1" * 16),), attributes={"n": number}) for number in range(1, 101)]
    for each in spans:
        store.append([each])
    kept = list(store)
    assert 1 < len(kept) < 100
    assert kept == spans[-len(kept) :]
    assert store.trace("ab")[-1] == spans[-1]
    assert store.trace("cd") == []
