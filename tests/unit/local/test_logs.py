"""The services' log lines become readable, whatever they are."""

import asyncio
import json
from pathlib import Path

import pytest
from proofloop_local.logs import follow, readable


def text(line: dict[str, object] | str, name: str = "audit") -> str:
    return readable(name, line if isinstance(line, str) else json.dumps(line), "cyan").plain


def test_a_structured_line_shows_time_service_message_and_what_varies() -> None:
    line = {
        "time": "2026-01-02T03:04:05.678+00:00",
        "level": "INFO",
        "message": "serving",
        "logger": "x",
        "address": "a:1",
    }
    assert text(line) == "03:04:05.678 audit    serving address=a:1"


def test_a_level_is_shown_where_it_matters() -> None:
    assert " WARNING " in text({"level": "WARNING", "message": "breaker changed"})
    assert "INFO" not in text({"level": "INFO", "message": "serving"})


def test_a_stack_follows_its_line() -> None:
    assert text({"message": "a worker failed", "stack": ['  File "a.py"\n', '  File "b.py"\n']}).endswith(
        'a worker failed\n  File "a.py"\n  File "b.py"'
    )


def test_a_request_at_the_edge_is_one_short_line() -> None:
    line = {"time": "2026-01-02T03:04:05.678901Z", "method": "GET", "path": "/a", "status": 503, "duration_ms": 7}
    assert text(line, "edge") == "03:04:05.678 edge     GET /a 503 7 ms"


@pytest.mark.parametrize("line", ["Traceback (most recent call last):", "[1, 2]", "null", '{"half": '])
def test_any_other_line_is_shown_as_it_is(line: str) -> None:
    assert text(line).endswith(f"audit    {line}")


async def test_only_whole_lines_written_from_now_on_are_followed(tmp_path: Path) -> None:
    audit, edge = tmp_path / "audit.log", tmp_path / "edge.log"
    audit.write_text("before\n")
    lines = follow({"audit": audit, "edge": edge})
    first = asyncio.create_task(anext(lines))
    await asyncio.sleep(0)
    with audit.open("a") as output:
        output.write("one\ntwo\nhal")
    assert await first == ("audit", "one")
    assert await anext(lines) == ("audit", "two")
    edge.write_text("a new file\n")
    assert await anext(lines) == ("edge", "a new file")
    with audit.open("a") as output:
        output.write("f\n")
    assert await anext(lines) == ("audit", "half")
    audit.write_text("shorter\n")
    assert await anext(lines) == ("audit", "shorter")
