"""A small OTLP receiver: traces over HTTP in protobuf, kept in files.

It takes what OpenTelemetry's OTLP/HTTP exporter sends (OTLP 1.x, `POST /v1/traces`, gzip or plain) and nothing else.
"""

import asyncio
import zlib
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Self

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from proofloop_local.servers.ports import LOOPBACK, Ports
from proofloop_local.span_store import SpanStore
from proofloop_local.spans import from_otlp

TRACES = "/v1/traces"
# Taken so that exporters are content, and not kept.
METRICS = "/v1/metrics"
HEAD_BYTES = 16 * 1024
BODY_BYTES = 16 * 1024 * 1024
IDLE_SECONDS = 120


class Refused(Exception):
    """The request is answered with `status`, and the connection closed."""

    def __init__(self, status: HTTPStatus) -> None:
        super().__init__(status.phrase)
        self.status = status


class Receiver:
    """Listens on loopback and keeps the spans in `data`.

    Attributes:
        store: The spans.
    """

    def __init__(self, data: Path) -> None:
        self.data = data
        self.store = SpanStore(data)
        self._server: asyncio.Server | None = None
        self._ports = Ports(data / "ports.json", ["otlp"])
        self._connections: set[asyncio.Task[None]] = set()

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._ports["otlp"]

    @property
    def endpoint(self) -> str:
        """The base URL, what OTEL_EXPORTER_OTLP_ENDPOINT has to be."""
        return f"http://{LOOPBACK}:{self.port}"

    async def start(self) -> None:
        """Listen."""
        await asyncio.to_thread(self.data.mkdir, parents=True, exist_ok=True)
        self._ports.hold()
        self._server = await asyncio.start_server(self._serve, LOOPBACK, self.port, limit=HEAD_BYTES)

    async def stop(self) -> None:
        """Stop listening and end the connections."""
        if self._server is not None:
            self._server.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        self._server = None
        self._ports.release()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._connections.add(task)
            task.add_done_callback(self._connections.discard)
        try:
            while True:
                path, body = await asyncio.wait_for(read_request(reader), IDLE_SECONDS)
                if path == TRACES:
                    await asyncio.to_thread(self._keep, body)
                # The response message of either signal is empty.
                writer.write(answer(HTTPStatus.OK, b""))
                await writer.drain()
        except Refused as refusal:
            writer.write(answer(refusal.status, b""))
        except (asyncio.IncompleteReadError, TimeoutError, ConnectionError):
            pass  # the exporter has gone or has nothing to say any more
        finally:
            writer.close()

    def _keep(self, body: bytes) -> None:
        try:
            spans = list(from_otlp(ExportTraceServiceRequest.FromString(body)))
        except DecodeError:
            raise Refused(HTTPStatus.BAD_REQUEST) from None
        self.store.append(spans)


async def read_request(reader: asyncio.StreamReader) -> tuple[str, bytes]:
    """The path and the unpacked body of the next request.

    Raises Refused for what is no export, IncompleteReadError at the end of the connection.
    """
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except asyncio.LimitOverrunError:
        raise Refused(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE) from None
    first, *lines = head.split("\r\n")
    method, _, target = first.partition(" ")
    path = target.partition(" ")[0]
    if method != "POST" or path not in {TRACES, METRICS}:
        raise Refused(HTTPStatus.NOT_FOUND)
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    if headers.get("content-type") != "application/x-protobuf":
        raise Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
    length = headers.get("content-length", "")
    if not length.isdecimal():
        raise Refused(HTTPStatus.LENGTH_REQUIRED)
    if int(length) > BODY_BYTES:
        raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
    body = await reader.readexactly(int(length))
    return path, unpack(body) if headers.get("content-encoding") == "gzip" else body


def unpack(body: bytes) -> bytes:
    """Undo gzip, but not a bomb. Raises Refused."""
    unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        plain = unpacker.decompress(body, BODY_BYTES)
    except zlib.error:
        raise Refused(HTTPStatus.BAD_REQUEST) from None
    if not unpacker.eof:
        raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
    return plain


def answer(status: HTTPStatus, body: bytes) -> bytes:
    """An HTTP/1.1 response."""
    lines = [f"HTTP/1.1 {status.value} {status.phrase}", f"Content-Length: {len(body)}"]
    lines += ["Content-Type: application/x-protobuf"] if status is HTTPStatus.OK else ["Connection: close"]
    return "\r\n".join([*lines, "", ""]).encode() + body
