"""Merkle tree of RFC 6962 (RFC 9162 §2.1) over SHA-256: roots, proofs and their verification.

A *subtree* here is always perfect: `Subtree(level, position)` covers the `2**level` leaves from
`position * 2**level` on, and its root never changes once those leaves exist. Every hash that a proof holds is
folded from the roots of such subtrees, so a log that keeps them needs O(log n) reads for any proof:
ask `inclusion_subtrees` what to fetch, fetch it in one query, hand the result to `inclusion_proof`.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

HASH_SIZE = 32
"""Bytes in every hash of the tree."""

EMPTY_ROOT = sha256(b"").digest()
"""Root of the tree without leaves (RFC 9162 §2.1.1)."""


class ProofError(Exception):
    """A proof does not prove what it claims; the message says at which step."""


class Subtree(NamedTuple):
    """The `2**level` leaves from `position * 2**level` on."""

    level: int
    position: int


def leaf_hash(leaf: bytes) -> bytes:
    """Hash of a leaf: SHA-256(0x00 || leaf)."""
    return sha256(b"\x00" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash of an inner node: SHA-256(0x01 || left || right)."""
    return sha256(b"\x01" + left + right).digest()


def _fold(roots: Sequence[bytes]) -> bytes:
    """Join the roots of neighbouring perfect subtrees of falling size, given left to right."""
    folded = roots[-1]
    for root in reversed(roots[:-1]):
        folded = node_hash(root, folded)
    return folded


@dataclass(frozen=True, slots=True)
class CompactRange:
    """All that appending to a tree and computing its root need: at most 64 hashes.

    `roots` are the roots of the perfect subtrees that make up the first `size` leaves, left to right; there
    is one for each bit that is set in `size`.
    """

    size: int = 0
    roots: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        if self.size < 0 or len(self.roots) != self.size.bit_count():
            raise ValueError(f"{len(self.roots)} perfect subtrees do not make a tree of {self.size} leaves")

    @classmethod
    def from_tiles(cls, size: int, hashes: Sequence[bytes], height: int) -> CompactRange:
        """The range over the first `size` leaves, given what stands in the unfinished tile of each level.

        A tile has `2**height` hashes, as in C2SP tlog-tiles; `hashes` goes from the top level down, each left to right.
        ValueError where they are not as many as the size asks for.
        """
        roots: tuple[bytes, ...] = ()
        begin = 0
        for level in reversed(range(0, size.bit_length(), height)):
            end = begin + (size >> level) % (1 << height)
            # The roots over so many subtrees are the roots over so many leaves.
            roots += cls().extend(hashes[begin:end]).roots
            begin = end
        if begin != len(hashes):
            raise ValueError(f"{len(hashes)} hashes do not make a tree of {size} leaves")
        return cls(size, roots)

    def append(self, leaf: bytes) -> CompactRange:
        """The range after one more leaf, given its leaf hash."""
        return self.extend((leaf,))

    def extend(self, leaves: Sequence[bytes]) -> CompactRange:
        """The range after more leaves, given their leaf hashes in order."""
        return self.grow(leaves)[0]

    def grow(self, leaves: Sequence[bytes]) -> tuple[CompactRange, list[Sequence[bytes]]]:
        """The range after more leaves, and the roots of all perfect subtrees that they completed.

        `completed[level]` holds the roots completed at that level, left to right; the first one belongs to
        `Subtree(level, size_before >> level)`. Level 0 is the leaf hashes themselves; levels 0, 8, 16, … are
        what C2SP tlog-tiles are made of. The cost is one SHA-256 per completed inner node.
        """
        waiting = list(self.roots)
        unpaired: list[bytes] = []
        completed: list[Sequence[bytes]] = []
        level, position = leaves, self.size
        while level:
            completed.append(level)
            if position & 1:
                level = [waiting.pop(), *level]
            if len(level) & 1:
                unpaired.append(level[-1])
            level = [
                sha256(b"\x01" + left + right).digest() for left, right in zip(level[::2], level[1::2], strict=False)
            ]
            position >>= 1
        return CompactRange(self.size + len(leaves), (*waiting, *reversed(unpaired))), completed

    def root(self) -> bytes:
        """Root hash of the tree (RFC 9162 §2.1.1)."""
        return _fold(self.roots) if self.roots else EMPTY_ROOT


