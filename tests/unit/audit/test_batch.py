import json
from datetime import UTC, datetime, timedelta
from hashlib import sha256

from hypothesis import given
from hypothesis import strategies as st
from proofloop_audit.log.batch import Batch, Chain, Head
from proofloop_verifier import merkle
from proofloop_verifier.leaf import Leaf
from proofloop_verifier.merkle import CompactRange, Subtree

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
EMPTY = Head(CompactRange(), datetime.fromtimestamp(0, UTC))
CLAIMS = ["one", "two", "three", None]


@given(st.lists(st.lists(st.sampled_from(CLAIMS), min_size=1, max_size=20), max_size=6))
def test_however_entries_are_cut_into_batches_the_log_is_one(new_sealed, batches) -> None:
    head, chains = EMPTY, {claim: Chain() for claim in CLAIMS}
    placed = []
    for claims in batches:
        batch = Batch(head, chains, NOW)
        for claim in claims:
            batch.add(new_sealed(claim_id=claim))
        batch.grow()
        head = batch.after
        chains |= batch.chains
        placed += batch.entries
    assert [entry.receipt.index for entry in placed] == list(range(len(placed)))
    assert [entry.receipt.leaf_hash for entry in placed] == [merkle.leaf_hash(entry.leaf) for entry in placed]
    assert head.range == CompactRange().extend([entry.receipt.leaf_hash for entry in placed])
    last: dict[str, bytes] = {}
    counts = dict.fromkeys(CLAIMS, 0)
    for entry in placed:
        claim = Leaf.parse(entry.leaf).claim
        if claim is None:
            assert entry.entry.draft.claim_id is None
            continue
        assert (claim.sequence, claim.previous) == (counts[claim.claim_id], last.get(claim.claim_id))
        counts[claim.claim_id] += 1
        last[claim.claim_id] = entry.receipt.leaf_hash


def test_a_chain_goes_on_where_it_was(new_sealed) -> None:
    batch = Batch(EMPTY, {"one": Chain(17, b"\x11" * 32)}, NOW)
    batch.add(new_sealed(claim_id="one"))
    leaf = json.loads(batch.entries[0].leaf)
    assert (leaf["claim_sequence"], leaf["claim_previous"]) == (17, "11" * 32)
    assert batch.chains == {"one": Chain(18, batch.entries[0].receipt.leaf_hash)}


@given(st.timedeltas(min_value=-timedelta(days=1), max_value=timedelta(days=1)))
def test_the_append_time_never_goes_back(new_sealed, step) -> None:
    batch = Batch(Head(CompactRange(), NOW), {}, NOW + step)
    batch.add(new_sealed())
    leaf = Leaf.parse(batch.entries[0].leaf)
    batch.grow()
    assert batch.after.append_time == leaf.append_time == leaf.event_time == max(NOW, NOW + step)


@given(st.sampled_from([0, 1, 254, 255, 256, 65_279, 65_280, 65_535, 16_777_215]), st.integers(1, 300))
def test_the_roots_of_completed_subtrees_are_kept_at_every_fourth_level(new_sealed, size, count) -> None:
    roots = {tree: sha256(repr(tree).encode()).digest() for tree in merkle.root_subtrees(size)}
    batch = Batch(Head(CompactRange(size, tuple(roots.values())), NOW), {}, NOW)
    entry = new_sealed()
    for _ in range(count):
        batch.add(entry)
    batch.grow()
    expected = [
        Subtree(level, position)
        for level in (4, 8, 12, 16, 20, 24)
        for position in range(size >> level, (size + count) >> level)
    ]
    assert [tree for tree, _ in batch.subtrees] == expected
    if size == 0 and count >= 256:
        hashes = [placed.receipt.leaf_hash for placed in batch.entries]
        assert dict(batch.subtrees)[Subtree(8, 0)] == CompactRange().extend(hashes[:256]).root()
