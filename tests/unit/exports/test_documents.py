"""The reader and writer of JSON documents."""

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from proofloop_exports.errors import DocumentInvalid
from proofloop_exports.workflows.documents import (
    MAX_DEPTH,
    Document,
    Number,
    Value,
    first_difference,
    leaves,
    parse,
    pointer,
    read_document,
    write,
)

NUMBERS = ["0", "-0", "1", "1.0", "1.00", "1e0", "-12.50", "123456789012345678901234567890", "0.1", "1E+400"]

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from(NUMBERS).map(Number),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
)
values: st.SearchStrategy[Value] = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=4), inner, max_size=5)
    ),
    max_leaves=20,
)


@given(values)
def test_what_is_written_reads_back_equal(value: Value) -> None:
    assert first_difference(parse(write(value)), value) is None
    assert first_difference(parse(write(value, indent=2)), value) is None


@given(values)
def test_what_is_written_is_json_to_others(value: Value) -> None:
    assert json.loads(write(value, indent=2)) == json.loads(write(value))


@pytest.mark.parametrize("text", NUMBERS)
def test_a_number_keeps_its_text(text: str) -> None:
    assert write(parse(f"[{text}]")) == f"[{text}]"


def test_numbers_written_differently_are_different_values() -> None:
    assert len({Number(text) for text in NUMBERS}) == len(NUMBERS)
    assert first_difference(parse('{"a": [1]}'), parse('{"a": [1.0]}')) == ("a", 0)


def test_the_order_of_members_and_the_spelling_of_strings_do_not_count() -> None:
    assert first_difference(parse('{"a": 1, "b": "\\u00e9"}'), parse('{"b":"é","a":1}')) is None


@pytest.mark.parametrize(
    ("one", "other", "path"),
    [
        ('{"a": 1}', "{}", ("a",)),
        ("{}", '{"a": 1}', ("a",)),
        ("[1]", "[1, 2]", (1,)),
        ("[true]", '["true"]', (0,)),
        ("[0]", "[false]", (0,)),
        ("[null]", "[0]", (0,)),
        ("{}", "[]", ()),
    ],
)
def test_the_first_difference_is_found(one: str, other: str, path: tuple[str | int, ...]) -> None:
    assert first_difference(parse(one), parse(other)) == path


def test_the_hash_is_over_the_text_as_received() -> None:
    text = '{ "name" : "Müller" }'
    assert Document(text).sha256 == hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize(
    ("text", "problem", "path"),
    [
        ("", "not_json", None),
        ("{", "not_json", None),
        ("[1,]", "not_json", None),
        ("[01]", "not_json", None),
        ("[1] [2]", "not_json", None),
        ("\ufeff{}", "not_json", None),
        ("[NaN]", "not_json", None),
        ("[-Infinity]", "not_json", None),
        ('["\t"]', "not_json", None),
        ("[\u0661]", "not_json", None),
        ("]" * 1000 + "[" * 64, "not_json", None),
        ('{"a": 1, "a": 1}', "duplicate_member", "/a"),
        ('{"lines": [{"sku": 1}, {"sku": 1, "q": 2, "sku": 2}]}', "duplicate_member", "/lines/1/sku"),
        ('{"a": {"b": 1, "b": 2}, "a": 3}', "duplicate_member", "/a"),
        ('{"a/b": {"~": 1, "~": 2}}', "duplicate_member", "/a~1b/~0"),
        ('{"a": ["\\ud800"]}', "lone_surrogate", "/a/0"),
        ('{"a": {"\\udc00": 1}}', "lone_surrogate", "/a"),
        ('{"\\udc00": 1, "\\udc00": 2}', "lone_surrogate", ""),
        ("[" * 65 + "]" * 65, "too_deep", None),
        ('{"a":' * 65 + "1" + "}" * 65, "too_deep", None),
        ("[" * 100_000, "too_deep", None),
        ("12", "not_a_container", None),
        ('"text"', "not_a_container", None),
        ("null", "not_a_container", None),
    ],
)
def test_a_bad_document_is_refused_with_what_and_where(text: str, problem: str, path: str | None) -> None:
    with pytest.raises(DocumentInvalid) as caught:
        read_document(text, field="extracted_data_json")
    assert caught.value.metadata["problem"] == problem
    assert caught.value.metadata.get("path") == path
    assert caught.value.violations[0].field == "extracted_data_json"


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        " [ ] ",
        "[" * MAX_DEPTH + "]" * MAX_DEPTH,
        '["' + "[" * 1000 + '"]',
        '["\\"' + "{" * 1000 + '"]',
        '["\\ud83d\\ude00"]',
        '["\\u0000"]',
        '{"": {"": 1}}',
    ],
)
def test_an_unusual_but_correct_document_is_taken(text: str) -> None:
    assert first_difference(read_document(text, field="f"), Document(text).value) is None


def test_a_very_long_path_is_cut_in_the_error() -> None:
    name = "n" * 100_000
    with pytest.raises(DocumentInvalid) as caught:
        parse(f'{{"{name}": {{"a": 1, "a": 2}}}}')
    assert len(caught.value.metadata["path"]) == 256


def test_a_hostile_string_is_scanned_once() -> None:
    with pytest.raises(DocumentInvalid, match="Unterminated string"):
        parse('"' + '\\"' * 250_000)


def test_empty_containers_are_leaves() -> None:
    document = parse('{"a": [], "b": {"c": null, "d": {}}, "e": [1, [2]]}')
    assert [pointer(path) for path, _ in leaves(document)] == ["/a", "/b/c", "/b/d", "/e/0", "/e/1/0"]
