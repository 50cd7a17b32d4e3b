"""The tree alone: what appending costs beyond the hashes that it cannot do without, and an independent library."""

import os
import time
from collections.abc import Callable
from hashlib import sha256

from proofloop_verifier.merkle import CompactRange, leaf_hash
from pymerkle import InmemoryTree
from report import Figure

RUNS = 7
LEAVES = 100_000
BATCH = 1_000


def figures() -> list[Figure]:
    """Measure."""
    leaves = [os.urandom(700) for _ in range(LEAVES)]
    against_limit, against_pymerkle = [], []
    for _ in range(RUNS):
        ours = LEAVES / _seconds(lambda: _grow(leaves))
        against_limit.append((ours, LEAVES / _seconds(lambda: _hash(leaves))))
        against_pymerkle.append((ours, LEAVES / _seconds(lambda: _append(leaves))))
    limit = "one leaf hash and one node hash per entry"
    return [
        Figure("tree growth", "1/s", limit, against_limit, 0.65),
        Figure("tree growth", "1/s", "pymerkle", against_pymerkle, 7.0),
    ]


def _grow(leaves: list[bytes]) -> bytes:
    tree = CompactRange()
    for begin in range(0, len(leaves), BATCH):
        tree, _ = tree.grow([leaf_hash(leaf) for leaf in leaves[begin : begin + BATCH]])
    return tree.root()


def _hash(leaves: list[bytes]) -> None:
    left = bytes(32)
    for leaf in leaves:
        left = sha256(b"\x01" + left + sha256(b"\x00" + leaf).digest()).digest()


def _append(leaves: list[bytes]) -> bytes:
    tree = InmemoryTree(algorithm="sha256")
    for leaf in leaves:
        tree.append_entry(leaf)
    state: bytes = tree.get_state()
    return state


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
