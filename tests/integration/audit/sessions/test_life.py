"""A session from its start to its end, and what the log keeps of it."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from google.protobuf import json_format
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from proofloop.audit.v1 import events_pb2, log_pb2, sessions_pb2
from proofloop.audit.v1 import log_service_pb2 as log_contract
from proofloop.audit.v1 import sessions_service_pb2 as contract

CLAIM = "0190a000-0000-7000-8000-000000000001"
UNKNOWN = sessions_pb2.Session(session_id="0190a000-0000-7000-8000-00000000000f")
INVOICE = sessions_pb2.SessionFile(
    name='invoice "7".pdf', size=1234, sha256="a" * 64, md5="b" * 32, media_type="application/pdf"
)
FIELDS = sessions_pb2.SessionFile(name="fields.json", size=17, sha256="c" * 64)


def figure(name: str, value: str, unit: str = "") -> sessions_pb2.Figure:
    return sessions_pb2.Figure(name=name, value=value, unit=unit)


def ago(**units: float) -> Timestamp:
    time = Timestamp()
    time.FromDatetime(datetime.now(UTC) - timedelta(**units))
    return time


@pytest.fixture
def entry_of(log):
    """Waits for the log's entry of an event."""

    async def wait(event_id: str) -> log_pb2.Entry:
        request = log_contract.GetEntryRequest(entry_id=event_id, max_wait=Duration(seconds=25))
        return (await log.GetEntry(request, timeout=30)).entry

    return wait


async def test_a_session_is_kept_and_every_step_of_it_is_an_entry_of_the_log(
    start, record, end, get, entry_of, sessions
) -> None:
    began = ago(minutes=5)
    session = await start(
        title="March", message="Read the invoice.\nPlease.", claim_id=CLAIM, start_time=began, input_files=[INVOICE]
    )
    assert (session.state, session.started_by) == (sessions_pb2.SESSION_STATE_RUNNING, "packets")
    parsed = await record(
        session,
        duration=Duration(seconds=1, nanos=500_000_000),
        details_json='{"pages": 1.50}',
        figures=[figure("tokens", "1200"), figure("cost", "0.10", "USD")],
    )
    checked = await record(
        session,
        type="quality_check",
        outcome=log_pb2.OUTCOME_FAILURE,
        message="blurred",
        figures=[figure("tokens", "5")],
    )
    finished = Timestamp(seconds=began.seconds + 90, nanos=began.nanos)
    ending = contract.EndSessionRequest(
        request_id=str(uuid4()),
        session_id=session.session_id,
        outcome=log_pb2.OUTCOME_FAILURE,
        end_time=finished,
        error="two fields are missing",
        output_files=[FIELDS],
        figures=[figure("cost", "0.025", "USD")],
    )
    ended = (await sessions.EndSession(ending)).session
    assert (await sessions.EndSession(ending)).session == ended

    shown = await get(session)
    assert shown.session == ended
    assert list(shown.events) == [parsed.event, checked.event]
    assert [event.sequence for event in shown.events] == [1, 2]
    assert (ended.state, ended.error) == (sessions_pb2.SESSION_STATE_FAILED, "two fields are missing")
    assert (ended.start_time, ended.end_time, ended.duration) == (began, finished, Duration(seconds=90))
    assert (list(ended.input_files), list(ended.output_files)) == ([INVOICE], [FIELDS])
    assert list(ended.figures) == [figure("cost", "0.125", "USD"), figure("tokens", "1205")]
    assert ended.event_count == 2

    event_ids = [session.last_event_id, parsed.event.event_id, checked.event.event_id, ended.last_event_id]
    entries = [await entry_of(event_id) for event_id in event_ids]
    assert [(entry.action, entry.outcome) for entry in entries] == [
        ("session.started", log_pb2.OUTCOME_SUCCESS),
        ("session.event_recorded", log_pb2.OUTCOME_SUCCESS),
        ("session.event_recorded", log_pb2.OUTCOME_FAILURE),
        ("session.ended", log_pb2.OUTCOME_FAILURE),
    ]
    for number, entry in enumerate(entries):
        assert (entry.session_id, entry.entity_id, entry.claim_id) == (session.session_id, session.session_id, CLAIM)
        assert (entry.service, entry.actor.id, entry.claim_sequence) == ("audit", "ann", number)
    said = json_format.Parse(entries[1].details_json, events_pb2.SessionEventRecorded())
    assert said.event == parsed.event
    assert json_format.Parse(entries[3].details_json, events_pb2.SessionEnded()).output_files[0] == FIELDS
    # The leaf names nobody and says nothing of what was done; the log finds the session by it all the same.
    assert b"ann" not in entries[0].leaf
    assert session.session_id.encode() in entries[0].leaf


