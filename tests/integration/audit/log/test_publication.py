"""Logs as plain files in a real object store, mirrored and checked without the service."""

from collections.abc import AsyncIterator
from pathlib import Path

import grpc.aio
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from grpc_health.v1 import health_pb2, health_pb2_grpc
from proofloop.audit.v1 import log_service_pb2 as contract
from proofloop.audit.v1.log_service_pb2_grpc import LogServiceStub
from proofloop_audit.settings import AuditSettings
from proofloop_runtime.breaker import Breakers
from proofloop_runtime.objects import S3Objects
from proofloop_runtime.ports import SystemClock
from proofloop_runtime.testing import Service
from proofloop_verifier import tiles
from proofloop_verifier.log_copy import FolderCopy
from proofloop_verifier.log_report import LogReport, verify_log
from proofloop_verifier.log_watch import Sight, look
from proofloop_verifier.merkle import EMPTY_ROOT, leaf_hash
from proofloop_verifier.note import Checkpoint, Note, VerifierKey, sign
from proofloop_verifier.report import Verdict
from proofloop_verifier.tlog_proof import TlogProof

ORIGIN = "proofloop.local/acme"


class Store:
    """What the test sees of the bucket, as anybody who may read it."""

    def __init__(self, settings: AuditSettings) -> None:
        assert settings.s3 is not None
        self.objects = S3Objects(settings.s3, Breakers(SystemClock()))

    async def size(self, tenant: str = "acme") -> int:
        """How far the log is published."""
        stored = await self.objects.read(f"{tenant}/checkpoint")
        return Checkpoint.parse(Note.parse(stored.content).text).size if stored else 0

    async def names(self, tenant: str = "acme") -> set[str]:
        return {key.removeprefix(f"{tenant}/") async for key in self.objects.keys(tenant)}

    async def put(self, name: str, content: bytes) -> None:
        """Put something there that is not the service's."""
        options = {"media_type": "text/plain", "cache_control": "no-cache"}
        assert await self.objects.put_if(f"acme/{name}", content, replacing=None, **options)

    async def mirror(self, folder: Path, tenant: str = "acme") -> Path:
        """Copy everything, the checkpoint first, so that what it needs is there."""
        for name in sorted(await self.names(tenant)):
            stored = await self.objects.read(f"{tenant}/{name}")
            assert stored is not None
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(stored.content)
        return folder


@pytest.fixture
def store(publishing: AuditSettings) -> Store:
    return Store(publishing)


@pytest.fixture
async def publisher(replica, publishing: AuditSettings) -> AsyncIterator[Service]:
    async with replica(base=publishing) as service:
        yield service


@pytest.fixture
def published(store: Store, eventually):
    """Waits until so many entries are published."""

    async def wait(size: int) -> None:
        async def there() -> bool:
            return await store.size() == size

        await eventually(there)

    return wait


@pytest.fixture
def forked(eventually, caplog):
    """Waits until the service logs that what is published contradicts the log; returns where."""

    async def wait() -> str:
        async def logged() -> list[str]:
            return [record.place for record in caplog.records if record.message.startswith("what is published")]

        return (await eventually(logged))[0]

    return wait


async def health_of(service: Service, name: str) -> bool:
    async with grpc.aio.insecure_channel(service.running.health_address) as channel:
        answer = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service=name))
    return answer.status == health_pb2.HealthCheckResponse.SERVING


async def key_of(log: LogServiceStub) -> VerifierKey:
    response = await log.GetCheckpoint(contract.GetCheckpointRequest())
    return VerifierKey.parse(response.checkpoint.verifier_key)


def verified(folder: Path, key: VerifierKey) -> LogReport:
    report = verify_log(FolderCopy(folder), [key])
    assert (report.verdict, report.findings) == (Verdict.VERIFIED, ())
    return report


async def test_a_log_grows_in_the_store_over_restarts_and_is_verified_and_watched_without_the_service(
    replica, publishing, store, published, append_many, tmp_path
) -> None:
    note, before = None, 0
    for sizes in ((1,), (255, 256), (300, 700)):
        async with replica(base=publishing) as service, service.channel() as channel:
            log = LogServiceStub(channel)
            key = await key_of(log)
            for size in sizes:
                await append_many(size - before, log, claim_id="0198a4f2-0000-7000-8000-000000000001")
                await published(size)
                before = size
        copy = FolderCopy(await store.mirror(tmp_path / str(before)))
        assert verified(tmp_path / str(before), key).entries_checked == before
        seen = look(copy, [key], note)
        assert seen.sight is (Sight.GREW if note else Sight.FIRST)
        note = seen.seen
    expected = {tile.path for tile in tiles.tiles_of(700)} | {"checkpoint"}
    # Of a tile that is not full yet, what earlier checkpoints needed is kept.
    assert await store.names() == expected | {"tile/1/000.p/1"}


