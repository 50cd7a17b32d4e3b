"""What sessions forget of a person who is erased."""

from leftovers import tables_that_say
from proofloop.audit.v1 import log_pb2, sessions_pb2
from proofloop.audit.v1 import sessions_service_pb2 as contract

TITLE, WORDS, DETAILS, FILE = "Ann's title", "Ann's words", '{"said":"by Ann"}', "ann.pdf"


async def test_a_session_forgets_its_erased_user_and_keeps_states_figures_and_hashes(
    sessions, sessions_of, start, record, end, get, erase, superuser, eventually
) -> None:
    files = [
        sessions_pb2.SessionFile(name=f"{number} {FILE}", size=number, sha256=f"{number:064x}") for number in (2, 1)
    ]
    async with sessions_of("ann", "claimant") as as_ann:
        own = await start(as_ann, user_id="ann", title=TITLE, message=WORDS, input_files=files)
    await record(own, message=WORDS, details_json=DETAILS, figures=[sessions_pb2.Figure(name="tokens", value="7")])
    before = await end(own, outcome=log_pb2.OUTCOME_FAILURE, error=WORDS, output_files=files[:1])
    by_service, others = await start(title=TITLE), await start(user_id="ben", title="Ben's title")
    statistics = await sessions.GetStatistics(contract.GetStatisticsRequest())

    await erase("ann")

    async def nothing_is_left() -> bool:
        traces = ('"ann"', TITLE, WORDS, DETAILS, FILE)
        return not [table for text in traces for table in await tables_that_say(superuser, text)]

    await eventually(nothing_is_left)
    after = await get(own)
    for changed in (before, *before.input_files, *before.output_files):
        for field in ("user_id", "started_by", "title", "message", "error", "name"):
            if field in changed.DESCRIPTOR.fields_by_name:
                changed.ClearField(field)
    assert after.session == before
    [event] = after.events
    assert (event.message, event.details_json, event.figures[0].value) == ("", "", "7")
    assert (await get(by_service)).session.started_by == "packets"
    assert (await get(others)).session == others
    assert await sessions.GetStatistics(contract.GetStatisticsRequest()) == statistics
    # One that still runs can be ended by whoever may.
    assert (await end(by_service)).state == sessions_pb2.SESSION_STATE_SUCCEEDED
