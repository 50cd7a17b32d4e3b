"""The edge translates what the contracts' annotations say, and believes nobody."""

import hashlib
from dataclasses import replace
from typing import Any

import grpc.aio
import httpx
import pytest
from proofloop_local.errors import ServerError
from proofloop_local.servers import EnvoyServer
from proofloop_local.servers.envoy_config import MESSAGE_BYTES
from proofloop_local.servers.probe import connection


async def test_a_get_reaches_the_service_with_envoys_certificate_and_the_callers_headers(
    edge: EnvoyServer,
) -> None:
    headers = {
        "authorization": "Bearer x",
        "traceparent": "00-" + "1" * 32 + "-" + "2" * 16 + "-01",
        "x-request-id": "r1",
    }
    async with httpx.AsyncClient(base_url=edge.url) as client:
        response = await client.get("/api/v1/things/pallet", headers=headers)
    metadata = response.json()["metadata"]
    assert response.headers["x-request-id"] == "r1"
    assert {name: metadata[name] for name in headers} == headers
    assert metadata["peer"] == "spiffe://proofloop.local/envoy"


async def test_a_caller_cannot_make_up_an_address_or_a_tenant(edge: EnvoyServer) -> None:
    forged = {"x-forwarded-for": "192.0.2.1", "x-proofloop-tenant": "acme"}
    async with httpx.AsyncClient(base_url=edge.url) as client:
        metadata = (await client.get("/api/v1/things/pallet", headers=forged)).json()["metadata"]
    assert metadata["x-forwarded-for"] == "127.0.0.1"
    assert "x-proofloop-tenant" not in metadata


async def test_an_error_arrives_as_a_status_with_its_details(edge: EnvoyServer) -> None:
    async with httpx.AsyncClient(base_url=edge.url) as client:
        response = await client.get("/api/v1/things/missing")
    assert response.status_code == 404
    assert response.json()["code"] == 5
    assert response.json()["details"][0]["reason"] == "THING_NOT_FOUND"


@pytest.mark.parametrize("path", ["/api/v1/nothing", "/api/v1/things/pallet?unknown=1", "/"])
async def test_what_is_in_no_contract_is_not_found_in_the_same_form(edge: EnvoyServer, path: str) -> None:
    async with httpx.AsyncClient(base_url=edge.url) as client:
        response = await client.get(path)
    assert response.status_code in {400, 404}
    assert response.json()["code"] in {3, 5}


async def test_a_streamed_answer_is_a_stream_of_server_sent_events_each_sent_at_once(
    edge: EnvoyServer, sample: Any
) -> None:
    async with (
        httpx.AsyncClient(base_url=edge.url) as client,
        client.stream("GET", "/api/v1/things:watch", params={"count": 3}) as response,
    ):
        assert response.headers["content-type"].startswith("text/event-stream")
        lines = response.aiter_lines()
        first = [await anext(lines) for _ in range(4)]
        assert first == ["data: {}", "", 'data: {"number":1}', ""]
        sample.go_on.set()
        assert [line async for line in lines] == ['data: {"number":2}', ""]


async def test_a_message_larger_than_the_limit_is_refused_before_it_has_come(edge: EnvoyServer) -> None:
    async with httpx.AsyncClient(base_url=edge.url) as client:
        good = await client.post("/api/v1/things", json={"content": "x" * 3_000_000})
    assert good.json() == {"size": "3000000"}
    async with connection(edge.port) as (reader, writer):
        head = "POST /api/v1/things HTTP/1.1\r\nHost: edge\r\nContent-Length: 1000000000\r\n\r\n"
        writer.write(head.encode() + b'{"content": "' + b"x" * MESSAGE_BYTES)
        answer = await reader.readuntil(b"\r\n\r\n") + await reader.readuntil(b"}")
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b'"code":8' in answer


async def test_grpc_passes_the_edge_as_it_is(edge: EnvoyServer, sample: Any) -> None:
    request = sample.message("GetThingRequest", name="pallet")
    async with grpc.aio.insecure_channel(edge.url.removeprefix("http://")) as channel:
        call = channel.unary_unary("/proofloop.sample.v1.SampleService/GetThing")
        answer = sample.messages["proofloop.sample.v1.GetThingResponse"].FromString(
            await call(request.SerializeToString(), timeout=10)
        )
    assert answer.metadata["x-forwarded-for"] == "127.0.0.1"


async def test_an_upload_larger_than_the_message_limit_streams_through(edge: EnvoyServer) -> None:
    content = b"evidence" * 2**20
    async with httpx.AsyncClient(base_url=edge.url, timeout=60) as client:
        response = await client.post(
            "/api/v1/things/pallet/content", content=content, headers={"content-type": "application/pdf"}
        )
    assert response.status_code == 200, response.text
    assert response.json() == {
        "name": "pallet",
        "contentType": "application/pdf",
        "sha256": hashlib.sha256(content).hexdigest(),
        "size": str(len(content)),
    }


async def test_a_download_is_the_plain_body(edge: EnvoyServer) -> None:
    async with httpx.AsyncClient(base_url=edge.url) as client:
        response = await client.get("/api/v1/things/pallet/content")
    assert response.headers["content-type"] == "application/pdf"
    assert response.content == b"%PDF-1.7"


async def test_a_service_that_is_down_is_unavailable(edge: EnvoyServer, closed_port: int) -> None:
    alone = EnvoyServer(
        edge.data.with_name("alone"),
        upstreams=[replace(edge._upstreams[0], port=closed_port)],
        descriptors=edge._descriptors,
        credentials=edge._credentials,
    )
    async with alone, httpx.AsyncClient(base_url=alone.url) as client:
        response = await client.get("/api/v1/things/pallet")
    assert response.status_code == 503
    assert response.json()["code"] == 14


async def test_a_service_with_another_services_certificate_is_not_believed(edge: EnvoyServer) -> None:
    impostor = EnvoyServer(
        edge.data.with_name("impostor"),
        upstreams=[replace(edge._upstreams[0], name="other")],
        descriptors=edge._descriptors,
        credentials=edge._credentials,
    )
    async with impostor, httpx.AsyncClient(base_url=impostor.url) as client:
        assert (await client.get("/api/v1/things/pallet")).status_code == 503


async def test_a_wanted_port_that_is_taken_is_refused_in_plain_words(edge: EnvoyServer) -> None:
    second = EnvoyServer(
        edge.data.with_name("second"),
        upstreams=edge._upstreams,
        descriptors=edge._descriptors,
        credentials=edge._credentials,
        port=edge.port,
    )
    with pytest.raises(ServerError, match=f"Port {edge.port} on 127.0.0.1 is taken"):
        await second.start()
