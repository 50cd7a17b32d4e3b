"""What changed between two documents, as a JSON Patch (RFC 6902) and in a person's terms.

`apply(compare(original, modified), original)` equals `modified`, always: to the type, and to the text of
every number. Only the order of an object's members is left aside, which means nothing in JSON.

A list's operations come in three groups: removals from the last to the first, additions from the first to
the last, then what changed inside the rows that stayed. So each index in the patch is one a person can find:
that of the original for a removal, that of the modified document for everything else.

The guard: an operation costs 64 bytes and three times its path (which stands once in the patch and, for a
deletion in other coordinates, in the summary). Where the operations of a container would cost more than
`MAX_OVERHEAD`, the container is replaced whole, so that no pair of documents makes a patch much larger than
themselves. With the bounds of `rows`, the time is near-linear in the documents' size.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from proofloop_exports.workflows.documents import Token, Value, escape
from proofloop_exports.workflows.rows import Row, match

MAX_OVERHEAD = 512 * 1024
"""Bytes that the operations of a comparison may take beside the values they carry."""

_PER_OPERATION = 64


class ChangeKind(Enum):
    """What became of a value."""

    ADDITION = "addition"
    MODIFICATION = "modification"
    DELETION = "deletion"


class Absent(Enum):
    """The value of what is not there, which is not null."""

    ABSENT = "absent"


ABSENT = Absent.ABSENT

_OPERATION_NAMES = {
    ChangeKind.ADDITION: "add",
    ChangeKind.MODIFICATION: "replace",
    ChangeKind.DELETION: "remove",
}


@dataclass(frozen=True, slots=True)
class Change:
    """One operation of a patch.

    Attributes:
        kind: What became of the value.
        patch_path: Its place when the operation's turn comes, as RFC 6902 counts.
        path: Its place in the modified document; for a deletion, in the original.
        old: What it was; ABSENT for an addition.
        new: What it is; ABSENT for a deletion.
    """

    kind: ChangeKind
    patch_path: tuple[Token, ...]
    path: tuple[Token, ...]
    old: Value | Absent
    new: Value | Absent


def compare(original: Value, modified: Value) -> tuple[Change, ...]:
    """Return the changes that lead from one document to the other, in the order in which to apply them."""
    return tuple(_Comparison(MAX_OVERHEAD).between(original, modified, _ROOT).changes)


def patch(changes: Sequence[Change]) -> Value:
    """Return the changes as a JSON Patch (RFC 6902)."""
    operations: list[Value] = []
    for change in changes:
        path = "".join(f"/{escape(token)}" for token in change.patch_path)
        operation: dict[str, Value] = {"op": _OPERATION_NAMES[change.kind], "path": path}
        if change.new is not ABSENT:
            operation["value"] = change.new
        operations.append(operation)
    return operations


def apply(changes: Sequence[Change], document: Value) -> Value:
    """Return the document as the changes make it; the one given stays as it is.

    Raises:
        LookupError: the changes are not of this document.
    """
    root: list[Value] = [_copy(document)]
    for change in changes:
        container: Value = root
        *parents, last = (0, *change.patch_path)
        for token in parents:
            container = _step(container, token)
        _apply_one(container, last, change)
    return root[0]


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a comparison stands: its path in either document, and the bytes that the path takes."""

    new: tuple[Token, ...]
    old: tuple[Token, ...]
    size: int

    def at(self, new: Token, old: Token) -> "_Place":
        return _Place((*self.new, new), (*self.old, old), self.size + 1 + len(escape(new).encode()))


_ROOT = _Place((), (), 0)


@dataclass(slots=True)
class _Outcome:
    """Changes found so far in a container, and what they cost."""

    changes: list[Change]
    overhead: int = 0

    def add(self, change: Change, place: _Place) -> None:
        self.changes.append(change)
        self.overhead += _PER_OPERATION + 3 * place.size

    def extend(self, other: "_Outcome") -> None:
        self.changes += other.changes
        self.overhead += other.overhead


