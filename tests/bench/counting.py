"""Statistics over 1,000,000 sessions, from end to end, against the second that an answer may take."""

import asyncio
import random
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import product

import asyncpg
from appending import METADATA
from proofloop.audit.v1.sessions_service_pb2 import GetStatisticsRequest
from proofloop.audit.v1.sessions_service_pb2_grpc import SessionServiceStub
from proofloop_audit.sessions import rollup
from proofloop_audit.sessions.domain import Act, Ending, EventDraft, Figure, Session, State, record
from proofloop_audit.sessions.rollup import Delta
from proofloop_runtime.call import CallerType
from proofloop_runtime.events import Actor
from proofloop_verifier.leaf import Outcome
from report import Figure as Measured
from stand import TENANT, Stand

SESSIONS = 1_000_000
DAYS = 366
KINDS = 10
RUNS = 7
MOST_SECONDS = 1.0
"""That an answer may take."""

_Key = tuple[object, ...]


async def figures(stand: Stand) -> list[Measured]:
    """Measure."""
    database = await stand.new_database("counting")
    sums = await asyncio.to_thread(_sums)
    connection = await asyncpg.connect(f"{stand.postgres.superuser_url.rpartition('/')[0]}/{database.name}")
    rows = [(TENANT, *key, count, amount) for key, (count, amount) in sums.items()]
    columns = ["tenant", "day", "kind", "measure", "key", "unit", "count", "amount"]
    await connection.copy_records_to_table("session_rollup", records=rows, columns=columns)
    await connection.close()
    stub = SessionServiceStub(await stand.channel(await stand.audit(database)))
    pairs = [(await _seconds(stub) * 1e3, MOST_SECONDS * 1e3) for _ in range(RUNS)]
    name = f"statistics over {SESSIONS:,} sessions, {DAYS} days and {KINDS} kinds"
    return [Measured(name, "ms", "1 s", pairs, 1.0)]


async def _seconds(stub: SessionServiceStub) -> float:
    start = time.perf_counter()
    answer = await stub.GetStatistics(GetStatisticsRequest(days=DAYS), metadata=METADATA)
    seconds = time.perf_counter() - start
    if answer.statistics.sessions.total != SESSIONS:
        raise RuntimeError(f"{answer.statistics.sessions.total} sessions were counted")
    return seconds


def _sums() -> dict[_Key, tuple[int, Decimal]]:
    """Return what the sessions add, summed up as the service does that."""
    counts: Counter[_Key] = Counter()
    amounts: defaultdict[_Key, Decimal] = defaultdict(Decimal)
    for delta, times in _deltas():
        key = (delta.day, delta.kind, delta.measure, delta.key, delta.unit)
        counts[key] += times * delta.count
        amounts[key] += times * delta.amount
    return {key: (count, amounts[key]) for key, count in counts.items()}


def _deltas() -> Iterator[tuple[Delta, int]]:
    """Return what the sessions add, and how often: each has a step with two figures, and a duration of its own."""
    chance = random.Random(7)  # noqa: S311 (durations)
    now = datetime.now(UTC)
    act = Act(now, Actor(CallerType.SERVICE, "exports"), "")
    tokens, pages = Figure("tokens", Decimal(1200), ""), Figure("pages", Decimal(4), "")
    step = EventDraft("generation", None, None, Outcome.SUCCESS, "", "", (tokens, pages))
    ending = Ending(State.SUCCEEDED, None, "", (), ())
    places = list(product(range(1, DAYS + 1), range(KINDS)))
    for number, (day, kind) in enumerate(places):
        start = now - timedelta(days=day)
        begun = Session("", None, "exports", f"kind_{kind}", "", "", None, start, (), "")
        sessions = SESSIONS // len(places) + (number < SESSIONS % len(places))
        recorded, event = record(begun, step, act, skew=timedelta())
        for delta in (*rollup.of_start(begun), *rollup.of_event(recorded, event)):
            yield delta, sessions
        for _ in range(sessions):
            duration = min(timedelta(seconds=chance.lognormvariate(1, 1.5)), timedelta(hours=12))
            ended = replace(recorded, state=State.SUCCEEDED, end_time=start + duration)
            for delta in rollup.of_end(ended, ending):
                yield delta, 1
