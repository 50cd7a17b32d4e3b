"""What sessions forget when a tenant's retention ends."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from uuid import uuid4

import pytest
from proofloop.audit.v1 import log_pb2, sessions_pb2
from proofloop.audit.v1 import log_service_pb2 as log_contract
from proofloop.audit.v1 import sessions_service_pb2 as contract
from proofloop_audit.log.sealing import Sealer
from proofloop_audit.sessions.expiry import SessionExpiry
from proofloop_audit.settings import AuditSettings
from proofloop_runtime.application import Ports
from proofloop_runtime.breaker import Breakers
from proofloop_runtime.database import Database
from proofloop_runtime.ports import FileKeyStore, SystemRandomness
from proofloop_runtime.testing import FakeClock, Service

RETENTION = timedelta(days=90)
MOMENT = timedelta(microseconds=1)
CLAIM = str(uuid4())
FILES = [sessions_pb2.SessionFile(name="ann.pdf", size=1, sha256="1" * 64)]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def audit(replica, clock: FakeClock) -> AsyncIterator[Service]:
    async with replica(Ports(clock=clock), retention={"acme": RETENTION}) as service:
        yield service


@pytest.fixture
async def sweep(audit_settings: AuditSettings, clock: FakeClock) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """Blanks what is past its retention by the clock."""
    randomness = SystemRandomness()
    database = Database(audit_settings.database_url.get_secret_value(), "audit", clock, Breakers(clock))
    sealer = Sealer(database, FileKeyStore.load(audit_settings.master_key, randomness), randomness)

    async def call() -> None:
        await SessionExpiry(database, sealer).sweep("acme", RETENTION)

    yield call
    await database.close()


def without_words(session: sessions_pb2.Session) -> sessions_pb2.Session:
    blank = sessions_pb2.Session()
    blank.CopyFrom(session)
    for part in (blank, *blank.input_files, *blank.output_files):
        for field in ("user_id", "title", "message", "error", "name"):
            if field in part.DESCRIPTOR.fields_by_name:
                part.ClearField(field)
    return blank


async def test_a_session_that_did_not_change_for_a_retention_forgets_words_and_user_and_nothing_else(
    clock, start, record, end, get, sessions, sessions_of, sweep, place, officer
) -> None:
    words = {"title": "Title", "message": "Words", "input_files": FILES}
    async with sessions_of("ann", "claimant") as as_ann:
        ended = await start(as_ann, **words)
    await record(ended, message="Words", details_json="{}")
    ended = await end(ended, outcome=log_pb2.OUTCOME_FAILURE, error="Words", output_files=FILES)
    running, of_nobody = await start(**words), await start(user_id="", **words)
    in_claim = await start(user_id="", claim_id=CLAIM, **words)
    of_ben = await start(user_id="ben", **words)
    holds = [await place(claim_id=CLAIM), await place(subject=log_pb2.Actor(type=log_pb2.ACTOR_TYPE_USER, id="ben"))]
    clock.advance(timedelta(days=1))
    changed = await start(**words)
    # Its step is as of today, though it began before.
    recent = (await record(running, message="Words")).session

    async def stored() -> list[sessions_pb2.Session]:
        every = (ended, running, of_nobody, in_claim, of_ben, changed)
        return [(await get(session)).session for session in every]

    before = await stored()
    clock.advance(RETENTION - timedelta(days=1) - MOMENT)
    await sweep()
    assert await stored() == before
    figures = await sessions.GetStatistics(contract.GetStatisticsRequest(days=366))
    clock.advance(MOMENT)
    await sweep()
    forgotten = without_words(ended)
    forgotten.started_by = ""
    assert await stored() == [forgotten, recent, without_words(of_nobody), in_claim, of_ben, changed]
    [event] = (await get(ended)).events
    assert (event.message, event.details_json) == ("", "")
    assert await sessions.GetStatistics(contract.GetStatisticsRequest(days=366)) == figures
    for hold in holds:
        request = log_contract.ReleaseLegalHoldRequest(request_id=str(uuid4()), hold_id=hold.hold_id, reason="settled")
        await officer.ReleaseLegalHold(request)
    # What is added to one that has forgotten is forgotten a retention after.
    last = await end(of_nobody, outcome=log_pb2.OUTCOME_FAILURE, error="More words")
    await sweep()
    assert (await stored())[2:5] == [last, without_words(in_claim), without_words(of_ben)]
    clock.advance(RETENTION)
    await sweep()
    assert await stored() == [
        forgotten,
        without_words(recent),
        without_words(last),
        without_words(in_claim),
        without_words(of_ben),
        without_words(changed),
    ]
