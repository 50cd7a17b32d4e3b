"""GetCheckpoint, and the checkpoints that the log signs by itself."""

import asyncio
from datetime import timedelta

from cryptography.hazmat.primitives.serialization import load_pem_private_key
from proofloop.audit.v1 import log_service_pb2 as contract
from proofloop.audit.v1.log_service_pb2_grpc import LogServiceStub
from proofloop_runtime.application import Ports
from proofloop_runtime.testing import FakeClock
from proofloop_verifier import merkle
from proofloop_verifier.merkle import CompactRange
from proofloop_verifier.note import Checkpoint, Note, VerifierKey

ORIGIN = "proofloop.local/acme"


async def checkpoint_of(log: LogServiceStub):
    return (await log.GetCheckpoint(contract.GetCheckpointRequest())).checkpoint


async def test_a_checkpoint_is_a_note_signed_by_the_logs_key_under_its_origin(log, append_many, keys) -> None:
    receipts = await append_many(5)
    checkpoint = await checkpoint_of(log)
    key = load_pem_private_key(keys.log_key.read_bytes(), password=None)
    trusted = VerifierKey.of(ORIGIN, key.public_key())
    note = Note.parse(checkpoint.note.encode())
    assert note.verify([trusted]) == (trusted,)
    root = CompactRange().extend([receipt.leaf_hash for receipt in receipts]).root()
    assert Checkpoint.parse(note.text) == Checkpoint(ORIGIN, 5, root)
    assert (checkpoint.origin, checkpoint.tree_size, checkpoint.root_hash) == (ORIGIN, 5, root)
    assert checkpoint.verifier_key == str(trusted)


async def test_an_empty_log_has_the_checkpoint_of_the_empty_tree(log) -> None:
    checkpoint = await checkpoint_of(log)
    assert (checkpoint.tree_size, checkpoint.root_hash) == (0, merkle.EMPTY_ROOT)


async def test_a_checkpoint_covers_what_was_acknowledged_before(log, append) -> None:
    for count in range(1, 20):
        await append()
        assert (await checkpoint_of(log)).tree_size == count


async def test_tenants_have_origins_of_their_own(audit, append) -> None:
    await append()
    async with audit.channel(tenant="globex") as channel:
        checkpoint = await checkpoint_of(LogServiceStub(channel))
    assert (checkpoint.origin, checkpoint.tree_size) == ("proofloop.local/globex", 0)
    assert Note.parse(checkpoint.note.encode()).verify([VerifierKey.parse(checkpoint.verifier_key)])


async def test_every_log_that_was_appended_to_is_signed_by_itself(replica, superuser, new_request, eventually) -> None:
    async def signed() -> bool:
        rows = await superuser.fetch("SELECT tenant FROM log_checkpoint WHERE size = 1")
        return {row["tenant"] for row in rows} == {"acme", "globex"}

    async with replica(checkpoint_every=timedelta(milliseconds=10)) as service:
        for tenant in ("acme", "globex"):
            async with service.channel(tenant=tenant) as channel:
                await LogServiceStub(channel).AppendEntry(new_request())
        await eventually(signed)


async def test_a_log_that_stands_still_is_signed_once(log, append) -> None:
    await append()
    first = await checkpoint_of(log)
    assert await checkpoint_of(log) == first


async def test_checkpoints_of_two_replicas_never_contradict_each_other(
    replica, new_request, superuser, read_log, audit
) -> None:
    often = timedelta(milliseconds=5)
    async with (
        replica(checkpoint_every=often) as one,
        replica(checkpoint_every=often) as two,
        one.channel() as first,
        two.channel() as second,
    ):
        logs = LogServiceStub(first), LogServiceStub(second)

        async def caller(log: LogServiceStub) -> None:
            size = 0
            for _ in range(15):
                await log.AppendEntry(new_request())
                checkpoint = await checkpoint_of(log)
                assert checkpoint.tree_size > size
                size = checkpoint.tree_size

        await asyncio.gather(*(caller(log) for log in logs * 4))
    leaves = [entry.leaf_hash for entry in await read_log()]
    rows = await superuser.fetch("SELECT size, root, note FROM log_checkpoint WHERE tenant = 'acme' ORDER BY size")
    assert rows[-1]["size"] == 120
    for row in rows:
        root = CompactRange().extend(leaves[: row["size"]]).root()
        assert Checkpoint.parse(Note.parse(row["note"].encode()).text) == Checkpoint(ORIGIN, row["size"], root)


async def test_a_checkpoint_says_when_it_was_signed(replica) -> None:
    clock = FakeClock()
    async with replica(Ports(clock=clock)) as service, service.channel() as channel:
        checkpoint = await checkpoint_of(LogServiceStub(channel))
    assert checkpoint.sign_time.ToJsonString() == "2026-01-02T03:04:05Z"
