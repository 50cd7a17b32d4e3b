"""A log that grows to 1,000,000 entries by ImportEntries: inclusion proofs from it, and the memory of its service."""

import random
import statistics
import time
from collections.abc import AsyncIterator

import asyncpg
from appending import METADATA
from bulk import IMPORTED
from entries import request
from proofloop.audit.v1 import log_service_pb2 as contract
from proofloop.audit.v1.log_service_pb2_grpc import LogServiceStub
from report import Figure
from stand import Process, Stand

SIZES = (1_000, 10_000, 100_000, 1_000_000)
RUNS = 7
PROOFS = 100
MOST_SECONDS = 0.005
"""That an inclusion proof may take at the median."""
MOST_MEMORY = 300e6
"""Bytes that the service may hold."""
PARTS = 10
"""Of the import: how much the service holds in each tells whether it grows."""


async def figures(stand: Stand) -> list[Figure]:
    """Measure; the yardsticks are the bars, for a proof and a service's memory have no other."""
    database = await stand.new_database("growing")
    audit = await stand.audit(database)
    stub = LogServiceStub(await stand.channel(audit))
    chance = random.Random(7)  # noqa: S311 (which entries are asked for)
    ids: list[str] = []
    found = []
    held: list[int] = []
    for size in SIZES:
        held += await _grow(stub, audit, ids, size)
        await _analyze(f"{stand.postgres.superuser_url.rpartition('/')[0]}/{database.name}")
        pairs = [(await _p50(stub, chance.choices(ids, k=PROOFS), size) * 1e6, MOST_SECONDS * 1e6) for _ in range(RUNS)]
        found.append(Figure(f"inclusion proof p50, {size:,} entries", "us", "5 ms", pairs, 1.0))
    # What was held after each group, in tenths of the import: the most of each.
    tenth = len(held) // PARTS
    most = [(max(held[begin : begin + tenth]) / 1e6, MOST_MEMORY / 1e6) for begin in range(0, tenth * PARTS, tenth)]
    name = f"resident memory while {SIZES[-1]:,} entries are imported, most of each tenth"
    return [*found, Figure(name, "MB", "300 MB", most, 1.0)]


async def _grow(stub: LogServiceStub, audit: Process, ids: list[str], size: int) -> list[int]:
    """Import up to a size; return how many bytes the service held after each group."""

    async def groups() -> AsyncIterator[contract.ImportEntriesRequest]:
        while len(ids) < size:
            entries = [request() for _ in range(IMPORTED)]
            ids.extend(entry.request_id for entry in entries)
            yield contract.ImportEntriesRequest(entries=entries)

    return [audit.resident() async for _ in stub.ImportEntries(groups(), metadata=METADATA)]


async def _analyze(url: str) -> None:
    """Do what autovacuum does within a minute: no log but that of a benchmark gets so long meanwhile."""
    connection = await asyncpg.connect(url)
    await connection.execute("ANALYZE log_entry, log_subtree")
    await connection.close()


async def _p50(stub: LogServiceStub, ids: list[str], size: int) -> float:
    """Return the median seconds of a proof."""
    latencies = []
    for entry_id in ids:
        start = time.perf_counter()
        await stub.GetInclusionProof(
            contract.GetInclusionProofRequest(entry_id=entry_id, tree_size=size), metadata=METADATA
        )
        latencies.append(time.perf_counter() - start)
    return statistics.median(latencies)
