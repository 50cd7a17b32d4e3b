"""Computed changes between documents."""

import copy
import json
from collections.abc import Callable

import jsonpatch
import pytest
from hypothesis import given
from hypothesis import strategies as st
from proofloop_exports.workflows import changes
from proofloop_exports.workflows.changes import ABSENT, MAX_OVERHEAD, apply, compare, patch
from proofloop_exports.workflows.documents import Number, Value, first_difference, parse, pointer, write

names = st.sampled_from(["id", "sku", "line", "qty", "a", "b", "~", "/", ""])
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from(["0", "1", "1.0", "-0", "2"]).map(Number),
    st.sampled_from(["", "0", "x", "é"]),
)
values: st.SearchStrategy[Value] = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(names, inner, max_size=5),
    max_leaves=25,
)
rows = st.lists(st.dictionaries(names, scalars, max_size=5), max_size=12)


@st.composite
def edited(draw: Callable[..., Value]) -> tuple[Value, Value]:
    """A list, and the same list after a few edits such as a person makes."""
    before = draw(rows)
    after = copy.deepcopy(before)
    for _ in range(draw(st.integers(0, 4))):
        place = draw(st.integers(0, len(after)))
        edit = draw(st.sampled_from(["insert", "remove", "change", "move"]))
        if edit == "insert":
            after.insert(place, draw(st.dictionaries(names, scalars, max_size=5)))
        elif place < len(after) and edit == "remove":
            del after[place]
        elif place < len(after) and edit == "change":
            after[place][draw(names)] = draw(scalars)
        elif place < len(after):
            after.insert(0, after.pop(place))
    return {"rows": before}, {"rows": after}


def assert_exact(original: Value, modified: Value) -> None:
    untouched = copy.deepcopy(original)
    found = compare(original, modified)
    assert first_difference(apply(found, original), modified) is None
    assert original == untouched
    assert (found == ()) == (first_difference(original, modified) is None)


@given(values, values)
def test_the_changes_applied_to_the_original_give_the_modified_document(original: Value, modified: Value) -> None:
    assert_exact(original, modified)


@given(edited())
def test_an_edited_list_is_reached_exactly(pair: tuple[Value, Value]) -> None:
    assert_exact(*pair)


@given(values | edited().map(lambda pair: pair[0]))
def test_a_document_has_no_changes_to_itself(document: Value) -> None:
    assert compare(document, copy.deepcopy(document)) == ()


def tagged(value: Value) -> object:
    """The value for a library that takes 1 and 1.0, or 1 and true, for equal."""
    if isinstance(value, dict):
        return {name: tagged(member) for name, member in value.items()}
    if isinstance(value, list):
        return [tagged(item) for item in value]
    return f"{type(value).__name__}:{value.text if isinstance(value, Number) else value}"


@given(st.tuples(values, values) | edited())
def test_an_independent_library_applies_the_patch_to_the_same_end(pair: tuple[Value, Value]) -> None:
    original, modified = pair
    operations = json.loads(write(patch(compare(original, modified))), parse_int=Number, parse_float=Number)
    for operation in operations:
        if "value" in operation:
            operation["value"] = tagged(operation["value"])
    assert jsonpatch.JsonPatch(operations).apply(tagged(original)) == tagged(modified)


@given(st.tuples(values, values) | edited())
def test_each_change_tells_its_place_and_values_in_the_two_documents(pair: tuple[Value, Value]) -> None:
    original, modified = pair
    for change in compare(original, modified):
        if change.old is ABSENT:
            assert change.new == at(modified, change.path)
        elif change.new is ABSENT:
            assert change.old == at(original, change.path)
        else:
            assert change.new == at(modified, change.path) != change.old


def at(value: Value, path: tuple[str | int, ...]) -> Value:
    for token in path:
        value = value[token]  # type: ignore[index, call-overload] # the path is that of a container
    return value


