"""The entry that ties a packet to the log."""

import hashlib
import json
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st
from proofloop_packets.packets import cutoff
from proofloop_packets.packets.cutoff import ChainBroken


@dataclass(frozen=True)
class Entry:
    entry_id: str
    claim_sequence: int


def chain(length: int) -> list[Entry]:
    return [Entry(f"e{number}", number) for number in range(length)]


def test_the_details_name_the_snapshot_and_the_signer():
    details = cutoff.details_json(b"{}", b"certificate")
    assert json.loads(details) == {
        "snapshot_sha256": hashlib.sha256(b"{}").hexdigest(),
        "signer_sha256": hashlib.sha256(b"certificate").hexdigest(),
    }


def test_the_details_are_the_same_text_every_time():
    assert cutoff.details_json(b"a", b"b") == cutoff.details_json(b"a", b"b")


def test_an_event_without_an_entry_is_missing_once_whatever_comes_after_it():
    assert cutoff.missing(["e4", "e0", "e3", "e4", "e1"], chain(2)) == ("e3", "e4")


def test_nothing_is_missing_when_each_event_has_an_entry():
    assert cutoff.missing(["e1", "e0"], chain(3)) == ()


@given(st.integers(1, 20), st.data())
def test_a_packet_holds_the_entries_up_to_its_cut_off_and_none_after(length: int, data: st.DataObject):
    at = data.draw(st.integers(0, length - 1))
    assert cutoff.up_to_cut_off(chain(length), f"e{at}") == at + 1


@given(st.integers(2, 20), st.data())
def test_a_missing_entry_is_never_overlooked(length: int, data: st.DataObject):
    missing = data.draw(st.integers(0, length - 2))
    entries = [entry for entry in chain(length) if entry.claim_sequence != missing]
    with pytest.raises(ChainBroken, match=f"entry {missing} "):
        cutoff.up_to_cut_off(entries, f"e{length - 1}")


def test_entries_without_the_cut_off_are_refused():
    with pytest.raises(ChainBroken, match="cut-off"):
        cutoff.up_to_cut_off(chain(3), "elsewhere")
