"""The history of sessions as JSON Lines."""

import json

import pytest
from google.protobuf import json_format
from proofloop.audit.v1 import sessions_pb2
from proofloop.audit.v1 import sessions_service_pb2 as contract


@pytest.fixture
def exported(sessions):
    """Returns the lines of an export, read as messages, and checks the size of its pieces."""

    async def read(stub=sessions, **filters) -> list[tuple[sessions_pb2.Session, list[sessions_pb2.SessionEvent]]]:
        stream = stub.ExportHistory(contract.ExportHistoryRequest(**filters))
        bodies = [response.body async for response in stream]
        assert {body.content_type for body in bodies} == {"application/jsonl"}
        assert all(len(body.data) < 128 * 1024 for body in bodies)
        lines = [json.loads(line) for line in b"".join(body.data for body in bodies).splitlines()]
        return [
            (
                json_format.ParseDict(line["session"], sessions_pb2.Session()),
                [json_format.ParseDict(event, sessions_pb2.SessionEvent()) for event in line["events"]],
            )
            for line in lines
        ]

    return read


async def test_an_export_holds_every_session_with_all_its_events_newest_first(
    start, record, end, get, exported
) -> None:
    assert await exported() == []
    busy = await start(title='Änne\'s "March"')
    for number in range(41):
        details = json.dumps({"line": "\n" * 3, "text": "x" * 2_000, "number": number})
        await record(busy, details_json=details)
    await end(busy)
    quiet = [await start(user_id="bob") for _ in range(55)]
    lines = await exported()
    assert [session.session_id for session, _ in lines] == [
        *(session.session_id for session in reversed(quiet)),
        busy.session_id,
    ]
    session, events = lines[-1]
    shown = await get(busy)
    assert (session, events) == (shown.session, list(shown.events))
    assert len(events) == 41
    assert [session.session_id for session, _ in await exported(user_id="ann")] == [busy.session_id]
    assert await exported(file_sha256="a" * 64) == []


async def test_people_export_their_own_sessions(start, exported, sessions_of, refused) -> None:
    own = await start()
    await start(user_id="bob")
    async with sessions_of("ann", "claimant") as ann, sessions_of("alma", "auditor") as auditor:
        assert [session for session, _ in await exported(ann)] == [own]
        assert len(await exported(auditor)) == 2
        with refused("PERMISSION_DENIED", "NOT_OWNER"):
            await exported(ann, user_id="bob")