def root_of(hashes: Sequence[bytes]) -> bytes:
    """Root of the tree whose lowest level is `hashes`: leaf hashes, or one level of a tile."""
    if not hashes:
        return EMPTY_ROOT
    level = hashes
    while len(level) > 1:
        # What is left without a partner stands at the right edge, and is the root of all that lies there.
        alone = level[len(level) & ~1 :]
        level = [*map(node_hash, level[::2], level[1::2]), *alone]
    return level[0]


# What stands in one proof: each tuple folds, right to left, into one hash of the proof.
_Path = list[tuple[Subtree, ...]]


def _cover(begin: int, end: int) -> tuple[Subtree, ...]:
    """The perfect subtrees, left to right, that make up the tree over the leaves begin … end - 1.

    `begin` is a multiple of a power of two not below `end - begin`, as it is for every node of a tree.
    """
    subtrees = []
    while begin < end:
        level = (end - begin).bit_length() - 1
        subtrees.append(Subtree(level, begin >> level))
        begin += 1 << level
    return tuple(subtrees)


def _split(width: int) -> int:
    """Leaves under the left child of a node over `width` > 1 leaves: the largest power of two below width."""
    return 1 << (width - 1).bit_length() - 1


def _inclusion_path(index: int, size: int) -> _Path:
    if not 0 <= index < size:
        raise ValueError(f"a tree of {size} leaves has no leaf {index}")
    path: _Path = []
    begin, end = 0, size
    while end - begin > 1:
        middle = begin + _split(end - begin)
        if index < middle:
            path.append(_cover(middle, end))
            end = middle
        else:
            path.append(_cover(begin, middle))
            begin = middle
    path.reverse()
    return path


def _consistency_path(old: int, new: int) -> _Path:
    if not 0 <= old <= new:
        raise ValueError(f"a tree of {new} leaves has no earlier state of {old} leaves")
    path: _Path = []
    begin, end = 0, new
    # The empty tree is a part of every tree, and a tree of itself: both need no hash.
    while 0 < old < end:
        middle = begin + _split(end - begin)
        if old <= middle:
            path.append(_cover(middle, end))
            end = middle
        else:
            path.append(_cover(begin, middle))
            begin = middle
    # The verifier knows the old root; it needs the last node only where that is not the whole old tree.
    if begin > 0:
        path.append(_cover(begin, end))
    path.reverse()
    return path


def _proof(path: _Path, hashes: Mapping[Subtree, bytes]) -> list[bytes]:
    return [_fold([hashes[subtree] for subtree in cover]) for cover in path]


def root_subtrees(size: int) -> list[Subtree]:
    """The subtrees, left to right, whose roots are the `CompactRange` of the first `size` leaves."""
    return list(_cover(0, size))


def inclusion_subtrees(index: int, size: int) -> list[Subtree]:
    """The subtrees whose roots `inclusion_proof(index, size, …)` needs; ValueError for no such leaf."""
    return list(chain.from_iterable(_inclusion_path(index, size)))


def inclusion_proof(index: int, size: int, hashes: Mapping[Subtree, bytes]) -> list[bytes]:
    """The path from leaf `index` up to the root of the tree of `size` leaves (RFC 9162 §2.1.3.1).

    `hashes` maps at least `inclusion_subtrees(index, size)` to their roots.
    """
    return _proof(_inclusion_path(index, size), hashes)


def consistency_subtrees(old: int, new: int) -> list[Subtree]:
    """The subtrees whose roots `consistency_proof(old, new, …)` needs; ValueError for impossible sizes."""
    return list(chain.from_iterable(_consistency_path(old, new)))


