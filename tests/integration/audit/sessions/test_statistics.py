"""Statistics over the last days, from sums that are kept as sessions change."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from proofloop.audit.v1 import log_pb2, sessions_pb2
from proofloop.audit.v1 import sessions_service_pb2 as contract
from proofloop.audit.v1.sessions_service_pb2_grpc import SessionServiceStub
from proofloop_runtime.application import Ports
from proofloop_runtime.testing import FakeClock

MIDNIGHT = datetime(2026, 1, 2, tzinfo=UTC)


def at(time: datetime) -> Timestamp:
    message = Timestamp()
    message.FromDatetime(time)
    return message


def figure(name: str, value: str, unit: str = "") -> sessions_pb2.Figure:
    return sessions_pb2.Figure(name=name, value=value, unit=unit)


@pytest.fixture
async def audit(replica):
    """Stands at 2026-01-02, five past three."""
    async with replica(Ports(clock=FakeClock())) as service:
        yield service


@pytest.fixture
def statistics(sessions):
    async def get(stub=sessions, **fields) -> sessions_pb2.SessionStatistics:
        return (await stub.GetStatistics(contract.GetStatisticsRequest(**fields))).statistics

    return get


@pytest.fixture
def folded(superuser, eventually):
    """Waits until all that was added is in the sums; returns how many there are."""

    async def wait() -> int:
        async def nothing_is_left() -> bool:
            return await superuser.fetchval("SELECT count(*) = 0 FROM session_delta")

        await eventually(nothing_is_left)
        return await superuser.fetchval("SELECT count(*) FROM session_rollup")

    return wait


@pytest.fixture
def run(start, record, end):
    """Runs a session that begins at a time and takes a while."""

    async def call(begin: datetime, seconds: float | None = None, **fields) -> None:
        outcome = fields.pop("outcome", log_pb2.OUTCOME_SUCCESS)
        session = await start(start_time=at(begin), **fields)
        await record(session, figures=[figure("tokens", "10"), figure("cost", "0.1", "USD")])
        await record(session, type="validation", outcome=log_pb2.OUTCOME_DENIED)
        if seconds is not None:
            finish = at(begin + timedelta(seconds=seconds))
            await end(session, outcome=outcome, end_time=finish, figures=[figure("cost", "0.025", "USD")])

    return call


async def test_statistics_are_those_of_the_full_days_asked_for_and_of_today(run, statistics, folded) -> None:
    yesterday = MIDNIGHT - timedelta(days=1)
    await run(yesterday - timedelta(microseconds=1), 0.001)
    await run(yesterday, 3600)
    assert await folded() > 0
    await run(MIDNIGHT - timedelta(microseconds=1), 1.5, outcome=log_pb2.OUTCOME_FAILURE)
    await run(MIDNIGHT, 20, kind="letter")
    await run(MIDNIGHT + timedelta(hours=1), kind="letter")

    found = await statistics(days=1)
    # What is folded and what is not yet is counted alike.
    await folded()
    assert await statistics(days=1) == found
    assert (found.first_date, found.last_date) == ("2026-01-01", "2026-01-02")
    whole = found.sessions
    assert (whole.total, whole.succeeded, whole.failed, whole.running) == (4, 2, 1, 1)
    assert whole.success_rate == "0.666667"
    assert whole.mean_duration.ToTimedelta() == timedelta(seconds=3621.5) // 3
    exact = {"p50": 20, "p90": 3600, "p95": 3600, "p99": 3600}
    for name, seconds in exact.items():
        assert getattr(found.durations, name).ToTimedelta().total_seconds() == pytest.approx(seconds, rel=0.01)
    assert [(day.date, day.sessions.total, day.sessions.running) for day in found.days] == [
        ("2026-01-01", 2, 0),
        ("2026-01-02", 2, 1),
    ]
    assert [(kind.kind, kind.sessions.total, kind.sessions.failed) for kind in found.kinds] == [
        ("invoice_parsing", 2, 1),
        ("letter", 2, 0),
    ]
    assert [(event.type, event.total, event.failed) for event in found.events] == [
        ("parsing", 4, 0),
        ("validation", 4, 4),
    ]
    assert [(total.name, total.sum, total.unit, total.count) for total in found.figures] == [
        ("cost", "0.475", "USD", 7),
        ("tokens", "40", "", 4),
    ]

    letters = await statistics(days=1, kind="letter")
    assert (letters.sessions.total, [kind.kind for kind in letters.kinds]) == (2, ["letter"])
    assert letters.durations.p99.ToTimedelta().total_seconds() == pytest.approx(20, rel=0.01)
    assert (await statistics(days=2)).sessions.total == 5
    assert len((await statistics()).days) == 31
    nothing = await statistics(kind="unheard_of")
    assert (nothing.sessions, nothing.HasField("durations")) == (sessions_pb2.SessionFigures(), False)


async def test_many_replicas_count_every_session_once(replica, sessions, start, end, statistics, folded) -> None:
    async with replica(Ports(clock=FakeClock())) as other, other.channel() as channel:

        async def run_one(stub: SessionServiceStub) -> None:
            await end(await start(stub), stub)

        stubs = [sessions, SessionServiceStub(channel)] * 10
        await asyncio.gather(*(run_one(stub) for stub in stubs))
        rows = await folded()
        assert (await statistics()).sessions.succeeded == 20
        await asyncio.gather(*(run_one(stub) for stub in stubs))
        assert (await statistics()).sessions.succeeded == 40
        assert await folded() == rows
        assert (await statistics()).sessions.succeeded == 40


async def test_statistics_read_no_session(run, statistics, superuser) -> None:
    await run(MIDNIGHT, 20)
    before = await statistics()
    # What cannot be read can cost nothing, however much of it there is.
    await superuser.execute("REVOKE ALL ON session, session_event, session_file FROM audit_app")
    assert await statistics() == before
    assert before.sessions.succeeded == 1


async def test_statistics_are_for_operators_auditors_and_services(sessions_of, statistics, refused) -> None:
    for role in ("operator", "auditor"):
        async with sessions_of("olga", role) as stub:
            await statistics(stub)
    async with sessions_of("rita", "claimant", "reviewer", "compliance") as stub:
        with refused("PERMISSION_DENIED", "ROLE_MISSING"):
            await statistics(stub)
