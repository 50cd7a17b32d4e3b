"""Run a parser on a hostile file in a process of its own, which may die.

Parsers of old and rich formats can be made to raise anything, to loop, and to swallow memory. The process
that runs them may use only so much memory and time and may write no file; when it fails, whatever the way,
the service learns just that. It is started anew (never forked: gRPC's threads do not survive a fork) and gets
the file as its standard input, no environment and no other descriptor.
"""

from __future__ import annotations

import asyncio
import json
import resource
import signal
import sys
import warnings
from dataclasses import asdict
from typing import TYPE_CHECKING, BinaryIO

from proofloop_packets.evidence.metadata import Limits

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_OUT_OF_MEMORY = 3
"""Exit code of the child; every other failure is its parser's."""


class ChildExhaustedError(Exception):
    """The process needed more time or memory than its limits allow."""


class ChildCrashedError(Exception):
    """The process ended with an error."""


async def run_confined(module: str, path: Path, limits: Limits) -> bytes:
    """What ``module``, run as a program that calls `serve_confined`, says of the file at ``path``.

    Raises ChildExhaustedError, ChildCrashedError, and OSError where the file cannot be opened or no process
    be started. The process never outlives the call, even a cancelled one.
    """
    with await asyncio.to_thread(path.open, "rb") as file:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-I",
            "-m",
            module,
            json.dumps(asdict(limits)),
            stdin=file,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={},
        )
    try:
        async with asyncio.timeout(limits.seconds):
            output, _ = await process.communicate()
    except TimeoutError as error:
        raise ChildExhaustedError from error
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode in {_OUT_OF_MEMORY, -signal.SIGXCPU, -signal.SIGKILL}:
        raise ChildExhaustedError
    if process.returncode != 0:
        raise ChildCrashedError
    return output


def serve_confined(answer: Callable[[BinaryIO, Limits], bytes]) -> None:
    """The child's whole program: limits as JSON in its one argument, the file on standard input."""
    limits = Limits(**json.loads(sys.argv[1]))
    _confine(limits)
    warnings.simplefilter("ignore")
    try:
        output = answer(sys.stdin.buffer, limits)
    except MemoryError:
        sys.exit(_OUT_OF_MEMORY)
    sys.stdout.buffer.write(output)


def _confine(limits: Limits) -> None:
    """Give up what a parser does not need: memory and time without bound, files to write, core dumps."""
    seconds = max(1, round(limits.seconds))
    for kind, bound in (
        (resource.RLIMIT_AS, limits.memory_bytes),
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        _, hard = resource.getrlimit(kind)
        allowed = bound if hard == resource.RLIM_INFINITY else min(bound, hard)
        resource.setrlimit(kind, (allowed, allowed))