async def test_the_largest_session_still_fits_the_log(start, end, record, entry_of) -> None:
    file = sessions_pb2.SessionFile(
        name='"' * 255, size=(1 << 63) - 1, sha256="a" * 64, md5="b" * 32, media_type="a/" + "b" * 125
    )
    figures = [figure(f"{'n' * 60}{number}", f"{'9' * 18}.{'9' * 12}", "u" * 16) for number in range(20)]
    session = await start(title="\U0001f4a3" * 200, message="\U0001f4a3" * 2000, input_files=[file] * 50)
    details = '["' + '\\"' * 8190 + '"]'
    assert len(details) == 16_384
    recorded = await record(session, message="\U0001f4a3" * 2000, details_json=details, figures=figures)
    ended = await end(
        session,
        outcome=log_pb2.OUTCOME_FAILURE,
        error="\U0001f4a3" * 2000,
        output_files=[file] * 50,
        figures=figures,
    )
    for event_id in (session.last_event_id, recorded.event.event_id, ended.last_event_id):
        assert (await entry_of(event_id)).entry_id == event_id


async def test_what_a_session_does_not_take_is_refused_and_changes_nothing(
    start, record, end, get, refused, sessions
) -> None:
    session = await start(start_time=ago(minutes=1))
    late = Timestamp()
    late.FromDatetime(datetime.now(UTC) + timedelta(minutes=11))
    with refused("NOT_FOUND", "SESSION_NOT_FOUND") as refusals:
        await record(UNKNOWN)
    assert refusals[0].metadata["session_id"] == UNKNOWN.session_id
    for call in (get, end):
        with refused("NOT_FOUND", "SESSION_NOT_FOUND"):
            await call(UNKNOWN)
    with refused("INVALID_ARGUMENT", "EVENT_TIME_IN_FUTURE"):
        await start(start_time=late)
    for field, call in (("event_time", record), ("end_time", end)):
        with refused("INVALID_ARGUMENT", "EVENT_TIME_IN_FUTURE"):
            await call(session, **{field: late})
        with refused("INVALID_ARGUMENT", "TIME_BEFORE_START") as refusals:
            await call(session, **{field: ago(minutes=2)})
        assert refusals[0].fields == (field,)
    with refused("INVALID_ARGUMENT", "DETAILS_NOT_JSON"):
        await record(session, details_json='{"a": 1, "a": 2}')
    for number in range(5):
        await record(session, figures=[figure(f"figure_{number}_{n}", "1") for n in range(20)])
    for call in (record, end):
        with refused("FAILED_PRECONDITION", "SESSION_FULL") as refusals:
            await call(session, figures=[figure("one_more", "1")])
        assert refusals[0].conditions == (f"sessions/{session.session_id}",)
    before = await get(session)
    assert (before.session.state, before.session.event_count) == (sessions_pb2.SESSION_STATE_RUNNING, 5)

    ended = await end(session)
    for call, fields in ((record, {}), (end, {}), (end, {"outcome": log_pb2.OUTCOME_FAILURE})):
        with refused("FAILED_PRECONDITION", "SESSION_ENDED") as refusals:
            await call(session, **fields)
        assert refusals[0].conditions == (f"sessions/{session.session_id}",)
        assert refusals[0].metadata == {"state": "succeeded"}
    assert (await get(session)).session == ended


async def test_people_work_on_sessions_of_their_own_and_reviewers_see_all(
    start, record, end, get, refused, sessions, sessions_of
) -> None:
    of_service = await start(user_id="")
    async with (
        sessions_of("ann", "claimant") as ann,
        sessions_of("bob", "operator") as bob,
        sessions_of("rita", "reviewer") as rita,
        sessions_of("ann", "auditor") as auditor,
    ):
        own = await start(ann, user_id="")
        assert (own.user_id, own.started_by) == ("ann", "ann")
        with refused("PERMISSION_DENIED", "NOT_OWNER"):
            await start(bob, user_id="ann")
        for session in (own, of_service):
            for call in (record, end, get):
                with refused("PERMISSION_DENIED", "NOT_OWNER"):
                    await call(session, bob)
            with refused("PERMISSION_DENIED", "NOT_OWNER"):
                await record(session, rita)
            await get(session, rita)
        with refused("PERMISSION_DENIED", "ROLE_MISSING"):
            await start(auditor)
        await record(own, ann)
        ids = {}
        for name, stub in (("ann", ann), ("bob", bob), ("rita", rita)):
            listed = await stub.ListSessions(contract.ListSessionsRequest())
            ids[name] = [session.session_id for session in listed.sessions]
        assert ids == {"ann": [own.session_id], "bob": [], "rita": [own.session_id, of_service.session_id]}
        with refused("PERMISSION_DENIED", "NOT_OWNER"):
            await bob.ListSessions(contract.ListSessionsRequest(user_id="ann"))
    async with sessions_of("ann", "reviewer", tenant="globex") as elsewhere:
        with refused("NOT_FOUND", "SESSION_NOT_FOUND"):
            await get(own, elsewhere)
