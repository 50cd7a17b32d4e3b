"""A deliverable's bytes: the same data, summary, template and format always give the same ones."""

from collections.abc import Iterable, Iterator

from proofloop_exports.errors import DeliverableTooLarge, TemplateNotApplicable
from proofloop_exports.workflows.csv_text import neutralise, read_lines, restore, write_line
from proofloop_exports.workflows.documents import (
    MAX_DEPTH,
    Number,
    Value,
    escape,
    first_difference,
    parse,
    pointer,
    walk,
    write,
)
from proofloop_exports.workflows.records import Format, Template

MAX_SIZE = 16 * 1024 * 1024
"""Bytes that a rendered deliverable may have."""

MAX_CELLS = 1_000_000
"""Cells that a table may have, empty ones included."""

_VALUE_COLUMNS = ["path", "type", "value"]


def render(data: Value, summary: str, template: Template, format_: Format) -> bytes:
    """Return the file, after reading it back to see that it says what was to be said.

    Raises:
        TemplateNotApplicable: the data does not have what the template shows.
        DeliverableTooLarge: it would have more than 16 MiB, or its table more than a million cells.
        ValueError: the format is not one that is rendered here.
    """
    view = _view(data, summary, template)
    if format_ is Format.JSON:
        text = write(view, indent=2) + "\n"
        _assert_reads_back(first_difference(parse(text, max_depth=MAX_DEPTH + 1), view) is None)
    elif format_ is Format.CSV and template is Template.LEDGER:
        table = _Table(_rows(data))
        text = _join(write_line([neutralise(cell) for cell in line]) for line in table)
        _assert_reads_back(all(a == b for a, b in zip(_restored(text), table, strict=True)))
    elif format_ is Format.CSV:
        text = _join(write_line(line) for line in _value_lines(view))
        _assert_reads_back(first_difference(_from_value_lines(_restored(text)), view) is None)
    else:
        raise ValueError(f"{format_.name} is not rendered here")
    rendered = text.encode()
    if len(rendered) > MAX_SIZE:
        raise _too_large()
    return rendered


def _view(data: Value, summary: str, template: Template) -> Value:
    """The JSON form of a template."""
    if template is Template.LEDGER:
        return _rows(data)
    if template is Template.DETAILED:
        return {"summary": summary, "data": data}
    if not isinstance(data, dict):
        raise TemplateNotApplicable("an executive summary needs a document that is an object")
    facts: Value = {name: value for name, value in data.items() if not isinstance(value, list | dict)}
    return {"summary": summary, "facts": facts}


def _rows(data: Value) -> list[Value]:
    lists = (
        found
        for _, found in walk(data)
        if isinstance(found, list) and found and all(isinstance(item, dict) for item in found)
    )
    longest = max(lists, key=len, default=None)
    if longest is None:
        raise TemplateNotApplicable("a ledger needs a list of objects, and the final data has none")
    return longest


class _Table:
    """Rows as lines of text cells under a header; lines are made anew for each reading."""

    def __init__(self, rows: list[Value]) -> None:
        self._rows = [dict(_columns(row)) for row in rows]
        self._header = list(dict.fromkeys(name for row in self._rows for name in row))
        if len(self._rows) * len(self._header) > MAX_CELLS:
            raise DeliverableTooLarge(f"the table would have more than {MAX_CELLS} cells")

    def __iter__(self) -> Iterator[list[str]]:
        yield self._header
        for row in self._rows:
            yield [row.get(name, "") for name in self._header]


def _columns(value: Value, name: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, dict) and value:
        for member, inner in value.items():
            yield from _columns(inner, f"{name}/{escape(member)}" if name else escape(member))
    elif isinstance(value, list | dict):
        yield name, write(value)
    else:
        yield name, "" if value is None else _scalar_text(value)


def _scalar_text(value: Value) -> str:
    return value if isinstance(value, str) else write(value)


def _value_lines(view: Value) -> Iterator[list[str]]:
    yield _VALUE_COLUMNS
    for path, value in walk(view):
        kind = _type_name(value)
        text = neutralise(value) if isinstance(value, str) else "" if kind in {"object", "array"} else write(value)
        yield [pointer(path), kind, text]


def _from_value_lines(lines: Iterable[list[str]]) -> Value:
    """Build the value that `_value_lines` listed; a container's line stands before those of its members."""
    containers: dict[str, Value] = {}
    root: Value = None
    for path, kind, text in lines:
        if path == "path":
            continue
        value: Value = {} if kind == "object" else [] if kind == "array" else text if kind == "string" else parse(text)
        parent, slash, token = path.rpartition("/")
        container = containers.get(parent) if slash else None
        if isinstance(container, dict):
            container[token.replace("~1", "/").replace("~0", "~")] = value
        elif isinstance(container, list):
            container.append(value)
        else:
            root = value
        if isinstance(value, list | dict):
            containers[path] = value
    return root


def _type_name(value: Value) -> str:
    if value is None:
        return "null"
    names = {bool: "boolean", Number: "number", str: "string", list: "array", dict: "object"}
    return names[type(value)]


def _join(lines: Iterable[str]) -> str:
    """Join the lines, and stop before they take more memory than a deliverable may have."""
    parts: list[str] = []
    size = 0
    for line in lines:
        parts.append(line)
        size += len(line)
        if size > MAX_SIZE:
            raise _too_large()
    return "".join(parts)


def _restored(text: str) -> Iterator[list[str]]:
    return ([restore(cell) for cell in line] for line in read_lines(text))


def _too_large() -> DeliverableTooLarge:
    return DeliverableTooLarge(f"the deliverable would have more than {MAX_SIZE} bytes")


def _assert_reads_back(equal: bool) -> None:
    if not equal:
        raise AssertionError("the rendered file does not read back as what was to be said")
