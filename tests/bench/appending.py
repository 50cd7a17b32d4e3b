"""AppendEntry, durable and proven, with everything that surrounds a call.

Against a bare grpc.aio echo of the same messages over the same mutual TLS; against pgbench, which inserts a row of the
same size into the same indexed table; and against the `eventsourcing` library, which saves the same bytes to the same
PostgreSQL. All take turns, so that a machine whose speed drifts drifts for all.
"""

import asyncio
import re
import statistics
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
from entries import request
from eventsourcing.persistence import StoredEvent
from eventsourcing.postgres import PostgresApplicationRecorder, PostgresDatastore
from proofloop.audit.v1.log_service_pb2_grpc import LogServiceStub
from proofloop_local.servers.postgres import Database
from proofloop_runtime.identity import TENANT as TENANT_HEADER
from report import Figure
from sequencing import open_log, to_draft
from stand import TENANT, Stand

RUNS = 7
SECONDS = 3.0
CALLERS = 64
METADATA = ((TENANT_HEADER, TENANT),)
CLIENTS = 16
"""Of pgbench, and threads of eventsourcing."""
ENTRIES = 50_000
"""Of the log without gRPC."""
ECHO = Path(__file__).with_name("echo.py")
ROW = 1_000
"""Bytes of an entry's leaf and sealed part."""

INSERT = """
    INSERT INTO pgbench_entry (
        tenant, index, entry_id, fingerprint, leaf, leaf_hash, append_time,
        claim_id, claim_sequence, entity_type, entity_id, action, outcome, pseudonym, sealed_part
    ) VALUES (
        :tenant, nextval('pgbench_index'), gen_random_uuid(), decode(repeat('61', 32), 'hex'),
        decode(repeat('61', 750), 'hex'), decode(repeat('61', 32), 'hex'), now(), gen_random_uuid(), 0, 'prompt',
        gen_random_uuid()::text, 'prompt.answered', 'success', repeat('0', 32), decode(repeat('61', 250), 'hex')
    );
"""


async def figures(stand: Stand) -> list[Figure]:
    """Measure."""
    database = await stand.new_database("appending")
    echo = await stand.spawn([sys.executable, str(ECHO)], stand.environment(database))
    audit = await stand.audit(database)
    stubs = [LogServiceStub(await stand.channel(process)) for process in (echo, audit)]
    found = []
    for callers, name in ((CALLERS, f"{CALLERS} callers"), (1, "1 caller")):
        for stub in stubs:
            await calls(stub, callers, 1.0)
        pairs = [
            (await calls(stubs[1], callers, SECONDS), await calls(stubs[0], callers, SECONDS)) for _ in range(RUNS)
        ]
        rate = [(ours[0], theirs[0]) for ours, theirs in pairs]
        p50 = [(ours[1] * 1e6, theirs[1] * 1e6) for ours, theirs in pairs]
        bar_rate, bar_p50 = (0.65, 1.8) if callers > 1 else (None, 2.2)
        found.append(Figure(f"AppendEntry, {name}", "1/s", "bare grpc.aio echo", rate, bar_rate))
        found.append(Figure(f"AppendEntry p50, {name}", "us", "bare grpc.aio echo", p50, bar_p50))
    return found + await _against_others(stand, database, stubs[1])


async def calls(stub: LogServiceStub, callers: int, seconds: float) -> tuple[float, float]:
    """Call as fast as `callers` callers can; return calls per second and the median latency in seconds."""
    latencies: list[float] = []
    end = time.perf_counter() + seconds

    async def caller() -> None:
        while (start := time.perf_counter()) < end:
            await stub.AppendEntry(request(), metadata=METADATA)
            latencies.append(time.perf_counter() - start)

    start = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(callers)))
    return len(latencies) / (time.perf_counter() - start), statistics.median(latencies)


