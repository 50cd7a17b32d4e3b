"""Entries in bulk, by AppendEntries and ImportEntries, from end to end and without gRPC.

Against psql COPY of the same rows, those that the log has stored last, into a table with the same indexes.
"""

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
from appending import METADATA
from entries import request
from proofloop.audit.v1 import log_service_pb2 as contract
from proofloop.audit.v1.log_service_pb2_grpc import LogServiceStub
from proofloop_local.servers.postgres import Database
from report import Figure
from sequencing import open_log, to_draft
from stand import Stand

RUNS = 5
ENTRIES = 10_000
GROUP = 1_000
"""The most of AppendEntries."""
IMPORTED = 500
"""The most of a group of ImportEntries."""
AHEAD = 2
"""Groups on their way at a time."""


async def figures(stand: Stand) -> list[Figure]:
    """Measure."""
    alone, served = await stand.new_database("bulk"), await stand.new_database("bulk_served")
    stub = LogServiceStub(await stand.channel(await stand.audit(served)))
    without, through, streamed = [], [], []
    for _ in range(RUNS):
        ours = await _sequence(stand, alone)
        theirs = await _copy(stand, alone)
        without.append((ours, theirs))
        through.append((await _append(stub), theirs))
        streamed.append((await _import(stub), theirs))
    name = f"AppendEntries, {GROUP:,} at a time"
    return [
        Figure(f"{name}, without gRPC", "1/s", "psql COPY into the same indexed table", without, 0.35),
        Figure(f"{name}, end to end", "1/s", "psql COPY into the same indexed table", through, None),
        Figure("ImportEntries, end to end", "1/s", "psql COPY into the same indexed table", streamed, None),
    ]


async def _sequence(stand: Stand, database: Database) -> float:
    """Return entries per second without gRPC, from drafts to receipts."""
    drafts = [to_draft(request()) for _ in range(ENTRIES)]
    async with open_log(stand, database) as log:
        await log.append([to_draft(request())])
        room = asyncio.Semaphore(AHEAD)

        async def append(begin: int) -> None:
            async with room:
                await log.append(drafts[begin : begin + GROUP])

        start = time.perf_counter()
        await asyncio.gather(*(append(begin) for begin in range(0, ENTRIES, GROUP)))
        return ENTRIES / (time.perf_counter() - start)


async def _append(stub: LogServiceStub) -> float:
    """Return entries per second of AppendEntries."""
    groups = [contract.AppendEntriesRequest(entries=[request() for _ in range(GROUP)]) for _ in range(ENTRIES // GROUP)]
    room = asyncio.Semaphore(AHEAD)

    async def append(group: contract.AppendEntriesRequest) -> None:
        async with room:
            await stub.AppendEntries(group, metadata=METADATA)

    start = time.perf_counter()
    await asyncio.gather(*map(append, groups))
    return ENTRIES / (time.perf_counter() - start)


async def _import(stub: LogServiceStub) -> float:
    """Return entries per second of ImportEntries."""
    groups = [[request() for _ in range(IMPORTED)] for _ in range(ENTRIES // IMPORTED)]

    async def sent() -> AsyncIterator[contract.ImportEntriesRequest]:
        for group in groups:
            yield contract.ImportEntriesRequest(entries=group)

    start = time.perf_counter()
    async for _ in stub.ImportEntries(sent(), metadata=METADATA):
        pass
    return ENTRIES / (time.perf_counter() - start)


async def _copy(stand: Stand, database: Database) -> float:
    """Return rows per second of COPY, of the rows that were appended last."""
    url = f"{stand.postgres.superuser_url.rpartition('/')[0]}/{database.name}"
    connection = await asyncpg.connect(url)
    await connection.execute("CREATE TABLE IF NOT EXISTS copied_entry (LIKE log_entry INCLUDING ALL)")
    with tempfile.TemporaryDirectory() as folder:
        rows = Path(folder) / "rows"
        query = f"SELECT * FROM log_entry ORDER BY index DESC LIMIT {ENTRIES}"  # noqa: S608 (a constant)
        await connection.copy_from_query(query, output=rows)
        await connection.close()
        start = time.perf_counter()
        process = await asyncio.create_subprocess_exec(
            str(stand.postgres.programs / "psql"), "-qX", "-c", f"\\copy copied_entry FROM '{rows}'", url
        )
        status = await process.wait()
        seconds = time.perf_counter() - start
    if status != 0:
        raise RuntimeError(f"psql ended with {status}")
    return ENTRIES / seconds
