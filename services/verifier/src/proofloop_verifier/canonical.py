"""Canonical JSON (RFC 8785) for the values that the log's leaves use.

These are objects, arrays, strings, booleans and integers within ±(2**53 - 1). Null, fractions and keys
outside the Basic Multilingual Plane have no place in a leaf and are refused, never guessed at.
"""

from __future__ import annotations

import json
from json.encoder import encode_basestring
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

Value: TypeAlias = "str | bool | int | list[Value] | tuple[Value, ...] | dict[str, Value]"

MAX_INTEGER = 2**53 - 1
"""Largest integer, of either sign, that every JSON reader keeps exact (RFC 7493 §2.2)."""

_encode = json.JSONEncoder(
    ensure_ascii=False, check_circular=False, allow_nan=False, sort_keys=True, separators=(",", ":")
).encode


class CanonicalError(ValueError):
    """The value has no canonical form here, or the text is not in it."""


def dumps(value: Value) -> bytes:
    """The canonical form of `value`, UTF-8; CanonicalError says what cannot be written."""
    try:
        _check(value)
        return to_utf8(_encode(value))
    except RecursionError as error:
        raise CanonicalError("the value is nested too deeply") from error


dumps_string: Callable[[str], str] = encode_basestring
"""The canonical form of a string (RFC 8785 §3.2.2.2); a lone surrogate shows when the whole becomes UTF-8."""


def to_utf8(text: str) -> bytes:
    """The text as it is hashed; CanonicalError for lone surrogates."""
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        lone = error.object[error.start]
        raise CanonicalError(f"a string holds the lone surrogate U+{ord(lone):04X}") from error


def loads(text: bytes) -> Value:
    """The value that `text` is the canonical form of; CanonicalError where it is not exactly that."""
    # A member that stands there twice is not written again, and so is found without the cost of looking for it.
    value: Value = _parse(text)
    if dumps(value) != text:
        raise CanonicalError("the text is JSON, but not in canonical form (RFC 8785)")
    return value


def parse_json(text: bytes) -> Any:
    """The value of any JSON text in UTF-8, canonical or not; CanonicalError where there is none.

    Nor is there one where an object has two members of one name, of which another reader may take the other (RFC 7493
    §2.3).
    """
    return _parse(text, _members)


def _parse(text: bytes, to_object: Callable[[list[tuple[str, Any]]], dict[str, Any]] | None = None) -> Any:
    try:
        return json.loads(text.decode(), object_pairs_hook=to_object)
    except UnicodeDecodeError as error:
        raise CanonicalError(f"the text is not UTF-8 at byte {error.start}") from error
    except RecursionError as error:
        raise CanonicalError("the text is nested too deeply") from error
    except CanonicalError:
        raise
    except ValueError as error:
        raise CanonicalError(f"the text is not JSON: {error}") from error


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise CanonicalError("an object has two members of one name")
    return members


def _check(value: Value) -> None:
    """Refuse what the encoder would accept and RFC 8785, or this module, would write differently."""
    if isinstance(value, (str, bool)):
        return
    if isinstance(value, dict):
        for key, member in value.items():
            _check_key(key)
            _check(member)
    elif isinstance(value, (list, tuple)):
        for item in value:
            _check(item)
    elif isinstance(value, int):
        if not -MAX_INTEGER <= value <= MAX_INTEGER:
            raise CanonicalError(f"an integer of {value.bit_length()} bits is beyond ±(2**53 - 1)")
    else:
        raise CanonicalError(f"a {type(value).__name__} has no canonical form here")


def _check_key(key: str) -> None:
    if not isinstance(key, str):
        raise CanonicalError(f"the key {key!r} is not a string")
    # RFC 8785 sorts by UTF-16 code units, Python by code points: the same order within the BMP alone.
    if not key.isascii() and max(key) > "\uffff":
        raise CanonicalError(f"the key {key!r} has a character outside the Basic Multilingual Plane")
