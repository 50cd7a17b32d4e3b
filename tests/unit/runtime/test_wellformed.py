"""Times in requests that no calendar has."""

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from proofloop.audit.v1 import log_pb2
from proofloop.audit.v1 import log_service_pb2 as contract
from proofloop_runtime.errors import InvalidField
from proofloop_runtime.interceptors.validation import check


def entry(time: Timestamp) -> contract.AppendEntryRequest:
    draft = log_pb2.EntryDraft(
        event_time=time,
        actor=log_pb2.Actor(type=log_pb2.ACTOR_TYPE_USER, id="user-1"),
        action="prompt.answered",
        outcome=log_pb2.OUTCOME_SUCCESS,
        entity_type="prompt",
        entity_id="prompt-1",
    )
    return contract.AppendEntryRequest(request_id="0198a4f2-0000-7000-8000-000000000001", draft=draft)


@pytest.mark.parametrize(
    "time",
    [
        Timestamp(nanos=-1),
        Timestamp(nanos=1_000_000_000),
        Timestamp(seconds=253_402_300_800),
        Timestamp(seconds=-62_135_596_801),
        Timestamp(seconds=-(1 << 63)),
    ],
)
def test_a_time_out_of_range_is_named(time: Timestamp) -> None:
    with pytest.raises(InvalidField) as caught:
        check(entry(time))
    assert [violation.field for violation in caught.value.violations] == ["draft.event_time"]


def test_a_time_in_a_list_is_named_with_its_index() -> None:
    request = contract.AppendEntriesRequest(entries=[entry(Timestamp()), entry(Timestamp(nanos=-1))])
    with pytest.raises(InvalidField) as caught:
        check(request)
    assert [violation.field for violation in caught.value.violations] == ["entries[1].draft.event_time"]


def test_a_duration_of_two_signs_is_named() -> None:
    request = contract.GetEntryRequest(
        entry_id="0198a4f2-0000-7000-8000-000000000001", max_wait=Duration(seconds=1, nanos=-1)
    )
    with pytest.raises(InvalidField, match="max_wait"):
        check(request)


@pytest.mark.parametrize("time", [Timestamp(), Timestamp(seconds=253_402_300_799, nanos=999_999_999)])
def test_a_time_within_range_is_taken(time: Timestamp) -> None:
    check(entry(time))
