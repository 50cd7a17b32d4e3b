"""The services' log lines, readable."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

from rich.text import Text

LOOK_SECONDS = 0.1
LEVELS = {"WARNING": "yellow", "ERROR": "bold red", "CRITICAL": "bold red"}
# They stand in the line already, or say nothing on one machine.
SHOWN = {"time", "level", "message", "logger", "service", "instance", "stack"}
ACCESS = {"method", "path", "status", "duration_ms"}
SERVER_ERROR = 500


async def follow(files: Mapping[str, Path]) -> AsyncIterator[tuple[str, str]]:
    """Every whole line that is written to the files from now on, with the name of its file."""
    positions = {name: file.stat().st_size if file.exists() else 0 for name, file in files.items()}
    while True:
        for name, file in files.items():
            lines, positions[name] = _new_lines(file, positions[name])
            for line in lines:
                yield name, line
        # A file that grows raises no event that can be awaited.
        await asyncio.sleep(LOOK_SECONDS)


def _new_lines(file: Path, position: int) -> tuple[list[str], int]:
    """The whole lines behind `position`, and where they end. A file that has become shorter begins anew."""
    if not file.exists():
        return [], 0
    with file.open("rb") as content:
        content.seek(position if position <= file.stat().st_size else 0)
        start = content.tell()
        whole, newline, _ = content.read().rpartition(b"\n")
    return whole.decode(errors="replace").split("\n") if newline else [], start + len(whole) + len(newline)


def readable(name: str, line: str, colour: str) -> Text:
    """A log line for a person: time, service, level where it matters, message, fields.

    JSON lines are taken apart; any other line is shown as it is.
    """
    try:
        fields = json.loads(line)
    except json.JSONDecodeError:
        fields = None
    if not isinstance(fields, dict):
        return Text.assemble(" " * 13, (f"{name:<8} ", colour), line)
    text = Text.assemble((f"{str(fields.get('time', ''))[11:23]:<12} ", "dim"), (f"{name:<8} ", colour))
    level = str(fields.get("level", ""))
    if level in LEVELS:
        text.append(f"{level} ", LEVELS[level])
    text.append(_access(fields) if fields.keys() >= ACCESS else _message(fields))
    for frame in fields.get("stack", []):
        text.append("\n" + str(frame).rstrip(), "dim")
    return text


def _message(fields: dict[str, Any]) -> Text:
    text = Text(str(fields.get("message", "")))
    for key, value in fields.items():
        if key not in SHOWN:
            text.append(f" {key}=", "dim")
            text.append(str(value))
    return text


def _access(fields: dict[str, Any]) -> Text:
    failed = int(fields["status"]) >= SERVER_ERROR
    return Text.assemble(
        f"{fields['method']} {fields['path']} ",
        (str(fields["status"]), "bold red" if failed else ""),
        (f" {fields['duration_ms']} ms", "dim"),
    )
