"""The servers that tests run against: containers where a Docker engine answers, else the same servers from wheels.

Both kinds are started, stopped and asked for addresses alike; tests that kill and restart a server use the one from the
wheel, whose process they can reach.
"""

import asyncio
import json
import os
from pathlib import Path

import docker
from docker.errors import DockerException
from proofloop_local.servers.nats import USER, NatsServer
from proofloop_local.servers.postgres import PostgresServer
from proofloop_local.servers.seaweedfs import ACCESS_KEY, SeaweedServer
from proofloop_local.servers.secrets import kept_secret
from testcontainers.core.container import DockerContainer
from testcontainers.core.wait_strategies import LogMessageWaitStrategy

POSTGRES_IMAGE = "postgres:18"
NATS_IMAGE = "nats:2.15.1"
SEAWEED_IMAGE = "chrislusf/seaweedfs:4.48"


class _Contained:
    """Runs a container in place of the process of a `Server`."""

    data: Path
    _container: DockerContainer

    def _describe(self) -> DockerContainer:
        raise NotImplementedError

    def _started(self, container: DockerContainer) -> None:
        raise NotImplementedError

    async def start(self) -> None:
        self.data.mkdir(parents=True, exist_ok=True)
        self._container = self._describe()
        await asyncio.to_thread(self._container.start)
        self._started(self._container)

    async def stop(self) -> None:
        await asyncio.to_thread(self._container.stop)


class PostgresContainer(_Contained, PostgresServer):
    """PostgreSQL in a container."""

    def _describe(self) -> DockerContainer:
        ready = LogMessageWaitStrategy("database system is ready to accept connections", times=2)
        password = kept_secret(self.data / "password")
        container = DockerContainer(POSTGRES_IMAGE).with_env("POSTGRES_PASSWORD", password)
        return container.with_exposed_ports(5432).waiting_for(ready)

    def _started(self, container: DockerContainer) -> None:
        self.port = int(container.get_exposed_port(5432))


class NatsContainer(_Contained, NatsServer):
    """NATS with JetStream in a container."""

    def _describe(self) -> DockerContainer:
        container = DockerContainer(NATS_IMAGE).with_exposed_ports(4222)
        container.with_command(f"--jetstream --user {USER} --pass {kept_secret(self.data / 'password')}")
        return container.waiting_for(LogMessageWaitStrategy("Server is ready"))

    def _started(self, container: DockerContainer) -> None:
        self.port = int(container.get_exposed_port(4222))


class SeaweedContainer(_Contained, SeaweedServer):
    """SeaweedFS in a container."""

    def _describe(self) -> DockerContainer:
        identity = {
            "name": ACCESS_KEY,
            "credentials": [{"accessKey": ACCESS_KEY, "secretKey": self.secret_key}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }
        settings = json.dumps({"identities": [identity]}).encode()
        container = DockerContainer(SEAWEED_IMAGE).with_exposed_ports(8333)
        container.with_copy_into_container(settings, Path("/etc/s3.json"))
        container.with_command("server -filer -s3 -s3.config=/etc/s3.json -master.telemetry=false")
        return container.waiting_for(LogMessageWaitStrategy("Start Seaweed S3 API Server"))

    def _started(self, container: DockerContainer) -> None:
        self._ports = {"s3": int(container.get_exposed_port(8333))}


def docker_answers() -> bool:
    """Tell whether there is a Docker engine."""
    if "DOCKER_HOST" not in os.environ and not Path("/var/run/docker.sock").exists():
        return False
    try:
        with_engine = docker.from_env(timeout=2)
    except DockerException:
        return False
    try:
        return bool(with_engine.ping())
    except DockerException:
        return False
    finally:
        with_engine.close()


CONTAINED = docker_answers()
Postgres: type[PostgresServer] = PostgresContainer if CONTAINED else PostgresServer
Nats: type[NatsServer] = NatsContainer if CONTAINED else NatsServer
Seaweed: type[SeaweedServer] = SeaweedContainer if CONTAINED else SeaweedServer
