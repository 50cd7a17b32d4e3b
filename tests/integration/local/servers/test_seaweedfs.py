"""SeaweedFS from the wheel is a real S3 server: signatures count and objects last."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import httpx
import obstore
import pytest
import pytest_asyncio
from obstore.store import S3Store
from proofloop_local.process import is_running
from proofloop_local.servers import SeaweedServer

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SeaweedServer]:
    async with SeaweedServer(tmp_path_factory.mktemp("seaweedfs")) as running:
        await running.create_bucket("packets")
        yield running


def store(server: SeaweedServer) -> S3Store:
    return S3Store(
        "packets",
        endpoint=server.endpoint,
        region=server.region,
        access_key_id=server.access_key,
        secret_access_key=server.secret_key,
        virtual_hosted_style_request=False,
        client_options={"allow_http": True},
    )


async def content(server: SeaweedServer, path: str) -> bytes:
    return bytes(await (await obstore.get_async(store(server), path)).bytes_async())


async def test_objects_survive_kill_9_and_restart(server: SeaweedServer) -> None:
    await obstore.put_async(store(server), "a/b", b"evidence")
    endpoint = server.endpoint
    for end in (server.kill, server.stop):
        await end()
        await server.start()
        assert await content(server, "a/b") == b"evidence"
        assert server.endpoint == endpoint
        await obstore.put_async(store(server), "a/c", b"more")


async def test_a_bucket_takes_one_volume_so_that_a_small_disk_has_room_for_many(server: SeaweedServer) -> None:
    await obstore.put_async(store(server), "a", b"evidence")
    volumes = list((server.data / "store").glob("packets_*.dat"))
    assert len(volumes) == 1


async def test_creating_a_bucket_again_keeps_its_objects(server: SeaweedServer) -> None:
    await obstore.put_async(store(server), "a", b"evidence")
    await server.create_bucket("packets")
    assert await content(server, "a") == b"evidence"


async def test_a_signed_url_works_and_a_tampered_or_unsigned_one_does_not(server: SeaweedServer) -> None:
    for name in ("a", "b"):
        await obstore.put_async(store(server), name, b"evidence")
    url = await obstore.sign_async(store(server), "GET", "a", timedelta(minutes=1))
    async with httpx.AsyncClient() as client:
        assert (await client.get(url)).content == b"evidence"
        assert (await client.get(url.replace("/packets/a", "/packets/b"))).status_code == 403
        assert (await client.get(url.partition("?")[0])).status_code == 403


async def test_two_run_side_by_side_and_stopping_leaves_nothing(server: SeaweedServer, tmp_path: Path) -> None:
    async with SeaweedServer(tmp_path / "second") as second:
        pid, litter = second.pid, second._litter()
        assert any(file.exists() for file in litter)
        await second.create_bucket("packets")
        assert second.endpoint != server.endpoint
    assert not is_running(pid)
    assert not any(file.exists() for file in litter)
