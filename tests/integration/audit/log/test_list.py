"""ListEntries: filters, order, pages."""

from datetime import timedelta
from uuid import uuid4

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from proofloop.audit.v1 import log_pb2
from proofloop.audit.v1 import log_service_pb2 as contract
from proofloop.audit.v1.log_service_pb2_grpc import LogServiceStub
from proofloop_runtime.application import Ports
from proofloop_runtime.testing import FakeClock

CLAIMS = [str(uuid4()), str(uuid4())]
NEWEST_FIRST = contract.ListEntriesRequest.ORDER_NEWEST_FIRST


def user(name: str) -> log_pb2.Actor:
    return log_pb2.Actor(type=log_pb2.ACTOR_TYPE_USER, id=name)


@pytest.fixture
async def varied(log, new_request) -> list[contract.AppendEntryRequest]:
    """Twelve entries in which claim, entity, actor, action, session and outcome vary each on its own."""
    requests = [
        new_request(
            claim_id=[*CLAIMS, ""][number % 3],
            entity_type=["prompt", "claim"][number % 2],
            entity_id=["one", "two"][number // 2 % 2],
            actor=[user("ann"), user("bob"), log_pb2.Actor(type=log_pb2.ACTOR_TYPE_SERVICE, id="ann")][number // 4],
            action=["prompt.answered", "prompt.cancelled"][number // 6],
            session_id=["", "session-1", "session-2"][number * 5 // 2 % 3],
            outcome=[log_pb2.OUTCOME_SUCCESS, log_pb2.OUTCOME_FAILURE, log_pb2.OUTCOME_DENIED][number * 7 // 5 % 3],
        )
        for number in range(12)
    ]
    await log.AppendEntries(contract.AppendEntriesRequest(entries=requests))
    return requests


FILTERS = [
    {},
    {"claim_id": CLAIMS[0]},
    {"entity_type": "claim"},
    {"entity_id": "two"},
    {"entity_type": "claim", "entity_id": "two"},
    {"actor_id": "ann"},
    {"actor_id": "bob"},
    {"action": "prompt.cancelled"},
    {"claim_id": CLAIMS[1], "actor_id": "ann"},
    {"claim_id": CLAIMS[1], "action": "prompt.answered", "entity_type": "claim"},
    {
        "claim_id": CLAIMS[0],
        "entity_type": "prompt",
        "entity_id": "one",
        "actor_id": "ann",
        "action": "prompt.answered",
    },
    {"session_id": "session-1"},
    {"outcome": log_pb2.OUTCOME_SUCCESS},
    {"outcome": log_pb2.OUTCOME_FAILURE},
    {"outcome": log_pb2.OUTCOME_DENIED, "actor_id": "ann"},
    {"session_id": "session-2", "outcome": log_pb2.OUTCOME_SUCCESS},
    {"claim_id": str(uuid4())},
    {"session_id": "session-3"},
    {"actor_id": "nobody"},
    {"action": "prompt.escalated"},
]


async def test_every_filter_holds_alone_and_with_others(varied, read_log) -> None:
    def matches(request: contract.AppendEntryRequest, wanted: dict[str, str]) -> bool:
        fields = {name: getattr(request.draft, name) for name in wanted if name != "actor_id"}
        return fields | {"actor_id": request.draft.actor.id} == {"actor_id": request.draft.actor.id} | wanted

    for wanted in FILTERS:
        expected = [request.request_id for request in varied if matches(request, wanted)]
        assert [entry.entry_id for entry in await read_log(**wanted)] == expected, wanted
        newest_first = await read_log(order=NEWEST_FIRST, **wanted)
        assert [entry.entry_id for entry in newest_first] == expected[::-1], wanted


async def test_time_ranges_hold_their_start_and_not_their_end(replica, new_request, read_log) -> None:
    clock = FakeClock()
    async with replica(Ports(clock=clock)) as service, service.channel() as channel:
        log = LogServiceStub(channel)
        times = []
        for _ in range(4):
            await log.AppendEntry(new_request())
            times.append(Timestamp())
            times[-1].FromDatetime(clock.now())
            clock.advance(timedelta(seconds=1))

        async def indexes(**wanted) -> list[int]:
            return [entry.index for entry in await read_log(log, **wanted)]

        assert await indexes(start_time=times[1]) == [1, 2, 3]
        assert await indexes(end_time=times[2]) == [0, 1]
        assert await indexes(start_time=times[1], end_time=times[3]) == [1, 2]
        assert await indexes(start_time=times[1], end_time=times[3], order=NEWEST_FIRST) == [2, 1]
        assert await indexes(start_time=times[1], actor_id="nobody") == []


@pytest.mark.parametrize("order", ["ORDER_OLDEST_FIRST", "ORDER_NEWEST_FIRST"])
async def test_pages_stay_what_they_were_while_the_log_grows(log, append, append_many, order) -> None:
    await append_many(10, claim_id=CLAIMS[0])
    request = contract.ListEntriesRequest(claim_id=CLAIMS[0], page_size=4, order=order)
    pages, tokens = [], [""]
    for _ in range(3):
        request.page_token = tokens[-1]
        page = await log.ListEntries(request)
        pages.append([entry.index for entry in page.entries])
        tokens.append(page.next_page_token)
        await append(claim_id=CLAIMS[1])
        if order == "ORDER_NEWEST_FIRST":
            await append(claim_id=CLAIMS[0])
    expected = list(range(10)) if order == "ORDER_OLDEST_FIRST" else list(range(9, -1, -1))
    assert pages == [expected[:4], expected[4:8], expected[8:]]
    assert tokens[-1] == ""
    # A token means the same entries for ever.
    request.page_token = tokens[1]
    assert [entry.index for entry in (await log.ListEntries(request)).entries] == expected[4:8]


async def test_a_page_has_a_hundred_entries_unless_asked_otherwise(log, append_many) -> None:
    await append_many(101)
    page = await log.ListEntries(contract.ListEntriesRequest())
    assert (len(page.entries), page.next_page_token != "") == (100, True)
    assert len((await log.ListEntries(contract.ListEntriesRequest(page_token=page.next_page_token))).entries) == 1


async def test_a_page_that_ends_with_the_last_entry_has_no_next(log, append_many) -> None:
    await append_many(4)
    assert (await log.ListEntries(contract.ListEntriesRequest(page_size=4))).next_page_token == ""


async def test_a_page_token_is_good_for_its_own_filters_and_order_alone(log, append_many, refused) -> None:
    await append_many(3)
    token = (await log.ListEntries(contract.ListEntriesRequest(page_size=1))).next_page_token
    for wrong in (
        contract.ListEntriesRequest(page_token=token, action="prompt.answered"),
        contract.ListEntriesRequest(page_token=token, order=NEWEST_FIRST),
        contract.ListEntriesRequest(page_token="made up"),
        contract.ListEntriesRequest(page_token=token[:-4]),
        contract.ListEntriesRequest(page_token="W10"),
        contract.ListEntriesRequest(page_token=token, outcome=log_pb2.OUTCOME_SUCCESS),
    ):
        with refused("INVALID_ARGUMENT", "PAGE_TOKEN_INVALID") as refusal:
            await log.ListEntries(wrong)
        assert refusal[0].fields == ("page_token",)
    # The size of pages may change on the way.
    page = await log.ListEntries(contract.ListEntriesRequest(page_token=token, page_size=2))
    assert [entry.index for entry in page.entries] == [1, 2]
