"""What people see of entries."""

from collections.abc import Iterator, Sequence
from datetime import UTC

from google.protobuf import json_format
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from proofloop.audit.v1 import log_pb2
from rich.console import Console
from rich.table import Table
from rich.text import Text

from proofloop_audit.cli.words import plain

_UNBOUNDED = 4096
"""Columns of what is no terminal: a table in a file or a pipe is not broken into lines."""

_STYLES = {log_pb2.OUTCOME_FAILURE: "red", log_pb2.OUTCOME_DENIED: "yellow"}
_ERASED = "erased"
_NAMES = 13
"""Columns of the names of members."""


def console() -> Console:
    """Return where tables are printed."""
    there = Console(highlight=False, markup=False)
    return there if there.is_terminal else Console(highlight=False, markup=False, width=_UNBOUNDED)


def to_json(message: Message, indent: int | None = None) -> str:
    """Return the proto3 JSON form of a message, fields without a value included."""
    return json_format.MessageToJson(message, always_print_fields_with_no_presence=True, indent=indent)


def cell(text: str, style: str = "") -> Text:
    """Return a text from somebody else for a cell: no markup, no commands to the terminal."""
    return Text(plain(text), style=style, overflow="fold")


def entries(found: Sequence[log_pb2.Entry], where: Console) -> Table:
    """Return entries as a table: a line for each, or three where the console is too narrow, for no id is cut."""
    wide = _on_one_line(found)
    needed = where.measure(wide, options=where.options.update(max_width=_UNBOUNDED)).maximum
    return wide if needed <= where.width else _on_three_lines(found)


def _on_one_line(found: Sequence[log_pb2.Entry]) -> Table:
    table = Table("happened, UTC", "action", "outcome", "entity", "actor", show_edge=False, pad_edge=False)
    table.add_column("index", justify="right")
    table.add_column("entry")
    for entry in found:
        table.add_row(
            _second(entry),
            cell(entry.action),
            _outcome(entry),
            _entity(entry),
            _who(entry),
            str(entry.index),
            _id(entry),
        )
    return table


def _on_three_lines(found: Sequence[log_pb2.Entry]) -> Table:
    table = Table(show_edge=False, pad_edge=False, show_lines=True)
    table.add_column("index", justify="right", no_wrap=True)
    table.add_column("happened, UTC\noutcome\nactor", overflow="fold", min_width=19)
    table.add_column("action\nentity\nentry", overflow="fold")
    for entry in found:
        table.add_row(
            str(entry.index),
            Text("\n").join((Text(_second(entry)), _outcome(entry), _who(entry))),
            Text("\n").join((cell(entry.action), _entity(entry), _id(entry))),
        )
    return table


def entry_in_full(entry: log_pb2.Entry) -> Iterator[Text]:
    """Yield all of an entry, a member on each line; those that do not apply are left out.

    No line is broken or padded, for what is copied from it, such as details, must stay what it is.
    """
    for name, value in _members(entry):
        for number, line in enumerate(value.splitlines()):
            yield Text.assemble((f"{'' if number else name:<{_NAMES}}", "dim"), cell(line))


def _second(entry: log_pb2.Entry) -> str:
    return f"{entry.event_time.ToDatetime():%Y-%m-%d %H:%M:%S}"


def _outcome(entry: log_pb2.Entry) -> Text:
    return Text(_outcome_name(entry), style=_STYLES.get(entry.outcome, ""))


def _entity(entry: log_pb2.Entry) -> Text:
    return cell(f"{entry.entity_type} {entry.entity_id}")


def _who(entry: log_pb2.Entry) -> Text:
    return cell(entry.actor.id) if entry.HasField("actor") else cell(_ERASED, "dim")


def _id(entry: log_pb2.Entry) -> Text:
    return cell(entry.entry_id)


def _outcome_name(entry: log_pb2.Entry) -> str:
    return log_pb2.Outcome.Name(entry.outcome).removeprefix("OUTCOME_").lower()


def _members(entry: log_pb2.Entry) -> Iterator[tuple[str, str]]:
    yield "entry", entry.entry_id
    yield "index", str(entry.index)
    yield "leaf hash", entry.leaf_hash.hex()
    yield "happened", _time(entry.event_time)
    yield "appended", _time(entry.append_time)
    yield "service", entry.service
    yield "action", entry.action
    yield "outcome", _outcome_name(entry)
    yield "entity", f"{entry.entity_type} {entry.entity_id}"
    if entry.claim_id:
        yield "claim", f"{entry.claim_id}, its entry {entry.claim_sequence}"
    yield "session", entry.session_id
    yield "correlation", entry.correlation_id
    yield "trace", entry.trace_id
    yield "actor", _actor(entry)
    yield "reason", entry.reason
    yield "address", entry.ip_address
    yield "program", entry.user_agent
    yield "details", entry.details_json


def _actor(entry: log_pb2.Entry) -> str:
    names = ", ".join(part.pseudonym for part in entry.personal_parts)
    if entry.HasField("actor"):
        kind = log_pb2.ActorType.Name(entry.actor.type).removeprefix("ACTOR_TYPE_").lower()
        return f"{entry.actor.id} ({kind}, in the leaf {names})"
    return f"{_ERASED}: who acted, why, from where and the details cannot be read any more; in the leaf {names}"


def _time(time: Timestamp) -> str:
    return time.ToDatetime(UTC).isoformat(" ", "microseconds").replace("+00:00", " UTC")
