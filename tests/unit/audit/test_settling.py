import asyncio
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st
from proofloop_audit.log.domain import Receipt
from proofloop_audit.log.settling import Group, Known, settle
from proofloop_runtime.errors import RequestIdReused

IDS = ["a", "b", "c"]


@pytest.fixture
def group(new_sealed):
    """Makes a group of entries, each named by its id and its reason; must be used inside an event loop."""

    def make(*names: str) -> Group:
        entries = [new_sealed(entry_id=name[0], reason=name[1:]) for name in names]
        return Group(entries, asyncio.get_running_loop().create_future())

    return make


def known(*groups: Group) -> dict[str, Known]:
    entries = [entry for group in groups for entry in group.entries]
    return {
        entry.draft.entry_id: Known(entry.fingerprint, Receipt(entry.draft.entry_id, index, bytes(32)))
        for index, entry in enumerate(entries)
    }


async def test_new_entries_stay_unsettled(group) -> None:
    groups = [group("a", "b"), group("c")]
    assert settle(groups, {}) == (groups, [entry for group in groups for entry in group.entries])


async def test_a_group_whose_entries_are_all_known_gets_its_receipts_in_its_order(group) -> None:
    repeated = group("b", "a")
    assert settle([repeated], known(group("a", "b"))) == ([], [])
    assert [receipt.index for receipt in repeated.receipts.result()] == [1, 0]


async def test_a_group_of_which_one_entry_is_new_stays_whole(group) -> None:
    mixed = group("a", "c")
    assert settle([mixed], known(group("a", "b"))) == ([mixed], mixed.entries[1:])


async def test_a_group_that_reuses_an_id_is_refused(group) -> None:
    wrong = group("c", "a other")
    assert settle([wrong], known(group("a"))) == ([], [])
    with pytest.raises(RequestIdReused) as refusal:
        wrong.receipts.result()
    assert refusal.value.metadata["request_id"] == "a"


async def test_of_two_new_entries_under_one_id_the_first_counts(group) -> None:
    first, second, third = group("a"), group("a other"), group("a")
    assert settle([first, second, third], {}) == ([first, third], first.entries)
    assert isinstance(second.receipts.exception(), RequestIdReused)


async def test_the_ids_of_a_refused_group_are_free_for_others(group) -> None:
    refused, other = group("a one", "b", "b other"), group("a two")
    assert settle([refused, other], {}) == ([other], other.entries)
    assert isinstance(refused.receipts.exception(), RequestIdReused)


async def test_who_gave_up_is_passed_over(group) -> None:
    gone = group("a one")
    gone.receipts.cancel()
    other = group("a two")
    assert settle([gone, other], {}) == ([other], other.entries)


@given(st.lists(st.lists(st.tuples(st.sampled_from(IDS), st.sampled_from(["", "x"])), min_size=1, max_size=3)))
def test_what_stays_unsettled_never_contradicts_itself(new_sealed, named) -> None:
    # Futures need a loop, and not that it runs.
    with closing(asyncio.new_event_loop()) as loop:
        groups = [
            Group([new_sealed(entry_id=entry_id, reason=reason) for entry_id, reason in names], loop.create_future())
            for names in named
        ]
        unsettled, new = settle(groups, {})
        fingerprints: dict[str, set[bytes]] = {}
        for group in unsettled:
            for entry in group.entries:
                fingerprints.setdefault(entry.draft.entry_id, set()).add(entry.fingerprint)
        assert all(len(seen) == 1 for seen in fingerprints.values())
        assert {entry.draft.entry_id: {entry.fingerprint} for entry in new} == fingerprints
        # The first group is refused only for what it says itself.
        if groups and len({entry_id for entry_id, _ in named[0]}) == len(set(named[0])):
            assert groups[0] in unsettled
        for group in groups:
            assert (group in unsettled) != (group.receipts.done() and group.receipts.exception() is not None)
