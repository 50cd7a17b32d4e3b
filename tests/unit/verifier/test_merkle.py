from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st
from proofloop_verifier.merkle import (
    EMPTY_ROOT,
    CompactRange,
    ProofError,
    Subtree,
    consistency_proof,
    consistency_subtrees,
    inclusion_proof,
    inclusion_subtrees,
    leaf_hash,
    node_hash,
    root_of,
    root_subtrees,
    verify_consistency,
    verify_inclusion,
)
from pymerkle import InmemoryTree

# The eight leaves of the certificate-transparency project's tests, and the roots of the first one to eight.
CT_LEAVES = [
    bytes.fromhex(leaf)
    for leaf in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
CT_ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
# (leaf, tree size, path), same source.
CT_INCLUSION = [
    (0, 1, []),
    (
        0,
        8,
        [
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ],
    ),
    (
        5,
        8,
        [
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ],
    ),
    (2, 3, ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"]),
]
# (old size, new size, proof), same source.
CT_CONSISTENCY = [
    (1, 1, []),
    (
        1,
        8,
        [
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ],
    ),
    (
        6,
        8,
        [
            "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ],
    ),
    (
        2,
        5,
        [
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        ],
    ),
]


def hashes_of(count: int) -> list[bytes]:
    return [leaf_hash(b"leaf %d" % number) for number in range(count)]


def naive_root(hashes: list[bytes]) -> bytes:
    """MTH of RFC 6962 §2.1, word for word."""
    if not hashes:
        return sha256(b"").digest()
    if len(hashes) == 1:
        return hashes[0]
    k = largest_power_below(len(hashes))
    return node_hash(naive_root(hashes[:k]), naive_root(hashes[k:]))


def naive_path(m: int, hashes: list[bytes]) -> list[bytes]:
    """PATH of RFC 6962 §2.1.1."""
    if len(hashes) == 1:
        return []
    k = largest_power_below(len(hashes))
    if m < k:
        return [*naive_path(m, hashes[:k]), naive_root(hashes[k:])]
    return [*naive_path(m - k, hashes[k:]), naive_root(hashes[:k])]


def naive_subproof(m: int, hashes: list[bytes], complete: bool) -> list[bytes]:
    """SUBPROOF of RFC 6962 §2.1.2."""
    if m == len(hashes):
        return [] if complete else [naive_root(hashes)]
    k = largest_power_below(len(hashes))
    if m <= k:
        return [*naive_subproof(m, hashes[:k], complete), naive_root(hashes[k:])]
    return [*naive_subproof(m - k, hashes[k:], False), naive_root(hashes[:k])]


def largest_power_below(number: int) -> int:
    power = 1
    while power * 2 < number:
        power *= 2
    return power


def fetch(subtrees: list[Subtree], hashes: list[bytes]) -> dict[Subtree, bytes]:
    return {
        subtree: naive_root(hashes[subtree.position << subtree.level : (subtree.position + 1) << subtree.level])
        for subtree in subtrees
    }


def inclusion(index: int, hashes: list[bytes]) -> list[bytes]:
    needed = inclusion_subtrees(index, len(hashes))
    return inclusion_proof(index, len(hashes), fetch(needed, hashes))


def consistency(old: int, hashes: list[bytes]) -> list[bytes]:
    needed = consistency_subtrees(old, len(hashes))
    return consistency_proof(old, len(hashes), fetch(needed, hashes))


sizes = st.integers(1, 300)


@st.composite
def leaf_of_a_tree(draw: st.DrawFn) -> tuple[int, int]:
    size = draw(sizes)
    return draw(st.integers(0, size - 1)), size


@st.composite
def growth_of_a_tree(draw: st.DrawFn) -> tuple[int, int]:
    new = draw(sizes)
    return draw(st.integers(1, new)), new


class TestKnownVectors:
    def test_an_empty_tree_has_the_hash_of_nothing(self):
        assert CompactRange().root() == EMPTY_ROOT == sha256(b"").digest()

    @pytest.mark.parametrize("size", range(1, 9))
    def test_the_roots_of_one_to_eight_leaves(self, size):
        assert root_of([leaf_hash(leaf) for leaf in CT_LEAVES[:size]]).hex() == CT_ROOTS[size - 1]

    @pytest.mark.parametrize(("index", "size", "path"), CT_INCLUSION)
    def test_the_inclusion_paths(self, index, size, path):
        hashes = [leaf_hash(leaf) for leaf in CT_LEAVES[:size]]
        proof = inclusion(index, hashes)
        assert [digest.hex() for digest in proof] == path
        verify_inclusion(index, size, hashes[index], proof, bytes.fromhex(CT_ROOTS[size - 1]))

    @pytest.mark.parametrize(("old", "new", "expected"), CT_CONSISTENCY)
    def test_the_consistency_proofs(self, old, new, expected):
        proof = consistency(old, [leaf_hash(leaf) for leaf in CT_LEAVES[:new]])
        assert [digest.hex() for digest in proof] == expected
        roots = [bytes.fromhex(root) for root in CT_ROOTS]
        verify_consistency(old, new, roots[old - 1], roots[new - 1], proof)


class TestCompactRange:
    @given(st.lists(st.integers(0, 40), max_size=8))
    def test_any_sequence_of_batches_leads_to_the_root_by_definition(self, batches):
        hashes = hashes_of(sum(batches))
        tree, at = CompactRange(), 0
        for batch in batches:
            tree = tree.extend(hashes[at : at + batch])
            at += batch
        assert tree.size == len(hashes)
        assert tree.root() == naive_root(hashes)
        assert list(tree.roots) == list(fetch(root_subtrees(tree.size), hashes).values())

    @given(st.integers(0, 70), st.integers(0, 70))
    def test_growing_tells_every_subtree_that_became_complete(self, before, more):
        hashes = hashes_of(before + more)
        _, completed = CompactRange().extend(hashes[:before]).grow(hashes[before:])
        told = {
            Subtree(level, (before >> level) + offset): digest
            for level, digests in enumerate(completed)
            for offset, digest in enumerate(digests)
        }
        became_complete = [
            Subtree(level, position)
            for level in range(8)
            for position in range(before >> level, (before + more) >> level)
        ]
        assert told == fetch(became_complete, hashes)

    def test_appending_one_by_one_equals_extending(self):
        hashes = hashes_of(33)
        tree = CompactRange()
        for digest in hashes:
            tree = tree.append(digest)
        assert tree == CompactRange().extend(hashes)

    @given(st.integers(0, 1100), st.integers(1, 4))
    def test_the_unfinished_tiles_of_a_tree_tell_its_range(self, size, height):
        tree, completed = CompactRange().grow(hashes_of(size))
        unfinished = [
            digest
            for level in reversed(range(0, len(completed), height))
            for digest in completed[level][size >> level + height << height :]
        ]
        assert CompactRange.from_tiles(size, unfinished, height) == tree

    @pytest.mark.parametrize(("size", "count"), [(3, 2), (3, 4), (2, 1), (0, 1)])
    def test_tiles_that_do_not_fit_the_size_are_refused(self, size, count):
        with pytest.raises(ValueError, match="do not make a tree"):
            CompactRange.from_tiles(size, hashes_of(count), 8)


class TestInclusion:
    @given(leaf_of_a_tree())
    def test_the_path_is_that_of_the_definition_and_verifies(self, coordinates):
        index, size = coordinates
        hashes = hashes_of(size)
        proof = inclusion(index, hashes)
        assert proof == naive_path(index, hashes)
        verify_inclusion(index, size, hashes[index], proof, naive_root(hashes))

    @given(leaf_of_a_tree())
    def test_another_library_makes_the_same_path(self, coordinates):
        index, size = coordinates
        tree = InmemoryTree(algorithm="sha256")
        for number in range(size):
            tree.append_entry(b"leaf %d" % number)
        other = tree.prove_inclusion(index + 1, size)
        hashes = hashes_of(size)
        assert other.path == [hashes[index], *inclusion(index, hashes)]
        verify_inclusion(index, size, hashes[index], other.path[1:], tree.get_root())

    @given(leaf_of_a_tree(), st.data())
    def test_every_mutation_is_refused(self, coordinates, data):
        index, size = coordinates
        hashes = hashes_of(size)
        proof, root = inclusion(index, hashes), naive_root(hashes)
        wrong_leaf, wrong_root = flip(hashes[index], data), flip(root, data)
        for mutated in mutations(proof, data):
            with pytest.raises(ProofError):
                verify_inclusion(index, size, hashes[index], mutated, root)
        with pytest.raises(ProofError, match="leads to the root"):
            verify_inclusion(index, size, wrong_leaf, proof, root)
        with pytest.raises(ProofError, match="leads to the root"):
            verify_inclusion(index, size, hashes[index], proof, wrong_root)
        other = data.draw(st.integers(0, size - 1).filter(lambda other: other != index)) if size > 1 else 1
        with pytest.raises(ProofError):
            verify_inclusion(other, size, hashes[index], proof, root)

    @given(st.integers(1, 2**63 - 1), st.data())
    def test_no_path_in_a_tree_of_any_size_needs_more_than_126_reads(self, size, data):
        index = data.draw(st.integers(0, size - 1))
        assert len(inclusion_subtrees(index, size)) <= 126
        assert len(consistency_subtrees(index, size)) <= 126

    @pytest.mark.parametrize(("index", "size"), [(0, 0), (3, 3), (-1, 3)])
    def test_a_leaf_outside_the_tree_is_refused(self, index, size):
        with pytest.raises(ValueError, match="no leaf"):
            inclusion_subtrees(index, size)
        with pytest.raises(ProofError, match="outside"):
            verify_inclusion(index, size, bytes(32), [], bytes(32))

    def test_the_error_says_how_many_hashes_were_expected(self):
        with pytest.raises(ProofError, match="leaf 2 in a tree of 5 leaves has 3 hashes, not 1"):
            verify_inclusion(2, 5, bytes(32), [bytes(32)], bytes(32))

    def test_a_hash_of_another_length_is_refused(self):
        with pytest.raises(ProofError, match="32 bytes, not 31"):
            verify_inclusion(0, 2, bytes(32), [bytes(31)], bytes(32))


class TestConsistency:
    @given(growth_of_a_tree())
    def test_the_proof_is_that_of_the_definition_and_verifies(self, coordinates):
        old, new = coordinates
        hashes = hashes_of(new)
        proof = consistency(old, hashes)
        assert proof == naive_subproof(old, hashes, True)
        verify_consistency(old, new, naive_root(hashes[:old]), naive_root(hashes), proof)

    @given(growth_of_a_tree(), st.data())
    def test_every_mutation_is_refused(self, coordinates, data):
        old, new = coordinates
        hashes = hashes_of(new)
        proof, old_root, new_root = consistency(old, hashes), naive_root(hashes[:old]), naive_root(hashes)
        for mutated in mutations(proof, data):
            with pytest.raises(ProofError):
                verify_consistency(old, new, old_root, new_root, mutated)
        with pytest.raises(ProofError):
            verify_consistency(old, new, flip(old_root, data), new_root, proof)
        with pytest.raises(ProofError):
            verify_consistency(old, new, old_root, flip(new_root, data), proof)

    def test_a_rewritten_leaf_is_noticed(self):
        hashes = hashes_of(11)
        rewritten = [*hashes[:4], leaf_hash(b"another"), *hashes[5:]]
        with pytest.raises(ProofError, match="at 7 leaves"):
            verify_consistency(7, 11, naive_root(hashes[:7]), naive_root(rewritten), consistency(7, rewritten))

    @given(st.integers(0, 50))
    def test_every_tree_begins_with_the_empty_one(self, size):
        root = naive_root(hashes_of(size))
        assert consistency_subtrees(0, size) == []
        verify_consistency(0, size, EMPTY_ROOT, root, [])
        with pytest.raises(ProofError):
            verify_consistency(0, size, bytes(32), root, [])

    def test_a_tree_does_not_begin_with_a_larger_one(self):
        with pytest.raises(ProofError, match="no earlier state"):
            verify_consistency(3, 2, bytes(32), bytes(32), [])
        with pytest.raises(ValueError, match="no earlier state"):
            consistency_subtrees(3, 2)

    def test_two_roots_of_one_size_are_refused(self):
        with pytest.raises(ProofError, match="two roots are given for 5 leaves"):
            verify_consistency(5, 5, bytes(32), b"\x01" * 32, [])


def flip(digest: bytes, data: st.DataObject) -> bytes:
    at = data.draw(st.integers(0, len(digest) * 8 - 1), label="flipped bit")
    return digest[: at // 8] + bytes([digest[at // 8] ^ 1 << at % 8]) + digest[at // 8 + 1 :]


def mutations(proof: list[bytes], data: st.DataObject) -> list[list[bytes]]:
    """The proof lengthened at both ends and, where there is something to mutate, cut, swapped and flipped."""
    mutated = [[*proof, bytes(32)], [bytes(32), *proof]]
    if proof:
        at = data.draw(st.integers(0, len(proof) - 1), label="mutated hash")
        mutated += [
            proof[:-1],
            proof[1:],
            [*proof[:at], flip(proof[at], data), *proof[at + 1 :]],
        ]
    if len(proof) > 1:
        mutated.append([proof[1], proof[0], *proof[2:]])
    return mutated
