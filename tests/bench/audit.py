"""Figures of the audit log: `make bench-audit`, or `python tests/bench/audit.py PART …` for a part of them."""

import asyncio
import sys

import appending
import bulk
import consuming
import proving
import trees
import uvloop
from report import Figure, write
from stand import stand

PARTS = ("trees", "appending", "bulk", "consuming", "proving")


async def main(parts: list[str]) -> None:
    """Measure each part on servers of its own, write the figures."""
    figures: list[Figure] = []
    for part in parts:
        if part == "trees":
            figures += await asyncio.to_thread(trees.figures)
            continue
        measure = {"appending": appending, "bulk": bulk, "consuming": consuming, "proving": proving}[part].figures
        async with stand() as servers:
            figures += await measure(servers)
    write("audit", figures)


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1:] or list(PARTS)))
