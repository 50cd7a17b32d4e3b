"""Finding sessions again, and their events."""

import hashlib

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from proofloop.audit.v1 import log_pb2, sessions_pb2
from proofloop.audit.v1 import sessions_service_pb2 as contract

CLAIM = "0190a000-0000-7000-8000-00000000000A"
NOON = Timestamp(seconds=1_767_268_800)


def file(content: bytes) -> sessions_pb2.SessionFile:
    return sessions_pb2.SessionFile(name="file", size=len(content), sha256=hashlib.sha256(content).hexdigest())


@pytest.fixture
def listed(sessions):
    """Returns the ids of all sessions that match, and checks that pages of any size are the same list."""

    async def read(**filters) -> list[str]:
        whole = await sessions.ListSessions(contract.ListSessionsRequest(**filters))
        assert whole.next_page_token == ""
        request = contract.ListSessionsRequest(page_size=2, **filters)
        paged: list[str] = []
        while True:
            page = await sessions.ListSessions(request)
            paged += [session.session_id for session in page.sessions]
            if not page.next_page_token:
                assert paged == [session.session_id for session in whole.sessions]
                return paged
            request.page_token = page.next_page_token

    return read


async def test_sessions_are_found_by_whatever_is_known_of_them(start, end, listed) -> None:
    first = await start(claim_id=CLAIM, start_time=NOON, input_files=[file(b"scan")])
    second = await start(user_id="bob", start_time=Timestamp(seconds=NOON.seconds + 60))
    third = await start(kind="letter", input_files=[file(b"scan"), file(b"scan")])
    await end(second, output_files=[file(b"scan"), file(b"fields")])
    await end(third, outcome=log_pb2.OUTCOME_FAILURE)
    a, b, c = first.session_id, second.session_id, third.session_id
    running, succeeded = sessions_pb2.SESSION_STATE_RUNNING, sessions_pb2.SESSION_STATE_SUCCEEDED
    assert await listed() == [c, b, a]
    assert await listed(user_id="ann") == [c, a]
    assert await listed(kind="invoice_parsing") == [b, a]
    assert await listed(states=[running, succeeded]) == [b, a]
    assert await listed(claim_id=CLAIM.lower()) == [a]
    assert await listed(file_sha256=file(b"scan").sha256) == [c, b, a]
    assert await listed(file_sha256=file(b"fields").sha256) == [b]
    assert await listed(start_time=NOON, end_time=second.start_time) == [a]
    assert await listed(start_time=second.start_time) == [c, b]
    assert await listed(user_id="ann", states=[succeeded]) == []


async def test_a_page_of_large_sessions_ends_before_it_is_too_large(start, sessions) -> None:
    large = sessions_pb2.SessionFile(name="n" * 255, sha256="a" * 64, md5="b" * 32, media_type="m/" + "m" * 125)
    files = [large] * 50
    started = [(await start(message="m" * 2000, title="t" * 200, input_files=files)).session_id for _ in range(42)]
    request = contract.ListSessionsRequest()
    page = await sessions.ListSessions(request)
    assert 0 < len(page.sessions) < 42
    assert page.ByteSize() < 1_100_000
    rest = await sessions.ListSessions(contract.ListSessionsRequest(page_token=page.next_page_token))
    assert [session.session_id for session in (*page.sessions, *rest.sessions)] == started[::-1]


async def test_the_events_of_a_session_come_in_pages(start, record, sessions, refused) -> None:
    session = await start()
    recorded = [(await record(session)).event for _ in range(5)]
    request = contract.GetSessionRequest(session_id=session.session_id, page_size=2)
    seen: list[sessions_pb2.SessionEvent] = []
    for _ in range(3):
        page = await sessions.GetSession(request)
        seen += page.events
        request.page_token = page.next_page_token
    assert seen == recorded
    assert page.next_page_token == ""
    request.page_token = "forged"
    with refused("INVALID_ARGUMENT", "PAGE_TOKEN_INVALID"):
        await sessions.GetSession(request)
