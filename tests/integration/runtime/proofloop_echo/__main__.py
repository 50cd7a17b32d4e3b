"""Run the echo service: `python -m proofloop_echo [failing]`."""

import asyncio
import logging
import sys
from typing import Any

from proofloop_runtime.server import run

from proofloop_echo.service import SECRET, Echo, make_application


async def fail() -> None:
    """Fail as a worker with a defect does."""
    raise RuntimeError(SECRET)


def born(echo: Echo) -> None:
    """Add a command that takes until the service is told to drain, and a little longer."""

    async def nap(request: Any) -> Any:
        logging.getLogger("proofloop_echo").info("napping")
        await echo.runtime.draining.wait()
        await asyncio.sleep(0.2)
        return await echo.answer(request)

    echo.commands["nap"] = nap


if __name__ == "__main__":
    run(make_application(born=born, workers=[fail] if sys.argv[1:] else []))
