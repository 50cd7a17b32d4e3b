"""Page tokens."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from proofloop.audit.v1.log_service_pb2 import ListEntriesRequest
from proofloop_runtime import paging
from proofloop_runtime.errors import PageTokenInvalid


def test_the_first_page_has_no_position_and_a_default_size() -> None:
    assert paging.decode(ListEntriesRequest()) is None
    assert paging.size(ListEntriesRequest()) == 100
    assert paging.size(ListEntriesRequest(page_size=7)) == 7


@given(st.integers(min_value=-(1 << 62), max_value=1 << 62), st.text(max_size=20))
def test_a_token_leads_back_to_its_position(position, action) -> None:
    request = ListEntriesRequest(action=action)
    following = ListEntriesRequest(action=action, page_size=9, page_token=paging.encode(request, [position]))
    assert paging.integer(paging.decode(following) or []) == position


def test_a_token_belongs_to_the_filters_it_was_made_for() -> None:
    token = paging.encode(ListEntriesRequest(action="a"), [7])
    with pytest.raises(PageTokenInvalid) as refused:
        paging.decode(ListEntriesRequest(action="b", page_token=token))
    assert refused.value.metadata == {"field": "page_token"}


def packed(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode()


@pytest.mark.parametrize(
    "token",
    ["x", "é", "=", "AAAA", packed(7), packed("ab"), packed({"a": 1, "b": 2}), packed(["x", [1]]), "W1tb" * 2000],
)
def test_what_is_no_token_is_refused(token) -> None:
    with pytest.raises(PageTokenInvalid):
        paging.decode(ListEntriesRequest(page_token=token))


@given(st.text(max_size=60))
def test_whatever_a_caller_sends_as_a_token_is_refused_and_nothing_else(token) -> None:
    request = ListEntriesRequest(page_token=token)
    if token:
        with pytest.raises(PageTokenInvalid):
            paging.decode(request)


@pytest.mark.parametrize("position", [[], [1, 2], ["1"], [1 << 63], [None], [1.5]])
def test_a_position_that_is_no_integer_is_refused(position) -> None:
    with pytest.raises(PageTokenInvalid):
        paging.integer(position)
