"""The least that grpc.aio can do with the messages of AppendEntry: `python echo.py`, with the audit service's TLS."""

import json
import os
import sys
from pathlib import Path
from uuid import uuid4

import grpc
import grpc.aio
import uvloop
from proofloop.audit.v1 import log_pb2
from proofloop.audit.v1 import log_service_pb2 as contract
from proofloop_runtime.client import TlsFiles

SERVICE, METHOD = "proofloop.audit.v1.LogService", "AppendEntry"


async def serve(tls: TlsFiles) -> None:
    """Answer every entry with the same receipt."""
    answer = contract.AppendEntryResponse(
        receipt=log_pb2.EntryReceipt(entry_id=str(uuid4()), index=100_000, leaf_hash=bytes(32))
    )

    async def handle(_request: contract.AppendEntryRequest, _context: object) -> contract.AppendEntryResponse:
        return answer

    handler = grpc.unary_unary_rpc_method_handler(
        handle, contract.AppendEntryRequest.FromString, contract.AppendEntryResponse.SerializeToString
    )
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {METHOD: handler}),))
    port = server.add_secure_port("127.0.0.1:0", tls.server_credentials())
    await server.start()
    sys.stdout.write(json.dumps({"address": f"127.0.0.1:{port}"}) + "\n")
    sys.stdout.flush()
    await server.wait_for_termination()


if __name__ == "__main__":
    files = (Path(os.environ[f"AUDIT_TLS_{name}"]) for name in ("CERTIFICATE", "KEY", "AUTHORITY"))
    uvloop.run(serve(TlsFiles(*(file.read_bytes() for file in files))))
