"""Child processes that end when we end, even when we are killed.

Each child runs in a session of its own, so Ctrl-C in the terminal reaches us alone and we stop the children
in order. The kernel's parent-death signal ends them when we cannot. Linux only: other systems have no such
signal.

That signal is tied to the thread that starts the child, so children are started on the main thread (an event
loop's thread, not a worker's).
"""

import asyncio
import contextlib
import os
import pwd
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Self

from proofloop_local import launch
from proofloop_local.errors import ServerError


@dataclass(frozen=True, slots=True)
class Account:
    """The user a child runs as."""

    uid: int
    gid: int

    @classmethod
    def own(cls) -> Self:
        """The user we run as."""
        return cls(os.geteuid(), os.getegid())

    @classmethod
    def unprivileged(cls) -> Self:
        """`nobody` when we are root, else the user we run as."""
        if os.geteuid() != 0:
            return cls.own()
        entry = pwd.getpwnam("nobody")
        return cls(entry.pw_uid, entry.pw_gid)

    @classmethod
    def owner(cls, folder: Path) -> Self:
        """The user whom `folder` belongs to."""
        status = folder.stat()
        return cls(status.st_uid, status.st_gid)


class Child:
    """A running program. Usable from any event loop, also from several one after the other."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    @classmethod
    def spawn(
        cls,
        command: Sequence[str | Path],
        *,
        output: IO[bytes],
        folder: Path | None = None,
        environment: Mapping[str, str] | None = None,
        account: Account | None = None,
        death_signal: signal.Signals = signal.SIGKILL,
    ) -> Self:
        """Start `command` with both its outputs going to `output`.

        `environment` replaces ours. `death_signal` is what the child gets when we end without stopping it.
        Raises ServerError where the system has no parent-death signal or the program cannot be started.
        """
        if sys.platform != "linux":
            raise ServerError("The local stack runs on Linux only", "Use a Linux machine, container or WSL")
        account = account or Account.own()
        tie = [sys.executable, "-I", "-S", launch.__file__]
        numbers = (os.getpid(), int(death_signal), account.uid, account.gid)
        try:
            process = subprocess.Popen(  # noqa: S603 - programs and arguments are ours, no shell
                [*tie, *(str(number) for number in numbers), *(str(part) for part in command)],
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        except OSError as error:
            raise ServerError(f"{command[0]} cannot be started: {error.strerror}", "See the message above") from error
        return cls(process)

    @property
    def pid(self) -> int:
        """The process id, which is also the id of its process group."""
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """The exit status, negative for a signal, None while it runs."""
        return self._process.poll()

    async def wait(self) -> int:
        """Wait for the end; the exit status."""
        await self._over()
        return self._process.wait()

    async def stop(self, stop_signal: signal.Signals = signal.SIGTERM, grace: float = 10.0) -> int:
        """Ask it to end, and kill its whole process group when `grace` seconds were not enough."""
        self._process.send_signal(stop_signal)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace):
                await self._over()
        return await self.kill()

    async def kill(self) -> int:
        """Kill its whole process group at once, as `kill -9` does."""
        # Until the leader is reaped the group's id cannot pass to strangers.
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
        return await self.wait()

    async def _over(self) -> None:
        if self._process.returncode is None:
            await ended(self.pid)


async def ended(pid: int) -> None:
    """Return once process `pid`, ours or not, has ended."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    loop = asyncio.get_running_loop()
    over = asyncio.Event()
    loop.add_reader(handle, over.set)
    try:
        await over.wait()
    finally:
        loop.remove_reader(handle)
        os.close(handle)


def is_running(pid: int) -> bool:
    """Whether process `pid` lives; one that has ended and waits to be reaped does not."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def processes_in(folder: Path) -> list[int]:
    """The ids of the processes whose working directory is `folder`."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if (entry / "cwd").samefile(folder):
                found.append(int(entry.name))
        except OSError:  # gone by now, or another user's
            continue
    return found
