"""Figures of the audit log: `make bench-audit`.

AppendEntry, durable and sequenced, with every interceptor, against a bare grpc.aio echo of the same messages without
any, over the same mutual TLS. Both servers live side by side, each in a process of its own, and take turns, so that a
machine whose speed drifts drifts for both. The callers are one process.
"""

import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import grpc
import grpc.aio
import uvloop
from proofloop.audit.v1 import log_pb2
from proofloop.audit.v1 import log_service_pb2 as contract
from proofloop.audit.v1.log_service_pb2_grpc import LogServiceStub
from proofloop_local.authority import Authority
from proofloop_local.keys import make_keys
from proofloop_local.servers.nats import NatsServer
from proofloop_local.servers.postgres import PostgresServer
from proofloop_local.token import ISSUER
from proofloop_runtime.client import TlsFiles
from proofloop_runtime.identity import TENANT
from proofloop_runtime.migrate import migrate
from report import Figure, write

RUNS = 7
SECONDS = 3.0
CALLERS = 64
METHOD = "/proofloop.audit.v1.LogService/AppendEntry"
METADATA = ((TENANT, "acme"),)


def request() -> contract.AppendEntryRequest:
    """Return an entry as the other services write it."""
    return contract.AppendEntryRequest(
        request_id=str(uuid4()),
        draft=log_pb2.EntryDraft(
            actor=log_pb2.Actor(type=log_pb2.ACTOR_TYPE_USER, id="user-17"),
            action="prompt.answered",
            outcome=log_pb2.OUTCOME_SUCCESS,
            entity_type="prompt",
            entity_id=str(uuid4()),
            claim_id="0190a000-0000-7000-8000-000000000001",
            details_json='{"option_id":"received_short","shown_sha256":"' + "0" * 64 + '"}',
        ),
    )


async def calls(stub: LogServiceStub, callers: int, seconds: float) -> tuple[float, float]:
    """Call as fast as `callers` callers can; return calls per second and the median latency in seconds."""
    latencies: list[float] = []
    end = time.perf_counter() + seconds

    async def caller() -> None:
        while (start := time.perf_counter()) < end:
            await stub.AppendEntry(request(), metadata=METADATA)
            latencies.append(time.perf_counter() - start)

    start = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(callers)))
    return len(latencies) / (time.perf_counter() - start), statistics.median(latencies)


async def main() -> None:
    """Start the servers, measure in turns, write the figures."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="proofloop-bench-")))
        echo, audit = await _servers(stack, folder)
        figures = []
        for callers, name in ((CALLERS, "64 callers"), (1, "1 caller")):
            for stub in (echo, audit):
                await calls(stub, callers, 1.0)
            pairs = [(await calls(audit, callers, SECONDS), await calls(echo, callers, SECONDS)) for _ in range(RUNS)]
            rate = [(ours[0], theirs[0]) for ours, theirs in pairs]
            p50 = [(ours[1] * 1e6, theirs[1] * 1e6) for ours, theirs in pairs]
            bar_rate, bar_p50 = (0.6, None) if callers > 1 else (None, 2.5)
            figures.append(Figure(f"AppendEntry, {name}", "1/s", "bare grpc.aio echo", rate, bar_rate))
            figures.append(Figure(f"AppendEntry p50, {name}", "us", "bare grpc.aio echo", p50, bar_p50))
        write("audit", figures)


async def _servers(stack: AsyncExitStack, folder: Path) -> tuple[LogServiceStub, LogServiceStub]:
    postgres = await stack.enter_async_context(PostgresServer(folder / "postgres"))
    nats = await stack.enter_async_context(NatsServer(folder / "nats"))
    database = await postgres.create_database("audit", owner="audit_owner", application="audit_app")
    await migrate("proofloop_audit", database.owner_url, urlsplit(database.application_url).username or "")
    authority, keys = Authority(folder / "authority"), make_keys(folder / "keys")
    files = authority.credentials("audit")
    environment = {
        **os.environ,
        "AUDIT_DATABASE_URL": database.application_url,
        "AUDIT_NATS_URL": nats.url,
        "AUDIT_TLS_CERTIFICATE": str(files.certificate),
        "AUDIT_TLS_KEY": str(files.key),
        "AUDIT_TLS_AUTHORITY": str(files.authority),
        "AUDIT_TOKEN_KEYS": str(keys.token_key_set),
        "AUDIT_TOKEN_ISSUER": ISSUER,
        "AUDIT_TENANTS": '["acme"]',
        "AUDIT_LOG_DOMAIN": "proofloop.local",
        "AUDIT_LOG_KEY": str(keys.log_key),
        "AUDIT_MASTER_KEY": str(keys.master_key),
        "AUDIT_LOG_LEVEL": "INFO",
    }
    tls = _read(authority, "packets")
    addresses = [
        await _spawn(stack, [sys.executable, __file__, "echo"], environment),
        await _spawn(stack, [sys.executable, "-m", "proofloop_audit"], environment),
    ]
    stubs = []
    for address in addresses:
        channel = grpc.aio.secure_channel(address, tls.channel_credentials())
        await stack.enter_async_context(channel)
        stubs.append(LogServiceStub(channel))
    return stubs[0], stubs[1]


async def _spawn(stack: AsyncExitStack, command: list[str], environment: dict[str, str]) -> str:
    """Start a server and return the address that it logs."""
    process = await asyncio.create_subprocess_exec(*command, env=environment, stdout=asyncio.subprocess.PIPE)
    stack.push_async_callback(process.wait)
    stack.callback(process.terminate)
    assert process.stdout is not None
    while line := await process.stdout.readline():
        fields = json.loads(line)
        if "address" in fields:
            return fields["address"]
    raise RuntimeError(f"{command} did not start")


def _read(authority: Authority, name: str) -> TlsFiles:
    files = authority.credentials(name)
    return TlsFiles(files.certificate.read_bytes(), files.key.read_bytes(), files.authority.read_bytes())


async def echo(tls: TlsFiles) -> None:
    """Serve an echo: the least that grpc.aio can do with these messages."""
    answer = contract.AppendEntryResponse(
        receipt=log_pb2.EntryReceipt(entry_id=str(uuid4()), index=100_000, leaf_hash=bytes(32))
    )

    async def handle(_request: contract.AppendEntryRequest, _context: object) -> contract.AppendEntryResponse:
        return answer

    handler = grpc.unary_unary_rpc_method_handler(
        handle, contract.AppendEntryRequest.FromString, contract.AppendEntryResponse.SerializeToString
    )
    service, _, method = METHOD.strip("/").partition("/")
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {method: handler}),))
    port = server.add_secure_port("127.0.0.1:0", tls.server_credentials())
    await server.start()
    sys.stdout.write(json.dumps({"address": f"127.0.0.1:{port}"}) + "\n")
    sys.stdout.flush()
    await server.wait_for_termination()


if __name__ == "__main__":
    if sys.argv[1:] == ["echo"]:
        files = (Path(os.environ[f"AUDIT_TLS_{name}"]) for name in ("CERTIFICATE", "KEY", "AUTHORITY"))
        uvloop.run(echo(TlsFiles(*(file.read_bytes() for file in files))))
    else:
        uvloop.run(main())