async def _against_others(stand: Stand, database: Database, stub: LogServiceStub) -> list[Figure]:
    url = f"{stand.postgres.superuser_url.rpartition('/')[0]}/{database.name}"
    connection = await asyncpg.connect(url)
    await connection.execute("CREATE TABLE pgbench_entry (LIKE log_entry INCLUDING ALL); CREATE SEQUENCE pgbench_index")
    await connection.close()
    place = await stand.new_database("appending_alone")
    recorder = await asyncio.to_thread(_recorder, url)
    rates = []
    for _ in range(RUNS):
        served, _ = await calls(stub, CALLERS, SECONDS)
        alone = await _without_grpc(stand, place)
        rows = await _pgbench(stand, url)
        events = await asyncio.to_thread(_eventsourcing, recorder)
        rates.append((served, alone, rows, events))
    await asyncio.to_thread(recorder.datastore.close)
    served, alone, rows, events = zip(*rates, strict=True)
    name = f"AppendEntry, {CALLERS} callers"
    pgbench, eventsourcing = f"pgbench, one row, {CLIENTS} clients", f"eventsourcing, one event, {CLIENTS} threads"
    return [
        Figure(name, "1/s", pgbench, list(zip(served, rows, strict=True)), 2.0),
        Figure(name, "1/s", eventsourcing, list(zip(served, events, strict=True)), 8.0),
        Figure(f"{name}, without gRPC", "1/s", pgbench, list(zip(alone, rows, strict=True)), None),
        Figure(f"{name}, without gRPC", "1/s", eventsourcing, list(zip(alone, events, strict=True)), None),
    ]


async def _without_grpc(stand: Stand, place: Database) -> float:
    """Return entries per second, one at a time by each caller, from requests to receipts.

    The requests are there beforehand, as pgbench's row is and eventsourcing's event almost: what a caller does is not
    the log's.
    """
    requests = [request() for _ in range(ENTRIES)]
    following = iter(requests)
    async with open_log(stand, place) as log:
        await log.append([to_draft(request())])

        async def caller() -> None:
            for asked in following:
                await log.append([to_draft(asked)])

        start = time.perf_counter()
        await asyncio.gather(*(caller() for _ in range(CALLERS)))
        return ENTRIES / (time.perf_counter() - start)


async def _pgbench(stand: Stand, url: str) -> float:
    """Return rows per second."""
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as script:
        script.write(" ".join(INSERT.split()))
        script.flush()
        process = await asyncio.create_subprocess_exec(
            str(stand.postgres.programs / "pgbench"),
            *(
                "-n",
                "-M",
                "prepared",
                "-D",
                f"tenant={TENANT}",
                "-c",
                str(CLIENTS),
                "-j",
                "2",
                "-T",
                str(round(SECONDS)),
                "-f",
                script.name,
                url,
            ),
            stdout=asyncio.subprocess.PIPE,
        )
        output, _ = await process.communicate()
    found = re.search(rb"tps = ([0-9.]+)", output)
    if found is None:
        raise RuntimeError(f"pgbench ended with {process.returncode}")
    return float(found[1])


def _recorder(url: str) -> PostgresApplicationRecorder:
    parts = urlsplit(url)
    datastore = PostgresDatastore(
        dbname=parts.path.strip("/"),
        host=parts.hostname or "",
        port=parts.port or 5432,
        user=parts.username or "",
        password=parts.password or "",
        pool_size=CLIENTS,
        max_overflow=CLIENTS,
    )
    recorder = PostgresApplicationRecorder(datastore)
    recorder.create_table()
    return recorder


def _eventsourcing(recorder: PostgresApplicationRecorder) -> float:
    """Return events per second."""
    start = time.perf_counter()

    def save(_thread: int) -> int:
        saved = 0
        while time.perf_counter() < start + SECONDS:
            recorder.insert_events([StoredEvent(uuid4(), 1, "prompt.answered", bytes(ROW))])
            saved += 1
        return saved

    with ThreadPoolExecutor(CLIENTS) as threads:
        return sum(threads.map(save, range(CLIENTS))) / (time.perf_counter() - start)
