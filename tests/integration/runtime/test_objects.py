"""The object store port, on a real S3 server."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from proofloop_local.servers.seaweedfs import SeaweedServer
from proofloop_runtime.breaker import CLOSED, OPEN, Breakers
from proofloop_runtime.errors import DependencyUnavailable
from proofloop_runtime.object_settings import S3Settings
from proofloop_runtime.objects import (
    DEPENDENCY,
    PIECE_BYTES,
    SMALL_BYTES,
    ObjectNotFound,
    ObjectRequestRefused,
    S3Objects,
)
from proofloop_runtime.ports import SystemClock

MINUTE = timedelta(minutes=1)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SeaweedServer]:
    async with SeaweedServer(tmp_path_factory.mktemp("seaweedfs")) as running:
        await running.create_bucket("objects")
        yield running


@pytest.fixture
def objects(server: SeaweedServer) -> S3Objects:
    settings = S3Settings(server.endpoint, "objects", server.region, server.access_key, server.secret_key)
    return S3Objects(settings, Breakers(SystemClock()))


async def content(objects: S3Objects, key: str) -> list[bytes]:
    return [piece async for piece in await objects.get(key)]


async def put_if(objects: S3Objects, key: str, stored: bytes, replacing: str | None = None) -> bool:
    return await objects.put_if(key, stored, replacing=replacing, media_type="text/plain", cache_control="no-cache")


async def put(objects: S3Objects, key: str, stored: bytes | Path) -> None:
    await objects.put(key, stored, media_type="text/plain", file_name="ä b.txt")


async def test_bytes_come_back(objects) -> None:
    await put(objects, "bytes", b"hello")
    assert await content(objects, "bytes") == [b"hello"]
    assert await objects.size("bytes") == 5


async def test_a_file_of_many_parts_comes_back_in_bounded_pieces(objects, tmp_path: Path) -> None:
    written = bytes(range(256)) * 80_000
    (tmp_path / "file").write_bytes(written)
    await put(objects, "file", tmp_path / "file")
    pieces = await content(objects, "file")
    assert b"".join(pieces) == written
    assert max(map(len, pieces)) <= PIECE_BYTES


async def test_what_is_there_is_not_sent_again(objects, spans) -> None:
    await put(objects, "once", b"first")
    await put(objects, "once", b"other")
    assert await content(objects, "once") == [b"first"]
    assert len(spans.named("objects.put")) == 2


async def test_what_is_not_there_is_not_found_before_the_first_piece(objects) -> None:
    assert await objects.size("nothing") is None
    with pytest.raises(ObjectNotFound):
        await objects.get("nothing")


async def test_a_small_object_is_written_once_under_a_free_key(objects, spans) -> None:
    assert await objects.read("small") is None
    assert await put_if(objects, "small", b"first")
    assert not await put_if(objects, "small", b"other")
    assert (await objects.read("small")).content == b"first"
    assert len(spans.named("objects.get")) == len(spans.named("objects.put")) == 2


async def test_a_small_object_is_replaced_only_by_who_saw_what_is_there(objects) -> None:
    assert await put_if(objects, "state", b"one")
    seen = (await objects.read("state")).version
    assert await put_if(objects, "state", b"two", replacing=seen)
    assert not await put_if(objects, "state", b"three", replacing=seen)
    assert not await put_if(objects, "another", b"three", replacing=seen)
    assert (await objects.read("state")).content == b"two"


async def test_a_small_object_is_told_to_readers_as_what_it_is(objects) -> None:
    await put_if(objects, "typed", b"hello")
    async with httpx.AsyncClient() as browser:
        headers = (await browser.get(await objects.signed_url("typed", MINUTE))).headers
    assert (headers["content-type"], headers["cache-control"]) == ("text/plain", "no-cache")


async def test_a_long_object_is_not_read_whole(objects, tmp_path: Path) -> None:
    with (tmp_path / "long").open("wb") as file:
        file.truncate(SMALL_BYTES + 1)
    await put(objects, "long", tmp_path / "long")
    with pytest.raises(ValueError, match=f"{SMALL_BYTES + 1} bytes"):
        await objects.read("long")


async def test_a_folder_lists_its_keys_and_forgets_what_is_deleted(objects) -> None:
    for key in ("folder/a", "folder/b/c", "folder.d"):
        await put_if(objects, key, b"")
    assert {key async for key in objects.keys("folder")} == {"folder/a", "folder/b/c"}
    await objects.delete("folder/a")
    await objects.delete("folder/a")
    assert [key async for key in objects.keys("folder")] == ["folder/b/c"]
    assert [key async for key in objects.keys("none")] == []


async def test_a_signed_url_fetches_one_object_under_its_name(objects) -> None:
    await put(objects, "signed", b"hello")
    url = await objects.signed_url("signed", MINUTE)
    async with httpx.AsyncClient() as browser:
        response = await browser.get(url)
        assert (response.content, response.headers["content-type"]) == (b"hello", "text/plain")
        assert response.headers["content-disposition"] == "attachment; filename*=UTF-8''%C3%A4%20b.txt"
        assert (await browser.get(url.replace("signed", "bytes"))).status_code == 403
        assert (await browser.get(url.partition("?")[0])).status_code == 403


async def test_a_url_is_signed_for_where_callers_reach_the_store(server) -> None:
    settings = S3Settings(
        server.endpoint, "objects", server.region, server.access_key, server.secret_key, "https://files.example.com"
    )
    url = await S3Objects(settings, Breakers(SystemClock())).signed_url("key", MINUTE)
    assert url.startswith("https://files.example.com/objects/key?")


async def test_a_store_that_is_away_is_unavailable_until_its_breaker_opens(server) -> None:
    breakers = Breakers(SystemClock())
    settings = S3Settings("http://127.0.0.1:1", "objects", server.region, "a", "b")
    away = S3Objects(settings, breakers)
    for _ in range(2):
        with pytest.raises(DependencyUnavailable) as seen:
            await away.get("key")
        with pytest.raises(DependencyUnavailable):
            await put_if(away, "key", b"")
        with pytest.raises(DependencyUnavailable):
            await anext(away.keys("folder"))
    assert seen.value.metadata == {"dependency": DEPENDENCY}
    assert breakers.states() == {DEPENDENCY: OPEN}
    assert not await away.ready()


async def test_a_wrong_key_is_a_defect_and_not_an_outage(server) -> None:
    settings = S3Settings(server.endpoint, "objects", server.region, server.access_key, "wrong")
    breakers = Breakers(SystemClock())
    with pytest.raises(ObjectRequestRefused):
        await S3Objects(settings, breakers).size("key")
    assert breakers.states() == {DEPENDENCY: CLOSED}
