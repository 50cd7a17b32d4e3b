"""The demo as a newcomer plays it: the command itself."""

import asyncio
import sys
from dataclasses import dataclass
from pathlib import Path

EXAMPLE = Path(__file__).parents[2] / "examples" / "fba-lost-inbound"


@dataclass(frozen=True, slots=True)
class PlayedDemo:
    """What one run of the demo printed, and the folder of what it left."""

    lines: list[str]
    folder: Path


async def play(data: Path, output: Path) -> PlayedDemo:
    """Play it on the stack of a folder; where none runs, the command starts one."""
    process = await asyncio.create_subprocess_exec(
        *(Path(sys.executable).parent / "proofloop", "demo", "--data", data, "--example", EXAMPLE, "--output", output),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()
    return PlayedDemo(said.decode().splitlines(), output)