@pytest.mark.parametrize(
    ("original", "modified", "expected"),
    [
        ('{"a": 1}', '{"a": 1.0}', [("modification", "/a", "1", "1.0")]),
        ('{"a": 1}', '{"a": "1"}', [("modification", "/a", "1", '"1"')]),
        ('{"a": null}', "{}", [("deletion", "/a", "null", None)]),
        ("{}", '{"a": null}', [("addition", "/a", None, "null")]),
        ("[]", '{"a": 1}', [("modification", "", "[]", '{"a":1}')]),
        ('{"a": {"b~/": [1]}}', '{"a": {"b~/": [2]}}', [("modification", "/a/b~0~1/0", "1", "2")]),
        ("[1, 2, 3]", "[1, 5, 3]", [("modification", "/1", "2", "5")]),
        ("[1, 2, 3]", "[1, 3]", [("deletion", "/1", "2", None)]),
        ("[1, 1, 1]", "[1, 1, 1, 1]", [("addition", "/3", None, "1")]),
        ("[1, 2]", "[2, 1]", [("deletion", "/0", "1", None), ("addition", "/1", None, "1")]),
        ('[{"qty": 1}]', '[{"qty": 2}]', [("modification", "/0/qty", "1", "2")]),
        ("[{}]", '[{"a": 1}]', [("addition", "/0/a", None, "1")]),
        ("[[1, 2], [3, 4]]", "[[1, 2], [9, 9], [3, 4]]", [("addition", "/1", None, "[9,9]")]),
    ],
)
def test_small_cases_have_the_least_changes(
    original: str, modified: str, expected: list[tuple[str, str, str | None, str | None]]
) -> None:
    found = compare(parse(original), parse(modified))
    assert [
        (
            change.kind.value,
            pointer(change.path),
            None if change.old is ABSENT else write(change.old),
            None if change.new is ABSENT else write(change.new),
        )
        for change in found
    ] == expected


def lines(count: int, *, keyed: bool) -> list[Value]:
    made: list[Value] = []
    for number in range(count):
        row: dict[str, Value] = {"sku": f"SKU-{number:05}"} if keyed else {}
        row |= {
            "text": f"part {number % 17}",
            "qty": Number(str(number % 5)),
            "price": Number(f"{number % 13}.50"),
        }
        made.append(row)
    return made


@pytest.mark.parametrize("keyed", [True, False])
@pytest.mark.parametrize("place", [0, 4321, 9999])
def test_one_inserted_row_among_ten_thousand_is_one_addition(keyed: bool, place: int) -> None:
    original = lines(10_000, keyed=keyed)
    modified = [*original[:place], {"sku": "NEW", "qty": Number("1")}, *original[place:]]
    (change,) = compare(original, modified)
    assert (change.kind.value, change.path) == ("addition", (place,))


def test_a_row_inserted_before_changed_rows_leaves_their_changes_apart() -> None:
    original = lines(1000, keyed=True)
    modified = copy.deepcopy(original)
    for row in modified[::10]:
        assert isinstance(row, dict)
        row |= {"text": "other", "qty": Number("99"), "price": Number("0.01")}
    modified.insert(0, {"sku": "NEW"})
    found = compare(original, modified)
    assert [change.path for change in found if change.kind.value == "addition"] == [(0,)]
    assert len(found) == 1 + 3 * 100


def test_rows_numbered_anew_after_an_insertion_stay_the_rows_they_were() -> None:
    original = parse('[{"line": 1, "text": "x", "qty": 5}, {"line": 2, "text": "y", "qty": 6}]')
    modified = parse(
        '[{"line": 1, "text": "new", "qty": 1}, {"line": 2, "text": "x", "qty": 5}, {"line": 3, "text": "y", "qty": 6}]'
    )
    assert [(change.kind.value, pointer(change.path)) for change in compare(original, modified)] == [
        ("addition", "/0"),
        ("modification", "/1/line"),
        ("modification", "/2/line"),
    ]


def test_a_corrected_key_is_a_modification_of_its_row() -> None:
    original = parse('{"lines": [{"sku": "X-O1", "qty": 3, "price": 4.00}, {"sku": "Y", "qty": 1, "price": 2.00}]}')
    modified = parse('{"lines": [{"sku": "X-01", "qty": 3, "price": 4.00}, {"sku": "Y", "qty": 1, "price": 2.00}]}')
    (change,) = compare(original, modified)
    assert (change.kind.value, pointer(change.path)) == ("modification", "/lines/0/sku")


