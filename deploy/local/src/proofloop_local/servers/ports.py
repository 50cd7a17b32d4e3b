"""TCP ports on loopback that a server keeps over restarts, and keeps from every other stack."""

import json
import random
import socket
from collections.abc import Sequence
from pathlib import Path

from proofloop_local.errors import ServerError

LOOPBACK = "127.0.0.1"
# Below the ports that Linux hands to outgoing connections, so that a restarted server finds its port free.
CANDIDATES = range(10_240, 32_768)
ATTEMPTS = 1_000


class Ports:
    """The named ports of one server.

    A server takes seconds to start, and others may have been told its address by then. So its ports are held from
    before it starts until it is stopped for good: as names in Linux's abstract socket namespace, which no other stack
    can hold at the same time and which outlive no process.

    Args:
        file: Remembers the ports, for the next time.
        names: What they are for.
    """

    def __init__(self, file: Path, names: Sequence[str]) -> None:
        self._file = file
        self._names = tuple(names)
        self._numbers: dict[str, int] = {}
        self._reservations: list[socket.socket] = []

    def __getitem__(self, name: str) -> int:
        """The port called `name`, as last held. Raises KeyError before that."""
        return self._numbers[name]

    def hold(self) -> None:
        """Take the remembered ports if all are free, else others. Ports that are held stay.

        Raises ServerError when nearly every port is taken.
        """
        if self._reservations:
            return
        held = self._remembered() or self._new()
        self._numbers = dict(zip(self._names, held, strict=True))
        self._reservations = list(held.values())
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self._file.write_text(json.dumps(self._numbers))

    def release(self) -> None:
        """Let others have them."""
        for reservation in self._reservations:
            reservation.close()
        self._reservations = []

    def _remembered(self) -> dict[int, socket.socket]:
        if not self._file.exists():
            return {}
        known: dict[str, int] = json.loads(self._file.read_text())
        if tuple(known) != self._names:
            return {}
        held = _reserve(list(known.values()), len(known))
        if len(held) == len(known):
            return held
        for reservation in held.values():
            reservation.close()
        return {}

    def _new(self) -> dict[int, socket.socket]:
        # At random, so that stacks that start together seldom ask for the same one.
        held = _reserve(random.SystemRandom().sample(CANDIDATES, ATTEMPTS), len(self._names))
        if len(held) < len(self._names):
            raise ServerError("No free TCP port was found on 127.0.0.1", "Stop programs that hold many ports")
        return held


def is_free(port: int) -> bool:
    """Whether a server could listen on `port` of 127.0.0.1 now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True


def require_free(port: int) -> None:
    """Raise ServerError when a port that the caller wants is taken."""
    if not is_free(port):
        raise ServerError(
            f"Port {port} on 127.0.0.1 is taken by another program",
            "Stop that program or choose another port",
        )


def _reserve(ports: Sequence[int], count: int) -> dict[int, socket.socket]:
    """Reserve the first `count` of `ports` that are free and not reserved by anybody; fewer where there are fewer."""
    held: dict[int, socket.socket] = {}
    for port in ports:
        if len(held) == count:
            break
        reservation = socket.socket(socket.AF_UNIX)
        try:
            reservation.bind(f"\0proofloop/port/{port}")
        except OSError:
            reservation.close()
            continue
        if is_free(port):
            held[port] = reservation
        else:
            reservation.close()
    return held
