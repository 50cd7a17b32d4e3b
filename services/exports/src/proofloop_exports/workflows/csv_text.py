"""Comma-separated values (RFC 4180) that a spreadsheet will not run.

A cell of text that a spreadsheet would take for a formula gets a leading apostrophe. So does one that begins
with apostrophes before such a text, so that taking one apostrophe away gives every cell back as it was.
"""

import re
from collections.abc import Iterable, Iterator

# Full-width forms count too: some locales type them, and spreadsheets take them for the others.
_FORMULA = re.compile("'*[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
_PLAIN_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?")
_NEEDS_QUOTES = re.compile('[",\r\n]')
_CELL = re.compile(r'(?:"((?:[^"]|"")*+)"|([^",\r\n]*+))(,|\r\n)')


def neutralise(text: str) -> str:
    """Return the text as a cell that no spreadsheet takes for a formula; plain numbers stay as they are."""
    return f"'{text}" if _FORMULA.match(text) and not _PLAIN_NUMBER.fullmatch(text) else text


def restore(cell: str) -> str:
    """Return the text that `neutralise` made the cell of."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def write_line(cells: Iterable[str]) -> str:
    """Return one line with its CRLF; a line of one empty cell is quoted, or it would pass for no line."""
    return (",".join(_quote(cell) for cell in cells) or '""') + "\r\n"


def read_lines(text: str) -> Iterator[list[str]]:
    """Yield the cells of each line.

    Raises:
        ValueError: the text does not keep to RFC 4180.
    """
    line: list[str] = []
    at = 0
    while at < len(text):
        match = _CELL.match(text, at)
        if match is None:
            raise ValueError(f"no cell begins at character {at}")
        quoted, plain, end = match.groups()
        line.append(plain if quoted is None else quoted.replace('""', '"'))
        if end != ",":
            yield line
            line = []
        at = match.end()


def _quote(cell: str) -> str:
    return '"' + cell.replace('"', '""') + '"' if _NEEDS_QUOTES.search(cell) else cell