def test_rows_without_a_key_are_matched_by_what_they_share() -> None:
    original = lines(300, keyed=False)
    for number, row in enumerate(original):
        assert isinstance(row, dict)
        row["note"] = f"note {number}"
    modified = copy.deepcopy(original)
    for row in modified:
        assert isinstance(row, dict)
        row["qty"] = Number("77")
    del modified[0]
    kinds = [change.kind.value for change in compare(original, modified)]
    assert kinds == ["deletion", *["modification"] * 299]


def test_rows_of_which_there_are_many_do_not_mislead_about_those_of_which_there_is_one() -> None:
    blank: Value = {"a": "", "b": ""}
    original: list[Value] = []
    for number in range(200):
        original += [{"a": f"{number % 20}", "b": f"{number // 20}"}, blank, blank]
    modified = copy.deepcopy(original)
    modified.insert(1, copy.deepcopy(blank))
    modified.insert(300, {"a": "new", "b": "new"})
    modified.pop()
    kinds = [(change.kind.value, change.new or change.old) for change in compare(original, modified)]
    assert sorted(kind for kind, _ in kinds) == ["addition", "addition", "deletion"]


def test_repetitive_values_are_matched_in_their_order() -> None:
    original: list[Value] = [Number(str(number * number % 7)) for number in range(500)]
    modified = [*original[:100], Number("9"), *original[100:400], *original[401:]]
    found = compare(original, modified)
    assert [(change.kind.value, change.path) for change in found] == [("deletion", (400,)), ("addition", (100,))]


@pytest.mark.parametrize(
    ("original", "modified"),
    [
        ([Number(str(i % 3)) for i in range(50_000)], [Number(str(i * i % 3)) for i in range(50_000)]),
        ([[] for _ in range(50_000)], [{} for _ in range(50_000)]),
        ({"k" * 200_000: [Number(str(i)) for i in range(20_000)]}, {"k" * 200_000: [Number("7")] * 20_000}),
        ({str(i): Number("1") for i in range(30_000)}, {str(i): Number("2") for i in range(30_000)}),
        (lines(10_000, keyed=True), lines(10_000, keyed=True)[::-1]),
        (lines(10_000, keyed=False), lines(10_000, keyed=False)[::-1]),
        ([lines(70, keyed=False)] * 100, [lines(70, keyed=False)[::-1]] * 100),
    ],
    ids=["repetitive", "unlike", "long names", "wide", "keyed reversed", "reversed", "small stretches"],
)
def test_hostile_documents_give_a_bounded_and_exact_patch(original: Value, modified: Value) -> None:
    found = compare(original, modified)
    assert first_difference(apply(found, original), modified) is None
    carried = sum(len(write(change.new)) for change in found if change.new is not ABSENT)
    assert len(write(patch(found)).encode()) <= carried + MAX_OVERHEAD


def test_too_many_changes_replace_the_smallest_container_around_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "MAX_OVERHEAD", 1000)
    original = {"few": [Number("1")], "many": [Number(str(i)) for i in range(100)]}
    modified = {"few": [Number("2")], "many": [Number(str(-i - 1)) for i in range(100)]}
    assert [pointer(change.path) for change in compare(original, modified)] == ["/few/0", "/many"]


def test_the_deepest_documents_compare() -> None:
    found = compare(parse('{"a":' * 64 + "1" + "}" * 64), parse('{"a":' * 64 + "2" + "}" * 64))
    assert [len(change.path) for change in found] == [64]


@pytest.mark.parametrize(
    ("original", "modified", "elsewhere"),
    [
        ('{"a": 1}', "{}", "{}"),
        ("[1, 2]", "[1]", "[1]"),
        ("[1]", "[1, 2, 3]", "[]"),
        ('{"a": [1]}', '{"a": [2]}', '{"a": 1}'),
    ],
)
def test_changes_of_another_document_are_refused(original: str, modified: str, elsewhere: str) -> None:
    with pytest.raises(LookupError):
        apply(compare(parse(original), parse(modified)), parse(elsewhere))
