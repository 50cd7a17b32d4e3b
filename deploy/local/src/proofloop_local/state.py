"""What a running stack tells others: `stack.json` in its data folder."""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from proofloop_local.authority import Credentials
from proofloop_local.errors import ServerError
from proofloop_local.files import SECRET, write_whole
from proofloop_local.keys import Keys

STATE = "stack.json"
LOCK = "lock"


@dataclass(frozen=True, slots=True)
class ObjectStore:
    """Where the S3 server is, path-style, and how to get in."""

    endpoint: str
    region: str
    access_key: str
    secret_key: str


@dataclass(frozen=True, slots=True)
class StackState:
    """Where everything is.

    Attributes:
        pid: The process that holds the stack.
        data: Its data folder, absolute.
        edge: Base URL of the REST interface.
        services: `host:port` of each service, gRPC over mutual TLS.
        tenants: The tenants it serves.
        databases: URL of each service's database as its owner.
        nats: URL of NATS, with password.
        objects: The object store.
        otlp: Base URL of the span receiver.
    """

    pid: int
    data: Path
    edge: str
    services: dict[str, str]
    tenants: tuple[str, ...]
    databases: dict[str, str]
    nats: str
    objects: ObjectStore
    otlp: str

    @property
    def keys(self) -> Keys:
        """The development keys."""
        return Keys(self.data / "keys")

    @property
    def client(self) -> Credentials:
        """The command line's certificate."""
        authority = self.data / "authority"
        return Credentials(authority / "ca.crt", authority / "cli" / "tls.crt", authority / "cli" / "tls.key")

    def write(self) -> None:
        """Tell others."""
        fields = asdict(self) | {"data": str(self.data)}
        write_whole(self.data / STATE, json.dumps(fields, indent=2).encode(), SECRET)

    @classmethod
    def read(cls, data: Path) -> Self:
        """What the stack in `data` told last."""
        fields: dict[str, Any] = json.loads((data / STATE).read_text())
        return cls(
            **fields
            | {
                "data": Path(fields["data"]),
                "tenants": tuple(fields["tenants"]),
                "objects": ObjectStore(**fields["objects"]),
            }
        )


def find_stack(data: Path) -> StackState | None:
    """The stack that runs in `data`, None when none does or it is not up yet."""
    try:
        with _locked(data):
            return None
    except BlockingIOError:
        return StackState.read(data) if (data / STATE).exists() else None
    except FileNotFoundError:
        return None


@contextmanager
def sole_stack(data: Path) -> Iterator[None]:
    """Keep every other stack out of `data`, until the block or the process ends, however it ends.

    Raises ServerError when another is in there.
    """
    # Evidence lies in there as it is.
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    (data / LOCK).touch()
    try:
        with _locked(data):
            (data / STATE).unlink(missing_ok=True)
            (data / LOCK).write_text(str(os.getpid()))
            yield
            (data / STATE).unlink(missing_ok=True)
    except BlockingIOError:
        pid = (data / LOCK).read_text()
        raise ServerError(
            f"A stack runs in {data} already (process {pid})", "Use that one, or stop it with Ctrl-C in its terminal"
        ) from None


@contextmanager
def _locked(data: Path) -> Iterator[None]:
    with (data / LOCK).open("r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
