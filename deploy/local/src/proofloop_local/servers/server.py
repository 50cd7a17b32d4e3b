"""The one shape of every server of the stack: start, stop, kill, restart, on loopback and free ports."""

import asyncio
import shutil
import signal
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import IO, ClassVar, Self

from proofloop_local.errors import ServerError
from proofloop_local.process import Child
from proofloop_local.servers.diagnosis import explain
from proofloop_local.servers.ports import Ports
from proofloop_local.servers.probe import PROBE_SECONDS

START_SECONDS = 60
ROOM_BYTES = 256 * 1024 * 1024
LOG_BYTES = 8 * 1024 * 1024


class Server(ABC):
    """A real server with its data in a folder of its own.

    What a start leaves in the folder is found again by the next start, in this process or a later one;
    addresses stay the same as long as nobody else takes the ports while it is stopped. Raises ServerError in plain
    words when it cannot start.

    Args:
        data: Its folder.
        ports: Names of the ports that it listens on.
    """

    title: str
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM
    death_signal: ClassVar[signal.Signals] = signal.SIGKILL
    stop_seconds: ClassVar[float] = 15
    poll_seconds: ClassVar[float] = 0.02

    def __init__(self, data: Path, ports: Sequence[str]) -> None:
        self.data = data.absolute()
        self._ports = Ports(self.data / "ports.json", ports)
        self._child: Child | None = None

    async def start(self) -> None:
        """Start and return once it answers."""
        try:
            await self._start()
        except OSError as error:
            raise explain(self.title, str(error), self.log) from error

    async def ended(self) -> None:
        """Return once it has ended, by itself or by us. Raises ServerError when it does not run."""
        if self._child is None:
            raise self._is_down()
        await self._child.wait()

    async def stop(self) -> None:
        """Stop in order, kill after `stop_seconds`, and let go of the ports. Stopping a stopped server does nothing."""
        await self._end()
        self._ports.release()

    async def kill(self) -> None:
        """End it at once, as `kill -9` does, leaving the data as they are and keeping the ports."""
        if self._child is not None:
            await self._child.kill()
            await asyncio.to_thread(remove, self._litter())
        self._child = None

    async def restart(self) -> None:
        """Stop if it runs, and start at the same addresses."""
        await self._end()
        await self.start()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    @property
    def log(self) -> Path:
        """The file with what the server itself says."""
        return self.data / "server.log"

    @property
    def pid(self) -> int:
        """The process id. Raises ServerError when it does not run."""
        if self._child is None:
            raise self._is_down()
        return self._child.pid

    @abstractmethod
    async def _prepare(self) -> None:
        """Write configuration, before every start; the ports are held by now."""

    @abstractmethod
    def _spawn(self, output: IO[bytes]) -> Child:
        """Start the program, its output going to `output`."""

    @abstractmethod
    async def _answers(self) -> bool:
        """Whether the server takes requests by now."""

    def _litter(self) -> list[Path]:
        """The files that an ended server leaves outside its folder."""
        return []

    async def _start(self) -> None:
        self.data.mkdir(parents=True, exist_ok=True)
        self._require_room()
        async with AsyncExitStack() as undo:
            undo.push_async_callback(self.stop)
            self._ports.hold()
            await self._prepare()
            before = self._rotate_log()
            with self.log.open("ab") as output:
                self._child = self._spawn(output)
            if not await self._answered(self._child):
                raise explain(self.title, self.log.read_bytes()[before:].decode(errors="replace"), self.log)
            undo.pop_all()

    async def _end(self) -> None:
        if self._child is not None:
            await self._child.stop(self.stop_signal, self.stop_seconds)
            await asyncio.to_thread(remove, self._litter())
        self._child = None

    async def _answered(self, child: Child) -> bool:
        """Wait until the server answers (true) or has ended (false)."""
        over = asyncio.create_task(child.wait())
        try:
            async with asyncio.timeout(START_SECONDS):
                while not over.done():
                    if await self._answers_soon():
                        return True
                    await asyncio.wait({over}, timeout=self.poll_seconds)
        except TimeoutError:
            await child.kill()
        finally:
            over.cancel()
        return False

    async def _answers_soon(self) -> bool:
        """Ask once. A question put to a server that is about to start may never be answered."""
        try:
            async with asyncio.timeout(PROBE_SECONDS):
                return await self._answers()
        except TimeoutError:
            return False

    def _is_down(self) -> ServerError:
        return ServerError(f"{self.title} does not run", "Start it first")

    def _require_room(self) -> None:
        free = shutil.disk_usage(self.data).free
        if free < ROOM_BYTES:
            raise ServerError(
                f"Only {free // 2**20} MiB are free for {self.title} in {self.data}",
                f"Free at least {ROOM_BYTES // 2**20} MiB there or choose another folder",
            )

    def _rotate_log(self) -> int:
        """Set aside a log that has grown large; the size of the log to write on."""
        size = self.log.stat().st_size if self.log.exists() else 0
        if size <= LOG_BYTES:
            return size
        self.log.replace(self.log.with_suffix(".log.1"))
        return 0


def remove(files: list[Path]) -> None:
    """Delete the files that are there."""
    for file in files:
        file.unlink(missing_ok=True)
