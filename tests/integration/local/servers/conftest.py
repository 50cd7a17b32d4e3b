"""A gRPC service behind mutual TLS, for the edge to translate."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.api import httpbody_pb2
from google.protobuf import any_pb2, descriptor_pb2, descriptor_pool, message_factory
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_status import rpc_status
from grpc_tools import protoc
from proofloop_local.authority import Authority
from proofloop_local.servers import EnvoyServer, Upstream

SERVICE = "proofloop.sample.v1.SampleService"
HERE = Path(__file__).parent
THIRD_PARTY = HERE.parents[3] / "protos" / "third_party"


@pytest.fixture(scope="session")
def contract(tmp_path_factory: pytest.TempPathFactory) -> descriptor_pb2.FileDescriptorSet:
    target = tmp_path_factory.mktemp("contract") / "sample.binpb"
    include = Path(protoc.__file__).parent / "_proto"
    arguments = [
        f"-I{HERE}",
        f"-I{THIRD_PARTY}",
        f"-I{include}",
        "--include_imports",
        f"--descriptor_set_out={target}",
    ]
    files = ["sample.proto", "google/rpc/error_details.proto"]
    assert protoc.main(["protoc", *arguments, *files]) == 0
    return descriptor_pb2.FileDescriptorSet.FromString(target.read_bytes())


class Sample:
    """Answers what shows how a call arrived."""

    def __init__(self, contract: descriptor_pb2.FileDescriptorSet) -> None:
        self.go_on = asyncio.Event()
        pool = descriptor_pool.DescriptorPool()
        for file in contract.file:
            pool.Add(file)
        self.messages = message_factory.GetMessageClassesForFiles(["sample.proto", "google/api/httpbody.proto"], pool)

    def message(self, kind: str, /, **fields: Any) -> Any:
        return self.messages[f"proofloop.sample.v1.{kind}"](**fields)

    async def get(self, request: Any, context: grpc.aio.ServicerContext) -> Any:
        if request.name == "missing":
            info = error_details_pb2.ErrorInfo(reason="THING_NOT_FOUND", domain="proofloop.local")
            detail = any_pb2.Any()
            detail.Pack(info)
            status = status_pb2.Status(code=code_pb2.NOT_FOUND, message="there is no such thing", details=[detail])
            await context.abort_with_status(rpc_status.to_status(status))
        metadata = {key: str(value) for key, value in context.invocation_metadata() or ()}
        metadata["peer"] = context.auth_context()["peer_spiffe_id"][0].decode()
        return self.message("GetThingResponse", name=request.name, metadata=metadata)

    async def put(self, request: Any, _context: grpc.aio.ServicerContext) -> Any:
        return self.message("PutThingResponse", size=len(request.content))

    async def watch(self, request: Any, _context: grpc.aio.ServicerContext) -> AsyncIterator[Any]:
        for number in range(request.count):
            if number == request.count - 1:
                await self.go_on.wait()
            yield self.message("WatchThingsResponse", number=number)

    async def upload(self, requests: AsyncIterator[Any], _context: grpc.aio.ServicerContext) -> Any:
        name, content_type, digest, size = "", "", hashlib.sha256(), 0
        async for request in requests:
            name, content_type = name or request.name, content_type or request.body.content_type
            digest.update(request.body.data)
            size += len(request.body.data)
        return self.message(
            "UploadThingResponse", name=name, content_type=content_type, sha256=digest.hexdigest(), size=size
        )

    async def download(self, _request: Any, _context: grpc.aio.ServicerContext) -> AsyncIterator[Any]:
        for part in (b"%PDF-", b"1.7"):
            body = httpbody_pb2.HttpBody(content_type="application/pdf", data=part)
            yield self.messages["proofloop.sample.v1.DownloadThingResponse"].FromString(
                b"\x0a" + bytes([body.ByteSize()]) + body.SerializeToString()
            )

    def handler(self) -> grpc.GenericRpcHandler:
        def serialise(message: Any) -> bytes:
            return bytes(message.SerializeToString())

        def reader(name: str) -> Any:
            return self.messages[f"proofloop.sample.v1.{name}"].FromString

        methods = {
            "GetThing": grpc.unary_unary_rpc_method_handler(self.get, reader("GetThingRequest"), serialise),
            "PutThing": grpc.unary_unary_rpc_method_handler(self.put, reader("PutThingRequest"), serialise),
            "WatchThings": grpc.unary_stream_rpc_method_handler(self.watch, reader("WatchThingsRequest"), serialise),
            "UploadThing": grpc.stream_unary_rpc_method_handler(self.upload, reader("UploadThingRequest"), serialise),
            "DownloadThing": grpc.unary_stream_rpc_method_handler(
                self.download, reader("DownloadThingRequest"), serialise
            ),
        }
        return grpc.method_handlers_generic_handler(SERVICE, methods)


@pytest.fixture
def sample(contract: descriptor_pb2.FileDescriptorSet) -> Sample:
    return Sample(contract)


@pytest.fixture
async def upstream(sample: Sample, authority: Authority) -> AsyncIterator[Upstream]:
    own = authority.credentials("sample")
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((sample.handler(),))
    servicer = health.aio.HealthServicer()
    await servicer.set("readiness", health_pb2.HealthCheckResponse.SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    pair = (own.key.read_bytes(), own.certificate.read_bytes())
    tls = grpc.ssl_server_credentials([pair], own.authority.read_bytes(), require_client_auth=True)
    port = server.add_secure_port("127.0.0.1:0", tls)
    await server.start()
    yield Upstream("sample", port, (SERVICE,))
    await server.stop(None)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "authority")


@pytest.fixture
async def edge(
    tmp_path: Path, authority: Authority, contract: descriptor_pb2.FileDescriptorSet, upstream: Upstream
) -> AsyncIterator[EnvoyServer]:
    envoy = EnvoyServer(
        tmp_path / "envoy",
        upstreams=[upstream],
        descriptors=contract,
        credentials=authority.credentials("envoy"),
    )
    async with envoy:
        yield envoy
