import json

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st
from proofloop_verifier.canonical import MAX_INTEGER, CanonicalError, dumps, loads

text = st.text(st.characters(exclude_categories=["Cs"]))
keys = st.text(st.characters(exclude_categories=["Cs"], max_codepoint=0xFFFF))
values = st.recursive(
    st.booleans() | st.integers(-MAX_INTEGER, MAX_INTEGER) | text,
    lambda inner: st.lists(inner) | st.dictionaries(keys, inner),
)


@given(values)
def test_the_form_is_that_of_another_implementation(value):
    assert dumps(value) == rfc8785.dumps(value)


@given(values)
def test_what_was_written_reads_back_equal(value):
    assert loads(dumps(value)) == value


def test_every_character_that_json_escapes_is_written_as_the_rfc_says():
    control = "".join(map(chr, [*range(0x20), 0x22, 0x2F, 0x5C, 0x7F, 0x80, 0x2028]))
    assert dumps(control) == rfc8785.dumps(control)


def test_keys_are_sorted_by_utf_16_code_units():
    value = {"\u20ac": 1, "\r": 2, "\ufb33": 3, "1": 4, "\u0080": 5, "\u00f6": 6}
    assert list(json.loads(dumps(value))) == ["\r", "1", "\u0080", "\u00f6", "\u20ac", "\ufb33"]


def test_a_key_whose_place_would_differ_between_code_points_and_code_units_is_refused():
    with pytest.raises(CanonicalError, match="outside the Basic Multilingual Plane"):
        dumps({"\U0001f600": 1, "\ufb33": 2})


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (1.0, "float has no canonical form"),
        ({"a": [float("nan")]}, "float has no canonical form"),
        (None, "NoneType has no canonical form"),
        (b"", "bytes has no canonical form"),
        (2**53, "beyond"),
        ([-(2**53)], "beyond"),
        (2**64, "65 bits is beyond"),
        ({1: "a"}, "not a string"),
        ("\ud800", r"lone surrogate U\+D800"),
        ({"\udfff": 1}, r"lone surrogate U\+DFFF"),
    ],
)
def test_what_has_no_place_in_a_leaf_is_refused_by_name(value, reason):
    with pytest.raises(CanonicalError, match=reason):
        dumps(value)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not JSON"),
        (b'{"a":1', "not JSON"),
        (b'"\xff"', "not UTF-8 at byte 1"),
        (b'{"a": 1}', "not in canonical form"),
        (b'{"b":1,"a":1}', "not in canonical form"),
        (b'{"a":1,"a":1}', "not in canonical form"),
        (b'"\\u0041"', "not in canonical form"),
        (b"-0", "not in canonical form"),
        (b"1 ", "not in canonical form"),
        (b"1.0", "float"),
        (b"NaN", "float"),
        (b"null", "NoneType"),
        (b"9007199254740992", "beyond"),
        (b"9" * 5000, "not JSON"),
        (b'"\\ud800"', "lone surrogate"),
        (b"[" * 200_000, "nested too deeply"),
    ],
)
def test_text_in_any_other_form_is_refused(data, reason):
    with pytest.raises(CanonicalError, match=reason):
        loads(data)


@given(st.binary())
def test_no_bytes_raise_anything_but_the_documented_error(data):
    try:
        value = loads(data)
    except CanonicalError:
        return
    assert dumps(value) == data