async def test_what_a_crash_left_behind_is_finished_and_what_is_full_is_tidied(
    replica, publishing, store, published, append_many, tmp_path
) -> None:
    async with replica() as quiet, quiet.channel() as channel:
        log = LogServiceStub(channel)
        receipts = await append_many(600, log)
        key = await key_of(log)
    # As left by a publisher that died before the checkpoint, at 300 entries.
    hashes = [receipt.leaf_hash for receipt in receipts]
    await store.put("tile/0/000", b"".join(hashes[:256]))
    await store.put("tile/0/001.p/44", b"".join(hashes[256:300]))
    async with replica(base=publishing):
        await published(600)
    async with replica(base=publishing, tenants=("acme",)) as service, service.channel() as channel:
        await append_many(1, LogServiceStub(channel))
        await published(601)
    verified(await store.mirror(tmp_path), key)
    assert "tile/0/001.p/44" not in await store.names()


async def test_another_tenants_log_stands_under_its_own_name(
    publisher, store, append_many, eventually, tmp_path
) -> None:
    async with publisher.channel(tenant="globex") as channel:
        log = LogServiceStub(channel)
        await append_many(3, log)
        key = await key_of(log)

        async def there() -> bool:
            return await store.size("globex") == 3

        await eventually(there)
    assert verified(await store.mirror(tmp_path, "globex"), key).signed.checkpoint.origin == "proofloop.local/globex"


@pytest.mark.parametrize("name", ["tile/0/000", "tile/entries/001.p/44", "checkpoint"])
async def test_what_somebody_else_put_there_is_never_overwritten_and_appends_go_on(
    replica, publishing, store, append_many, forked, eventually, name
) -> None:
    signer = Ed25519PrivateKey.generate()
    foreign = sign(Checkpoint(ORIGIN, 0, EMPTY_ROOT).to_text(), ORIGIN, signer).to_bytes()
    await store.put(name, foreign)
    async with replica(base=publishing) as service, service.channel() as channel:
        log = LogServiceStub(channel)
        await append_many(300, log)
        assert await forked() == f"acme/{name}"
        await append_many(10, log)
        # The other tenant's log is another log.
        async with service.channel(tenant="globex") as other:
            await append_many(1, LogServiceStub(other))

            async def there() -> bool:
                return await store.size("globex") == 1

            await eventually(there)
        if name == "checkpoint":

            async def unready() -> bool:
                return not await health_of(service, "publication") and not await health_of(service, "readiness")

            await eventually(unready)
    assert (await store.objects.read(f"acme/{name}")).content == foreign
    if name != "checkpoint":
        assert "checkpoint" not in await store.names()


@pytest.mark.parametrize("appended", [5, 15])
async def test_a_log_that_is_not_what_was_published_of_it_is_not_published_any_more(
    replica, publishing, store, published, append_many, superuser, forked, appended
) -> None:
    async with replica(base=publishing) as service, service.channel() as channel:
        await append_many(300, LogServiceStub(channel))
        await published(300)
    # As after a restore of an older backup.
    await superuser.execute("DELETE FROM log_entry WHERE tenant = 'acme' AND index >= 290")
    await superuser.execute("DELETE FROM log_checkpoint WHERE tenant = 'acme'")
    async with replica() as quiet, quiet.channel() as channel:
        await append_many(appended, LogServiceStub(channel))
    async with replica(base=publishing):
        assert await forked() == "acme/checkpoint"
        assert await store.size() == 300


@pytest.mark.parametrize(("index", "place"), [(7, "acme, entries 0 to 255"), (290, "acme/checkpoint")])
async def test_no_checkpoint_is_published_of_entries_that_were_changed_in_the_database(
    replica, publishing, store, append_many, superuser, forked, index, place
) -> None:
    async with replica() as quiet, quiet.channel() as channel:
        await append_many(300, LogServiceStub(channel))
        await key_of(LogServiceStub(channel))
    forged = await superuser.fetchval("SELECT leaf FROM log_entry WHERE tenant = 'acme' AND index = 8") + b" "
    await superuser.execute(
        "UPDATE log_entry SET leaf = $1, leaf_hash = $2 WHERE tenant = 'acme' AND index = $3",
        forged,
        leaf_hash(forged),
        index,
    )
    async with replica(base=publishing):
        assert await forked() == place
    # A tile that is full is held to its stored root before it is written; the last ones to the signed root.
    assert await store.names() == (
        set() if index < 256 else {"tile/0/000", "tile/entries/000", "tile/entries/001.p/44"}
    )


async def test_appends_and_proofs_go_on_while_the_store_is_down(
    replica, publishing, closed_port, append_many, spans, eventually
) -> None:
    away = {"s3_endpoint": f"http://127.0.0.1:{closed_port}"}
    async with replica(base=publishing, **away) as service, service.channel() as channel:
        log = LogServiceStub(channel)
        await append_many(300, log)

        async def tried() -> bool:
            return bool(spans.named("audit.publish"))

        await eventually(tried)
        receipts = await append_many(10, log)
        request = contract.GetInclusionProofRequest(entry_id=receipts[0].entry_id)
        response = await log.GetInclusionProof(request)
        proof = TlogProof.parse(response.tlog_proof.encode())
        checkpoint, _ = proof.verify(leaf_hash(proof.extra), [await key_of(log)])
        assert (proof.index, response.proof.tree_size) == (300, 310)
        assert checkpoint.size > 300
        assert await health_of(service, "readiness")
