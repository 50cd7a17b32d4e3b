"""Entries as people see them on terminals of any width."""

from io import StringIO
from uuid import UUID

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from proofloop.audit.v1 import log_pb2
from proofloop_audit.cli import tables
from rich.console import Console


def entry(number: int) -> log_pb2.Entry:
    return log_pb2.Entry(
        entry_id=str(UUID(int=number)),
        index=number,
        event_time=Timestamp(seconds=1_767_323_045, nanos=678_901_000),
        action="session.event_recorded",
        outcome=log_pb2.OUTCOME_DENIED,
        entity_type="session",
        entity_id=str(UUID(int=7)),
        actor=log_pb2.Actor(type=log_pb2.ACTOR_TYPE_USER, id="reviewer@example.com"),
    )


def printed(width: int) -> list[str]:
    console = Console(file=StringIO(), width=width)
    console.print(tables.entries([entry(1_000_001), entry(2)], console))
    return console.file.getvalue().splitlines()


@pytest.mark.parametrize("width", [80, 100, 160, 400])
def test_no_id_is_cut_or_broken_on_a_terminal_of_usual_width(width: int) -> None:
    lines = printed(width)
    assert all(len(line) <= width for line in lines)
    for text in (str(UUID(int=1_000_001)), str(UUID(int=7)), "1000001", "2026-01-02 03:04:05", "reviewer@example.com"):
        assert any(text in line for line in lines), text


def test_an_entry_takes_one_line_where_there_is_room() -> None:
    assert len(printed(200)) == 4