def consistency_proof(old: int, new: int, hashes: Mapping[Subtree, bytes]) -> list[bytes]:
    """The proof (RFC 9162 §2.1.4.1) that the tree of `new` leaves begins with the tree of `old` leaves.

    `hashes` maps at least `consistency_subtrees(old, new)` to their roots.
    """
    return _proof(_consistency_path(old, new), hashes)


def verify_inclusion(index: int, size: int, leaf: bytes, proof: Sequence[bytes], root: bytes) -> None:
    """Check that the tree of `size` leaves with `root` holds the leaf hash `leaf` at `index`.

    The algorithm is that of RFC 9162 §2.1.3.2. Raises ProofError.
    """
    if not 0 <= index < size:
        raise ProofError(f"leaf {index} lies outside a tree of {size} leaves")
    _check_hashes(chain((leaf, root), proof))
    # The path turns at every level below the highest at which leaf and last leaf differ; above that, only
    # the levels where a left neighbour exists.
    inner = (index ^ (size - 1)).bit_length()
    expected = inner + (index >> inner).bit_count()
    if len(proof) != expected:
        raise ProofError(f"the path of leaf {index} in a tree of {size} leaves has {expected} hashes, not {len(proof)}")
    computed = leaf
    for level, sibling in enumerate(proof):
        from_left = level >= inner or index >> level & 1
        computed = node_hash(sibling, computed) if from_left else node_hash(computed, sibling)
    if computed != root:
        raise ProofError(
            f"the path of leaf {index} leads to the root {computed.hex()}, the checkpoint says {root.hex()}"
        )


def verify_consistency(old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> None:
    """Check that the tree of `new` leaves begins with the tree of `old` leaves (RFC 9162 §2.1.4.2).

    Raises ProofError.
    """
    if not 0 <= old <= new:
        raise ProofError(f"a tree of {new} leaves has no earlier state of {old} leaves")
    _check_hashes(chain((old_root, new_root), proof))
    if old in (0, new):
        _verify_trivial_consistency(old, old_root, new_root if old else EMPTY_ROOT, proof)
        return
    expected = len(_consistency_path(old, new))
    if len(proof) != expected:
        raise ProofError(f"the proof from {old} to {new} leaves has {expected} hashes, not {len(proof)}")
    # Walk from the last node of the old tree upward; where the old tree is one perfect subtree, that
    # node is the old root itself, which the proof leaves out.
    level = (old & -old).bit_length() - 1
    at, last = (old - 1) >> level, (new - 1) >> level
    siblings = iter(proof)
    old_computed = new_computed = old_root if at == 0 else next(siblings)
    for sibling in siblings:
        while at % 2 == 0 and at == last:
            at, last = at >> 1, last >> 1
        if at % 2:
            old_computed, new_computed = node_hash(sibling, old_computed), node_hash(sibling, new_computed)
        else:
            new_computed = node_hash(new_computed, sibling)
        at, last = at >> 1, last >> 1
    if old_computed != old_root:
        raise ProofError(f"the proof leads to the root {old_computed.hex()} at {old} leaves, expected {old_root.hex()}")
    if new_computed != new_root:
        raise ProofError(f"the proof leads to the root {new_computed.hex()} at {new} leaves, expected {new_root.hex()}")


def _verify_trivial_consistency(size: int, root: bytes, expected: bytes, proof: Sequence[bytes]) -> None:
    if proof:
        raise ProofError(f"the proof must be empty, it has {len(proof)} hashes")
    if root != expected:
        raise ProofError(f"two roots are given for {size} leaves: {root.hex()} and {expected.hex()}")


def _check_hashes(hashes: Iterable[bytes]) -> None:
    for digest in hashes:
        if len(digest) != HASH_SIZE:
            raise ProofError(f"a hash has {HASH_SIZE} bytes, not {len(digest)}")
