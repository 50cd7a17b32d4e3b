"""GetInclusionProof and GetConsistencyProof, checked by the verifier and against pymerkle."""

from datetime import UTC, datetime, timedelta
from itertools import combinations_with_replacement
from uuid import UUID, uuid4

import pytest
from proofloop.audit.v1 import log_service_pb2 as contract
from proofloop.audit.v1.log_service_pb2_grpc import LogServiceStub
from proofloop_verifier import merkle
from proofloop_verifier.leaf import Leaf, Outcome, SubjectCommitment
from proofloop_verifier.merkle import CompactRange
from proofloop_verifier.note import VerifierKey
from proofloop_verifier.tlog_proof import TlogProof
from pymerkle import InmemoryTree

START = datetime(2026, 1, 2, tzinfo=UTC)
SIZES = (1, 2, 3, 127, 255, 256, 257, 511, 512, 513)


def root_of(receipts, size: int) -> bytes:
    return CompactRange().extend([receipt.leaf_hash for receipt in receipts[:size]]).root()


async def test_every_entry_is_proven_at_every_size(log, append_many) -> None:
    receipts = await append_many(SIZES[-1])
    for size in SIZES:
        root = root_of(receipts, size)
        # All of them where that is quick, else the edges and a sample.
        indexes = range(size) if size <= 3 else {0, 1, 126, 127, 254, 255, 256, 257, 510, 511, *range(5, size, 40)}
        for index in (index for index in indexes if index < size):
            request = contract.GetInclusionProofRequest(entry_id=receipts[index].entry_id, tree_size=size)
            proof = (await log.GetInclusionProof(request)).proof
            assert (proof.index, proof.tree_size, proof.leaf_hash) == (index, size, receipts[index].leaf_hash)
            merkle.verify_inclusion(index, size, proof.leaf_hash, proof.hashes, root)


async def test_an_entry_is_proven_in_the_log_as_it_is(log, append_many) -> None:
    receipts = await append_many(257)
    root = root_of(receipts, 257)
    # Both ends of both tiles, every turn of the way up, and a sample.
    for receipt in (receipts[index] for index in {0, 1, 2, 4, 8, 16, 32, 64, *range(127, 256, 16), 254, 255, 256}):
        proof = (await log.GetInclusionProof(contract.GetInclusionProofRequest(entry_id=receipt.entry_id))).proof
        assert proof.tree_size == 257
        merkle.verify_inclusion(receipt.index, 257, receipt.leaf_hash, proof.hashes, root)


async def test_without_a_size_the_proof_also_comes_as_a_file_that_is_checked_without_the_log(
    replica, append_many
) -> None:
    # No checkpoint is signed but on demand.
    async with replica(checkpoint_every=timedelta(hours=1)) as service, service.channel() as channel:
        log = LogServiceStub(channel)
        checkpoint = (await log.GetCheckpoint(contract.GetCheckpointRequest())).checkpoint
        first = await append_many(3, log)
        sizes = []
        await log.GetCheckpoint(contract.GetCheckpointRequest())
        for receipt in (first[1], *await append_many(2, log), first[2]):
            entry = (await log.GetEntry(contract.GetEntryRequest(entry_id=receipt.entry_id))).entry
            response = await log.GetInclusionProof(contract.GetInclusionProofRequest(entry_id=receipt.entry_id))
            proof = TlogProof.parse(response.tlog_proof.encode())
            assert (proof.index, proof.extra) == (receipt.index, entry.leaf)
            signed, _ = proof.verify(merkle.leaf_hash(proof.extra), [VerifierKey.parse(checkpoint.verifier_key)])
            sizes.append((signed.size, response.proof.tree_size))
        request = contract.GetInclusionProofRequest(entry_id=first[0].entry_id, tree_size=2)
        assert (await log.GetInclusionProof(request)).tlog_proof == ""
    # The newest checkpoint serves where it covers the entry; where it does not, one is signed.
    assert sizes == [(3, 5), (5, 5), (5, 5), (5, 5)]


async def test_any_two_sizes_are_consistent(log, append_many) -> None:
    receipts = await append_many(SIZES[-1])
    for old, new in combinations_with_replacement(SIZES, 2):
        request = contract.GetConsistencyProofRequest(from_size=old, to_size=new)
        proof = (await log.GetConsistencyProof(request)).proof
        assert (proof.from_size, proof.to_size) == (old, new)
        merkle.verify_consistency(old, new, root_of(receipts, old), root_of(receipts, new), proof.hashes)


