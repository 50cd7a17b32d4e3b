"""Inclusion proofs from logs of 1,000 to 1,000,000 entries, from end to end."""

import random
import statistics
import time

from appending import METADATA
from bulk import GROUP
from entries import request
from proofloop.audit.v1 import log_service_pb2 as contract
from proofloop.audit.v1.log_service_pb2_grpc import LogServiceStub
from report import Figure
from stand import Stand

SIZES = (1_000, 10_000, 100_000, 1_000_000)
RUNS = 7
PROOFS = 100
MOST_SECONDS = 0.005
"""That an inclusion proof may take at the median."""


async def figures(stand: Stand) -> list[Figure]:
    """Measure; the yardstick is the bar, for a proof has no other."""
    database = await stand.new_database("proving")
    stub = LogServiceStub(await stand.channel(await stand.audit(database)))
    chance = random.Random(7)  # noqa: S311 (which entries are asked for)
    ids: list[str] = []
    found = []
    for size in SIZES:
        while len(ids) < size:
            group = contract.AppendEntriesRequest(entries=[request() for _ in range(GROUP)])
            answer = await stub.AppendEntries(group, metadata=METADATA)
            ids += [receipt.entry_id for receipt in answer.receipts]
        pairs = [(await _p50(stub, chance.choices(ids, k=PROOFS), size) * 1e6, MOST_SECONDS * 1e6) for _ in range(RUNS)]
        found.append(Figure(f"inclusion proof p50, {size:,} entries", "us", "5 ms", pairs, 1.0))
    return found


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
