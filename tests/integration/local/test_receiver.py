"""The receiver takes what OpenTelemetry's own exporter sends, and the trace command shows it."""

import asyncio
import gzip
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.trace import Link, SpanKind, Status, StatusCode
from proofloop_local.receiver import BODY_BYTES, Receiver
from proofloop_local.span_store import SpanStore
from proofloop_local.spans import Kind


@pytest.fixture
async def receiver(tmp_path: Path) -> AsyncIterator[Receiver]:
    async with Receiver(tmp_path / "traces") as running:
        yield running


def export(endpoint: str, compression: Compression) -> None:
    provider = TracerProvider(resource=Resource.create({"service.name": "packets"}))
    exporter = OTLPSpanExporter(endpoint=endpoint, compression=compression)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("test")
    with tracer.start_as_current_span("proofloop.packets.v1.PacketService/GetPacket", kind=SpanKind.SERVER) as parent:
        links = [Link(parent.get_span_context())]
        with tracer.start_as_current_span("SELECT packet", links=links, attributes={"rows": 2, "tags": ["a"]}) as child:
            child.set_status(Status(StatusCode.ERROR, "gone"))
    provider.shutdown()


@pytest.mark.parametrize("compression", [Compression.NoCompression, Compression.Gzip])
async def test_spans_arrive_with_everything_that_matters(receiver: Receiver, compression: Compression) -> None:
    await asyncio.to_thread(export, f"{receiver.endpoint}/v1/traces", compression)
    child, parent = SpanStore(receiver.data)
    assert (parent.service, parent.kind, parent.parent_id) == ("packets", Kind.SERVER, "")
    assert (child.parent_id, child.trace_id) == (parent.span_id, parent.trace_id)
    assert (child.failed, child.message) == (True, "gone")
    assert child.attributes == {"rows": 2, "tags": '["a"]'}
    assert child.links[0].span_id == parent.span_id
    assert parent.start <= child.start <= child.end <= parent.end


async def test_what_is_no_export_is_refused(receiver: Receiver) -> None:
    good = {"content-type": "application/x-protobuf"}
    path = "/v1/traces"
    async with httpx.AsyncClient(base_url=receiver.endpoint) as client:
        assert (await client.get(path)).status_code == 404
        assert (await client.post("/v1/logs", content=b"{}")).status_code == 404
        assert (await client.post(path, content=b"{}")).status_code == 415
        assert (await client.post(path, content=b"\xff", headers=good)).status_code == 400
        packed = {**good, "content-encoding": "gzip"}
        assert (await client.post(path, content=b"no gzip", headers=packed)).status_code == 400
        bomb = gzip.compress(bytes(BODY_BYTES + 1))
        assert (await client.post(path, content=bomb, headers=packed)).status_code == 413
    assert list(SpanStore(receiver.data)) == []


async def test_metrics_are_taken_and_not_kept(receiver: Receiver) -> None:
    async with httpx.AsyncClient(base_url=receiver.endpoint) as client:
        for _ in range(2):
            response = await client.post(
                "/v1/metrics", content=b"x", headers={"content-type": "application/x-protobuf"}
            )
            assert response.status_code == 200
    assert list(SpanStore(receiver.data)) == []


async def test_a_body_announced_too_large_is_refused_before_it_is_read(receiver: Receiver) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", receiver.port)
    head = f"POST /v1/traces HTTP/1.1\r\nContent-Type: application/x-protobuf\r\nContent-Length: {BODY_BYTES + 1}"
    writer.write(f"{head}\r\n\r\n".encode())
    assert b" 413 " in await reader.readline()
    writer.close()
    await writer.wait_closed()
