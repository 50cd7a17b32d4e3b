"""The real servers that the stack needs, each in one class of one shape (`Server`).

>>> async with PostgresServer(folder / "postgres") as postgres:
...     database = await postgres.create_database("audit", owner="audit_owner", application="audit")
"""

from proofloop_local.errors import ServerError
from proofloop_local.servers.envoy import EnvoyServer
from proofloop_local.servers.envoy_config import Upstream
from proofloop_local.servers.nats import NatsServer
from proofloop_local.servers.postgres import Database, PostgresServer
from proofloop_local.servers.seaweedfs import SeaweedServer
from proofloop_local.servers.server import Server

__all__ = [
    "Database",
    "EnvoyServer",
    "NatsServer",
    "PostgresServer",
    "SeaweedServer",
    "Server",
    "ServerError",
    "Upstream",
]
