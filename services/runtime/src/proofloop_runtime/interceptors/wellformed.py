"""What every message must be, whatever its contract says: text that a database can hold, times that exist."""

from collections.abc import Iterator
from functools import cache
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from proofloop_runtime.errors import FieldViolation

_SECOND = 1_000_000_000
_FIRST_SECOND, _LAST_SECOND = -62_135_596_800, 253_402_300_799
"""0001-01-01T00:00:00Z and 9999-12-31T23:59:59Z (google/protobuf/timestamp.proto)."""
_LONGEST = 315_576_000_000
"""Seconds of 10,000 years (google/protobuf/duration.proto)."""
_TIMES = frozenset({Timestamp, Duration})
_NAMES_OF_TIMES = frozenset(time.DESCRIPTOR.full_name for time in _TIMES)


def violations(message: Message) -> list[FieldViolation]:
    """Return what is wrong with a message, by the path of the field."""
    found = [FieldViolation(path, "is not a possible time") for path in _impossible_times(message)]
    # Length prefixes and numbers may be zero bytes too, so this only says where it is worth looking.
    if b"\0" in message.SerializeToString():
        found += [FieldViolation(path, "must not contain U+0000") for path in _nul_texts(message, "")]
    return found


def _impossible_times(message: Message, prefix: str = "") -> list[str]:
    found: list[str] = []
    for field, name, singular in _leads_to_time(message.DESCRIPTOR):
        # Most messages leave most times out, which should cost them nothing.
        if not singular:
            items = list(_items(message, field, prefix))
        elif message.HasField(name):
            items = [(f"{prefix}{name}", getattr(message, name))]
        else:
            continue
        for path, item in items:
            if type(item) in _TIMES:
                if not _is_possible(item):
                    found.append(path)
            elif isinstance(item, Message):  # and not the key of a map
                found += _impossible_times(item, f"{path}.")
    return found


def _is_possible(time: Timestamp | Duration) -> bool:
    """Tell whether a time lies within the range of its specification, and its parts have one sign."""
    if isinstance(time, Timestamp):
        return _FIRST_SECOND <= time.seconds <= _LAST_SECOND and 0 <= time.nanos < _SECOND
    return abs(time.seconds) <= _LONGEST and abs(time.nanos) < _SECOND and time.seconds * time.nanos >= 0


@cache
def _leads_to_time(descriptor: Descriptor) -> tuple[tuple[FieldDescriptor, str, bool], ...]:
    """Return the fields of a message that are times or hold some, their names, and whether they hold one message."""
    return tuple(
        (field, field.name, not field.is_repeated) for field in descriptor.fields if _holds_time(field, frozenset())
    )


def _holds_time(field: FieldDescriptor, seen: frozenset[str]) -> bool:
    held = field.message_type
    if held is None or held.full_name in seen:
        return False
    return held.full_name in _NAMES_OF_TIMES or any(
        _holds_time(inner, seen | {held.full_name}) for inner in held.fields
    )


def _nul_texts(message: Message, prefix: str) -> Iterator[str]:
    for field, _ in message.ListFields():
        for path, item in _items(message, field, prefix):
            if isinstance(item, Message):
                yield from _nul_texts(item, f"{path}.")
            elif isinstance(item, str) and "\0" in item:
                yield path


def _items(message: Message, field: FieldDescriptor, prefix: str) -> Iterator[tuple[str, Any]]:
    """Yield what a field holds: itself, each element of a list, each key and value of a map."""
    path = f"{prefix}{field.name}"
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        for key, value in getattr(message, field.name).items():
            yield path, key
            yield f"{path}[{key}]", value
    elif field.is_repeated:
        for index, value in enumerate(getattr(message, field.name)):
            yield f"{path}[{index}]", value
    elif field.message_type is None or message.HasField(field.name):
        yield path, getattr(message, field.name)
