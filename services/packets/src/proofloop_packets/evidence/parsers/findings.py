"""What every parser returns, and the clipping they share."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from proofloop_packets.evidence.metadata import Fact, Mark

NAME_CHARACTERS = 300
"""Longest name, title or address kept: longer ones are clipped with an ellipsis."""


@dataclass(slots=True)
class Findings:
    """Facts and marks gathered so far, so that a failure half-way keeps the first half."""

    facts: dict[str, Fact] = field(default_factory=dict)
    marks: set[Mark] = field(default_factory=set)

    def add(self, facts: Mapping[str, object]) -> None:
        """Record the facts that are known: ``None``, empty strings and empty lists are left out."""
        for name, value in facts.items():
            match value:
                case None | "" | [] | {}:
                    continue
                case str() | int() | float() | list() | dict():
                    self.facts[name] = value
                case _:
                    raise TypeError(f"fact {name} is a {type(value).__name__}, which is not JSON")

    def mark(self, mark: Mark) -> None:
        """Add a mark; twice is once."""
        self.marks.add(mark)


def clip(text: str, length: int = NAME_CHARACTERS) -> str:
    """One line of printable text: control and format characters become spaces, runs of spaces one.

    Lone surrogates, which cannot be written as UTF-8, go the same way.
    """
    line = " ".join(_printable(text[: 4 * length]).split())
    return line if len(line) <= length else line[: length - 1] + "…"


def excerpt(text: str, length: int) -> str:
    """The beginning of a text as readable lines."""
    lines = (" ".join(_printable(line).split()) for line in text[: 4 * length].splitlines())
    return "\n".join(line for line in lines if line)[:length]


def _printable(text: str) -> str:
    return "".join(" " if unicodedata.category(char) in {"Cc", "Cf", "Cs"} else char for char in text)
