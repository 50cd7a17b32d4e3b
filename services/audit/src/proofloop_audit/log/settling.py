"""Who gets which answer: groups of entries that are appended all or none, ids that were used before."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

from proofloop_runtime.errors import RequestIdReused

from proofloop_audit.log.domain import Receipt
from proofloop_audit.log.sealing import Sealed, Unsealed

EntryT = TypeVar("EntryT", Sealed, Unsealed)


class Known(NamedTuple):
    """An entry that the log holds, and the fingerprint that tells a repetition from another entry."""

    fingerprint: bytes
    receipt: Receipt


@dataclass(slots=True)
class Group(Generic[EntryT]):
    """Entries that are sequenced all or none, and who waits for them."""

    entries: Sequence[EntryT]
    receipts: "asyncio.Future[list[Receipt]]"


def size(groups: Iterable[Group[EntryT]]) -> int:
    """Return the number of entries."""
    return sum([len(group.entries) for group in groups])


def settle(groups: Iterable[Group[Sealed]], known: Mapping[str, Known]) -> tuple[list[Group[Sealed]], list[Sealed]]:
    """Answer the groups whose entries are all known, refuse those that reuse an id.

    Returns:
        The other groups, and those of their entries that are new. Of several under one id the first counts, and the
        others are its equals.
    """
    unsettled = []
    new: dict[str, Sealed] = {}
    for group in groups:
        if group.receipts.done():
            continue
        own: dict[str, Sealed] = {}
        receipts = []
        reused = None
        for entry in group.entries:
            entry_id = entry.draft.entry_id
            if entry_id in known:
                expected, receipt = known[entry_id]
                receipts.append(receipt)
            else:
                expected = (new.get(entry_id) or own.setdefault(entry_id, entry)).fingerprint
            if entry.fingerprint != expected:
                reused = entry_id
        if reused is not None:
            message = "request_id was used before with another entry"
            group.receipts.set_exception(RequestIdReused(message, field="request_id", request_id=reused))
        elif len(receipts) == len(group.entries):
            group.receipts.set_result(receipts)
        else:
            new |= own
            unsettled.append(group)
    return unsettled, list(new.values())


def answer(groups: Iterable[Group[Sealed]], receipts: Mapping[str, Receipt]) -> None:
    """Give receipts, by entry id, to those who still wait for them."""
    for group in groups:
        if not group.receipts.done():
            group.receipts.set_result([receipts[entry.draft.entry_id] for entry in group.entries])
