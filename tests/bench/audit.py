"""Figures of the audit log: `make bench-audit`, or `python tests/bench/audit.py PART …` for a part of them."""

import asyncio
import sys

import appending
import bulk
import consuming
import counting
import growing
import trees
import uvloop
from report import Figure, write
from stand import stand

MEASURED = {module.__name__: module for module in (appending, bulk, consuming, growing, counting)}
PARTS = ("trees", *MEASURED)


async def main(parts: list[str]) -> None:
    """Measure each part on servers of its own, write the figures."""
    figures: list[Figure] = []
    for part in parts:
        if part == "trees":
            figures += await asyncio.to_thread(trees.figures)
            continue
        async with stand() as servers:
            figures += await MEASURED[part].figures(servers)
    write("audit", figures)


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1:] or list(PARTS)))
