"""JSON text (RFC 8259) as evidence: a reader and a writer that keep the text of every number.

1, 1.0 and 1e0 are three different values here, and no number ever passes through binary floating point. What
JSON leaves open (the order of an object's members, spacing, escapes) is the only thing that does not count.
"""

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NoReturn

from proofloop_exports.errors import DocumentInvalid

MAX_DEPTH = 64
"""Levels of nested objects and arrays that a document may have."""

_STRING_OR_BRACKET = re.compile(r'"(?:[^"\\]|\\.)*+"?|[\[\]{}]', re.DOTALL)
_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Number:
    """A JSON number as it was written; equal to another only if written alike."""

    text: str


Value = None | bool | Number | str | list["Value"] | dict[str, "Value"]
"""A JSON value."""

Token = str | int
"""One step into a value: a member's name or an index."""


@dataclass(frozen=True, slots=True)
class Document:
    """A document as it was received, checked by `read_document` then."""

    text: str

    @property
    def value(self) -> Value:
        """What it says; read anew each time."""
        return parse(self.text)

    @property
    def sha256(self) -> str:
        """SHA-256 of the text in UTF-8, 64 lower-case hex digits."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def read_document(text: str, *, field: str) -> Value:
    """Read a document: an object or an array that keeps to the rules of the contract.

    Args:
        text: The JSON text.
        field: The request's field that it came in, for errors.

    Raises:
        DocumentInvalid: it does not keep to them; the error says what is wrong and where.
    """
    value = parse(text, field=field)
    if not isinstance(value, list | dict):
        raise DocumentInvalid("must be an object or an array", field=field, problem="not_a_container")
    return value


def parse(text: str, *, field: str = "document", max_depth: int = MAX_DEPTH) -> Value:
    """Read any JSON value.

    Raises:
        DocumentInvalid: as `read_document`.
    """
    _check_depth(text, field, max_depth)
    repeated: list[tuple[dict[str, Value], str]] = []

    def build(pairs: list[tuple[str, Value]]) -> dict[str, Value]:
        members = dict(pairs)
        if len(members) < len(pairs):
            repeated.append((members, _first_repeated(pairs)))
        return members

    def refuse(constant: str) -> NoReturn:
        raise DocumentInvalid(f"{constant} is not JSON", field=field, problem="not_json")

    try:
        value: Value = json.loads(
            text, parse_int=Number, parse_float=Number, parse_constant=refuse, object_pairs_hook=build
        )
    except json.JSONDecodeError as error:
        message = f"is not JSON: {error.msg} (line {error.lineno}, column {error.colno})"
        raise DocumentInvalid(message, field=field, problem="not_json") from error
    if _SURROGATE_ESCAPE.search(text):
        _check_surrogates(value, field)
    if repeated:
        # Inner objects are built first; the last one built is reachable even if it swallowed the others.
        members, name = repeated[-1]
        place = shown(next((*path, name) for path, found in walk(value) if found is members))
        message = f"names a member twice: {place}"
        raise DocumentInvalid(message, field=field, problem="duplicate_member", path=place)
    return value


def write(value: Value, *, indent: int | None = None) -> str:
    """Write a value as JSON text, its numbers as they were read.

    Without `indent` there is no spacing; with it, each member stands on a line of its own.
    """
    parts: list[str] = []
    _write(value, parts, "" if indent is None else " " * indent, "" if indent is None else "\n")
    return "".join(parts)


def pointer(path: tuple[Token, ...]) -> str:
    """Spell a path as a JSON Pointer (RFC 6901)."""
    return "".join(f"/{escape(token)}" for token in path)


def shown(path: tuple[Token, ...]) -> str:
    """Spell a path as a JSON Pointer for an error, cut after 256 characters."""
    text = pointer(path)
    return text if len(text) <= 256 else f"{text[:255]}…"


def escape(token: Token) -> str:
    """Spell one step of a path as a reference token of a JSON Pointer (RFC 6901), without the slash."""
    return str(token).replace("~", "~0").replace("/", "~1")


def walk(value: Value, path: tuple[Token, ...] = ()) -> Iterator[tuple[tuple[Token, ...], Value]]:
    """Every value within a value, itself first, in document order, with its path."""
    yield path, value
    if isinstance(value, dict):
        for name, member in value.items():
            yield from walk(member, (*path, name))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from walk(item, (*path, index))


def leaves(value: Value) -> Iterator[tuple[tuple[Token, ...], Value]]:
    """Every value within a value that holds no other, empty objects and arrays included, with its path."""
    return ((path, found) for path, found in walk(value) if not (isinstance(found, list | dict) and found))


def first_difference(one: Value, other: Value, path: tuple[Token, ...] = ()) -> tuple[Token, ...] | None:
    """Path of the first place, in the document order of `one`, where two values differ; None if nowhere."""
    if isinstance(one, dict) and isinstance(other, dict):
        absent = object()
        for name, member in one.items():
            counterpart = other.get(name, absent)
            if counterpart is absent:
                return (*path, name)
            found = first_difference(member, other[name], (*path, name))
            if found is not None:
                return found
        return next(((*path, name) for name in other if name not in one), None)
    if isinstance(one, list) and isinstance(other, list):
        for index, (left, right) in enumerate(zip(one, other, strict=False)):
            found = first_difference(left, right, (*path, index))
            if found is not None:
                return found
        return None if len(one) == len(other) else (*path, min(len(one), len(other)))
    return None if type(one) is type(other) and one == other else path


def _check_depth(text: str, field: str, max_depth: int) -> None:
    depth = 0
    for match in _STRING_OR_BRACKET.finditer(text):
        character = match[0][0]
        if character in "[{":
            depth += 1
            if depth > max_depth:
                message = f"is nested deeper than {max_depth} levels"
                raise DocumentInvalid(message, field=field, problem="too_deep")
        elif character in "]}":
            depth -= 1


def _check_surrogates(value: Value, field: str) -> None:
    for path, found in walk(value):
        names = list(found) if isinstance(found, dict) else []
        strings = [found] if isinstance(found, str) else names
        if any(_SURROGATE.search(string) for string in strings):
            # The place is the value or the object that has the member: a lone surrogate cannot be sent.
            place = shown(path)
            message = f"has a surrogate without its partner in {place or 'the document'}"
            raise DocumentInvalid(message, field=field, problem="lone_surrogate", path=place)


def _first_repeated(pairs: list[tuple[str, Value]]) -> str:
    seen: set[str] = set()
    for name, _ in pairs:
        if name in seen:
            return name
        seen.add(name)
    raise AssertionError("no member is repeated")


def _write(value: Value, parts: list[str], indent: str, line: str) -> None:
    if isinstance(value, Number):
        parts.append(value.text)
    elif isinstance(value, dict):
        _write_members([(f"{_quote(name)}:", item) for name, item in value.items()], "{}", parts, indent, line)
    elif isinstance(value, list):
        _write_members([("", item) for item in value], "[]", parts, indent, line)
    elif isinstance(value, str):
        parts.append(_quote(value))
    else:
        parts.append("null" if value is None else "true" if value else "false")


def _write_members(members: list[tuple[str, Value]], brackets: str, parts: list[str], indent: str, line: str) -> None:
    if not members:
        parts.append(brackets)
        return
    inner = line + indent
    parts.append(brackets[0])
    for number, (label, item) in enumerate(members):
        parts.append("," if number else "")
        parts.append(inner)
        parts.append(f"{label} " if label and line else label)
        _write(item, parts, indent, inner)
    parts.append(line)
    parts.append(brackets[1])


def _quote(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