class _Comparison:
    def __init__(self, max_overhead: int) -> None:
        self._max_overhead = max_overhead
        self._contents: dict[object, int] = {}
        self._containers: dict[int, int] = {}

    def between(self, old: Value, new: Value, place: _Place) -> _Outcome:
        outcome = _Outcome([])
        if self._content(old) == self._content(new):
            return outcome
        if isinstance(old, dict) and isinstance(new, dict):
            self._compare_members(old, new, place, outcome)
        elif isinstance(old, list) and isinstance(new, list):
            self._compare_rows(old, new, place, outcome)
        else:
            outcome.add(_modification(old, new, place), place)
        if outcome.overhead > self._max_overhead:
            outcome = _Outcome([])
            outcome.add(_modification(old, new, place), place)
        return outcome

    def _compare_members(self, old: dict[str, Value], new: dict[str, Value], place: _Place, into: _Outcome) -> None:
        for name, value in old.items():
            if name not in new:
                inner = place.at(name, name)
                into.add(Change(ChangeKind.DELETION, inner.new, inner.old, value, ABSENT), inner)
        for name, value in new.items():
            if self._is_too_much(into):
                return
            inner = place.at(name, name)
            if name in old:
                into.extend(self.between(old[name], value, inner))
            else:
                into.add(Change(ChangeKind.ADDITION, inner.new, inner.new, ABSENT, value), inner)

    def _compare_rows(self, old: list[Value], new: list[Value], place: _Place, into: _Outcome) -> None:
        pairs = match([self._row(item) for item in old], [self._row(item) for item in new])
        stayed, came = {i for i, _ in pairs}, {j for _, j in pairs}
        for i in range(len(old) - 1, -1, -1):
            if i not in stayed:
                inner = place.at(i, i)
                into.add(Change(ChangeKind.DELETION, inner.new, inner.old, old[i], ABSENT), inner)
        for j, item in enumerate(new):
            if j not in came:
                inner = place.at(j, j)
                into.add(Change(ChangeKind.ADDITION, inner.new, inner.new, ABSENT, item), inner)
        for i, j in pairs:
            if self._is_too_much(into):
                return
            into.extend(self.between(old[i], new[j], place.at(j, i)))

    def _is_too_much(self, outcome: _Outcome) -> bool:
        return outcome.overhead > self._max_overhead

    def _row(self, item: Value) -> Row:
        content = self._content(item)
        if isinstance(item, dict):
            return Row(content, dict, {name: self._content(value) for name, value in item.items()})
        if isinstance(item, list):
            return Row(content, list, {index: self._content(value) for index, value in enumerate(item)})
        return Row(content, object)

    def _content(self, value: Value) -> int:
        """Return a number that two values of this comparison share if and only if they are equal."""
        if not isinstance(value, list | dict):
            return self._contents.setdefault((type(value), value), len(self._contents))
        # Both documents outlive the comparison, so an id stands for one container.
        known = self._containers.get(id(value))
        if known is None:
            shape: object
            if isinstance(value, dict):
                shape = frozenset((name, self._content(member)) for name, member in value.items())
            else:
                shape = tuple(self._content(item) for item in value)
            known = self._contents.setdefault((type(value), shape), len(self._contents))
            self._containers[id(value)] = known
        return known


def _modification(old: Value, new: Value, place: _Place) -> Change:
    return Change(ChangeKind.MODIFICATION, place.new, place.new, old, new)


def _step(container: Value, token: Token) -> Value:
    if isinstance(container, dict) and isinstance(token, str):
        return container[token]
    if isinstance(container, list) and isinstance(token, int):
        return container[token]
    raise _nowhere(token)


def _apply_one(container: Value, token: Token, change: Change) -> None:
    if change.kind is not ChangeKind.ADDITION:
        _step(container, token)
    if isinstance(container, dict) and isinstance(token, str):
        if change.new is ABSENT:
            del container[token]
        else:
            container[token] = _copy(change.new)
    elif isinstance(container, list) and isinstance(token, int):
        if change.kind is ChangeKind.ADDITION and not 0 <= token <= len(container):
            raise LookupError(f"there is no place {token} here")
        end = token if change.kind is ChangeKind.ADDITION else token + 1
        container[token:end] = [] if change.new is ABSENT else [_copy(change.new)]
    else:
        raise _nowhere(token)


def _nowhere(token: Token) -> LookupError:
    return LookupError(f"there is no {token!r} here")


def _copy(value: Value) -> Value:
    if isinstance(value, dict):
        return {name: _copy(member) for name, member in value.items()}
    if isinstance(value, list):
        return [_copy(item) for item in value]
    return value
