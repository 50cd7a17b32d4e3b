"""A child ends with its parent, however the parent ends."""

import asyncio
import os
import signal
import sys
import time
from itertools import repeat
from pathlib import Path

import pytest
from proofloop_local import launch
from proofloop_local.errors import ServerError
from proofloop_local.process import Account, Child, ended, is_running

PARENT = """
import sys, time
from pathlib import Path
from proofloop_local.process import Child
with open(sys.argv[1], "wb") as output:
    code = "import time; print('up', flush=True); time.sleep(600)"
    child = Child.spawn([sys.executable, "-c", code], output=output)
print(child.pid, flush=True)
time.sleep(600)
"""


async def started(file: Path) -> None:
    """Wait for the child's first word."""
    async with asyncio.timeout(30):
        await asyncio.to_thread(lambda: next(poll for poll in repeat(file) if said_something(poll)))


def said_something(file: Path) -> bool:
    time.sleep(0.01)
    return file.exists() and bool(file.read_bytes())


def spawn(tmp_path: Path, code: str, *, folder: Path | None = None) -> Child:
    with (tmp_path / "output").open("wb") as output:
        return Child.spawn([sys.executable, "-c", code], output=output, folder=folder)


async def test_a_killed_parent_leaves_no_child(tmp_path: Path) -> None:
    output = tmp_path / "output"
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", PARENT, output, stdout=asyncio.subprocess.PIPE)
    assert parent.stdout is not None
    child = int(await parent.stdout.readline())
    await started(output)
    parent.kill()
    await parent.wait()
    async with asyncio.timeout(30):
        await ended(child)
    assert not is_running(child)


async def test_a_child_that_comes_too_late_does_not_start(tmp_path: Path) -> None:
    stranger = str(os.getppid())
    tie = [sys.executable, "-I", "-S", launch.__file__, stranger, "9", str(os.geteuid()), str(os.getegid())]
    process = await asyncio.create_subprocess_exec(*tie, sys.executable, "-c", "open('ran', 'w')", cwd=tmp_path)
    assert await process.wait() == launch.ORPHANED
    assert not (tmp_path / "ran").exists()


async def test_stop_kills_a_child_that_does_not_listen(tmp_path: Path) -> None:
    deaf = "signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
    child = spawn(tmp_path, f"import signal, time; {deaf}")
    await started(tmp_path / "output")
    assert await child.stop(grace=0.1) == -signal.SIGKILL


async def test_stop_returns_the_status_of_a_child_that_listens(tmp_path: Path) -> None:
    polite = "signal.signal(signal.SIGTERM, lambda *_: sys.exit(7)); print('up', flush=True); signal.pause()"
    child = spawn(tmp_path, f"import signal, sys; {polite}")
    await started(tmp_path / "output")
    assert await child.stop() == 7


async def test_stop_ends_what_the_child_started(tmp_path: Path) -> None:
    family = (
        "import subprocess, sys, time;"
        "print(subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']).pid, flush=True);"
        "time.sleep(600)"
    )
    child = spawn(tmp_path, family)
    await started(tmp_path / "output")
    grandchild = int((tmp_path / "output").read_text())
    await child.stop()
    async with asyncio.timeout(30):
        await ended(grandchild)
    assert not is_running(grandchild)


async def test_ctrl_c_in_the_terminal_does_not_reach_a_child(tmp_path: Path) -> None:
    child = spawn(tmp_path, "print('up', flush=True); import time; time.sleep(600)")
    await started(tmp_path / "output")
    assert os.getpgid(child.pid) != os.getpgid(0)
    assert os.getsid(child.pid) != os.getsid(0)
    await child.kill()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
async def test_root_can_start_a_child_as_somebody_else_who_still_ends_with_us(tmp_path: Path) -> None:
    nobody = Account.unprivileged()
    with (tmp_path / "output").open("wb") as output:
        child = Child.spawn(["/bin/sh", "-c", "id -u; sleep 600"], output=output, account=nobody)
    await started(tmp_path / "output")
    assert int((tmp_path / "output").read_text()) == nobody.uid
    await child.kill()


def test_a_program_that_cannot_start_is_named() -> None:
    with pytest.raises(ServerError, match="cannot be started"), Path(os.devnull).open("wb") as output:
        Child.spawn(["/bin/true"], output=output, folder=Path("/nonexistent"))