@pytest.fixture
async def long_log(superuser) -> list[Leaf]:
    """The log of acme with all but one of the tiles under its first hash at level 16, as the service would have it.

    Nobody can check what it says of people: it is a single one, who was erased.
    """
    pseudonym = "a" * 32
    leaf = Leaf(
        entry_id="",
        event_time=START,
        append_time=START,
        tenant="acme",
        service="packets",
        action="prompt.answered",
        outcome=Outcome.SUCCESS,
        entity_type="prompt",
        entity_id="prompt-1",
        subjects=(SubjectCommitment(pseudonym, bytes(32)),),
    )
    leaves = [leaf._replace(entry_id=str(UUID(int=number))) for number in range(255 * 256)]
    erased = {"service": "audit", "action": "subject.erased", "entity_type": "subject", "entity_id": pseudonym}
    leaves[-1] = leaves[-1]._replace(**erased)
    written = [leaf.to_bytes() for leaf in leaves]
    hashes = [merkle.leaf_hash(data) for data in written]
    entries = [
        {
            "tenant": "acme",
            "index": index,
            "entry_id": UUID(leaf.entry_id),
            "fingerprint": b"",
            "leaf": data,
            "leaf_hash": digest,
            "append_time": START,
            "entity_type": leaf.entity_type,
            "entity_id": leaf.entity_id,
            "action": leaf.action,
            "outcome": leaf.outcome,
            "pseudonym": pseudonym,
            "sealed_part": b"",
        }
        for index, (leaf, data, digest) in enumerate(zip(leaves, written, hashes, strict=True))
    ]
    rows = [tuple(entry.values()) for entry in entries]
    await superuser.copy_records_to_table("log_entry", records=rows, columns=list(entries[0]))
    completed = CompactRange().grow(hashes)[1]
    roots = [("acme", level, *row) for level in (4, 8, 12) for row in enumerate(completed[level])]
    await superuser.copy_records_to_table("log_subtree", records=roots)
    await superuser.execute("ANALYZE log_entry, log_subtree")
    return leaves


async def test_a_log_beyond_65536_entries_is_proven_from_the_roots_of_its_tiles(
    long_log, log, replica, append_many
) -> None:
    receipts = await append_many(220)
    # Another replica completes the tiles, from what it reads of them.
    async with replica() as other, other.channel() as channel:
        receipts += await append_many(293, LogServiceStub(channel))
    entry_ids = [*(leaf.entry_id for leaf in long_log), *(receipt.entry_id for receipt in receipts)]
    leaves = [merkle.leaf_hash(leaf.to_bytes()) for leaf in long_log] + [receipt.leaf_hash for receipt in receipts]
    for size in (65_535, 65_536, 65_537, 65_793):
        root = merkle.root_of(leaves[:size])
        for index in (0, 255, 256, 65_279, 65_280, 65_534):
            request = contract.GetInclusionProofRequest(entry_id=entry_ids[index], tree_size=size)
            proof = (await log.GetInclusionProof(request)).proof
            merkle.verify_inclusion(index, size, leaves[index], proof.hashes, root)
        proof = (await log.GetConsistencyProof(contract.GetConsistencyProofRequest(from_size=300, to_size=size))).proof
        merkle.verify_consistency(300, size, merkle.root_of(leaves[:300]), root, proof.hashes)
    checkpoint = (await log.GetCheckpoint(contract.GetCheckpointRequest())).checkpoint
    assert (checkpoint.tree_size, checkpoint.root_hash) == (65_793, root)


async def test_without_a_size_consistency_is_proven_up_to_now(log, append_many) -> None:
    await append_many(9)
    proof = (await log.GetConsistencyProof(contract.GetConsistencyProofRequest(from_size=4))).proof
    assert proof.to_size == 9


async def test_the_log_is_the_tree_that_pymerkle_builds_of_the_same_leaves(log, append_many, read_log) -> None:
    await append_many(300)
    tree = InmemoryTree(algorithm="sha256")
    entries = await read_log()
    for entry in entries:
        tree.append_entry(entry.leaf)
    checkpoint = (await log.GetCheckpoint(contract.GetCheckpointRequest())).checkpoint
    assert checkpoint.root_hash == tree.get_root()
    assert [entry.leaf_hash for entry in entries] == [tree.get_leaf(number + 1) for number in range(300)]


@pytest.mark.parametrize("size", [1, 4])
async def test_a_size_that_the_log_lacks_or_that_leaves_the_entry_out_is_out_of_range(
    log, append_many, refused, size
) -> None:
    receipts = await append_many(3)
    request = contract.GetInclusionProofRequest(entry_id=receipts[1].entry_id, tree_size=size)
    with refused("OUT_OF_RANGE", "TREE_SIZE_OUT_OF_RANGE") as refusal:
        await log.GetInclusionProof(request)
    assert refusal[0].metadata == {"tree_size": str(size), "log_size": "3"}


async def test_consistency_with_a_size_that_the_log_lacks_is_out_of_range(log, append_many, refused) -> None:
    await append_many(3)
    for sizes in ({"from_size": 4}, {"from_size": 1, "to_size": 4}):
        with refused("OUT_OF_RANGE", "TREE_SIZE_OUT_OF_RANGE") as refusal:
            await log.GetConsistencyProof(contract.GetConsistencyProofRequest(**sizes))
        assert refusal[0].metadata == {"tree_size": "4", "log_size": "3"}


async def test_an_entry_that_is_not_there_has_no_proof(log, append, refused) -> None:
    await append()
    with refused("NOT_FOUND", "ENTRY_NOT_FOUND"):
        await log.GetInclusionProof(contract.GetInclusionProofRequest(entry_id=str(uuid4())))
