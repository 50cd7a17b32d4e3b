"""Folds the hashes of a log, page by page, and compares them with the stored ones and with every checkpoint.

Of a log of any size it holds one unfinished tile per level. Nothing here does I/O.
"""

from collections.abc import Generator, Iterator, Sequence

from proofloop_verifier import merkle
from proofloop_verifier.merkle import CompactRange, Subtree
from proofloop_verifier.note import Checkpoint, Note, NoteError, VerifierKey
from proofloop_verifier.report import Finding
from proofloop_verifier.tiles import HEIGHT, WIDTH, Tile

from proofloop_audit.log.checkpoint_store import CheckpointRow
from proofloop_audit.log.integrity.entries import CheckedEntries
from proofloop_audit.log.integrity.report import StoredCheck
from proofloop_audit.log.integrity.store import Page
from proofloop_audit.log.store import STORED_EVERY

Edge = list[list[bytes]]
"""What stands in the unfinished tile of each level, upward; that of level 0 is empty where a page begins."""
_FoundRoot = Generator[Finding, None, tuple[bytes | None, Sequence[bytes | None]]]


class TreeWalk:
    """Walks along a log.

    Args:
        key: The log's, which signs under its origin.
        edge: What stands before the first page; None: that is not known.

    Attributes:
        edge: What stands before the next page; None where so much is missing that it is not known.
        filled: The tiles above level 0 that the last page filled, with what they must hold.
        unstored: The subtrees between the levels of tiles that the last page completed and whose root is not stored,
            with the root that they make, None where that is not known.
    """

    def __init__(self, key: VerifierKey, edge: Edge | None) -> None:
        self._key = key
        self.edge = edge
        self.filled: list[tuple[Tile, list[bytes]]] = []
        self.unstored: dict[Subtree, bytes | None] = {}
        self._agreed = True
        self._compared = 0

    def take(self, page: Page, entries: CheckedEntries) -> Iterator[Finding]:
        """Take the next page, and say what is wrong with it."""
        self.filled, self.unstored = [], {}
        yield from self._within(page, entries)
        root, hashes = yield from self._root(page, entries)
        yield from self._checkpoints(page, hashes, entries.stored)
        if page.end - page.begin < WIDTH or self.edge is None:
            return
        if root is None:
            self.edge = None
            sentence = f"From entry {page.begin} on, hashes and checkpoints were not compared: too much is missing."
            yield Finding(StoredCheck.TREE, f"entry {page.begin}", sentence, not_checked=True)
            return
        yield from self._grow(self.edge, page, root)

    def _root(self, page: Page, entries: CheckedEntries) -> _FoundRoot:
        """Return the root of a page and the leaf hashes that lead to it: those that most speaks for."""
        if page.end - page.begin < WIDTH:
            return None, entries.computed
        subtree = Subtree(HEIGHT, page.begin // WIDTH)
        expected = page.roots.get(subtree)
        computed, stored = _folded(entries.computed), _folded(entries.stored)
        if expected is None:
            yield missing(subtree)
        elif expected == computed:
            return computed, entries.computed
        elif expected == stored or computed is None:
            # The entries are at fault, and were named.
            return expected, entries.stored
        else:
            yield _other(subtree)
        return computed, entries.computed

    def _within(self, page: Page, entries: CheckedEntries) -> Iterator[Finding]:
        """Compare the roots below the page's own."""
        width = 1 << STORED_EVERY
        for begin in range(0, page.end - page.begin - width + 1, width):
            subtree = Subtree(STORED_EVERY, (page.begin + begin) // width)
            computed, stored = (_folded(hashes[begin : begin + width]) for hashes in (entries.computed, entries.stored))
            yield from self._between(page, subtree, computed, stored)

    def _between(self, page: Page, subtree: Subtree, computed: bytes | None, stored: bytes | None) -> Iterator[Finding]:
        """Compare a root between the levels of tiles with the one that its entries make, or their stored hashes."""
        expected = page.roots.get(subtree)
        if expected is None:
            self.unstored[subtree] = computed
        elif computed is not None and expected not in (computed, stored):
            yield _other(subtree)

    def _grow(self, edge: Edge, page: Page, root: bytes) -> Iterator[Finding]:
        """Put a root on the edge, and where that fills a tile, go on above it."""
        level, position = 1, page.begin // WIDTH
        while True:
            if level == len(edge):
                edge.append([])
            edge[level].append(root)
            if len(edge[level]) % (1 << STORED_EVERY) == 0:
                between = Subtree(level * HEIGHT + STORED_EVERY, position >> STORED_EVERY)
                root = merkle.root_of(edge[level][-1 << STORED_EVERY :])
                yield from self._between(page, between, root, root)
            if len(edge[level]) < WIDTH:
                return
            position //= WIDTH
            self.filled.append((Tile(level, position), edge[level]))
            root = merkle.root_of(edge[level])
            edge[level] = []
            level += 1
            subtree = Subtree(level * HEIGHT, position)
            expected = page.roots.get(subtree)
            if expected is None:
                yield missing(subtree)
            elif expected != root:
                yield _other(subtree)

    def _checkpoints(
        self, page: Page, hashes: Sequence[bytes | None], stored: Sequence[bytes | None]
    ) -> Iterator[Finding]:
        for row in page.checkpoints:
            found = list(check_note(row, self._key))
            yield from found
            if found or self.edge is None:
                continue
            roots = {root for each in (hashes, stored) if (root := self._root_at(page.begin, row.size, each))}
            # What is not computable lacks entries, which were named.
            if roots and row.root not in roots:
                if self._agreed:
                    yield self._diverged(row)
                self._agreed = False
            elif roots:
                self._agreed, self._compared = True, row.size

    def _root_at(self, begin: int, size: int, hashes: Sequence[bytes | None]) -> bytes | None:
        edge = self.edge or []
        known = [digest for digest in hashes[: size - begin] if digest is not None]
        if len(known) < size - begin:
            return None
        above = [digest for level in reversed(edge) for digest in level]
        return CompactRange.from_tiles(begin, above, HEIGHT).extend(known).root()

    def _diverged(self, row: CheckpointRow) -> Finding:
        sentence = (
            f"The entries do not make the tree that was signed at {row.size} entries: one of the entries "
            f"{self._compared} to {row.size - 1}, or that checkpoint, is not what it was."
        )
        return Finding(StoredCheck.CHECKPOINT, f"checkpoint {row.size}", sentence)


def check_note(row: CheckpointRow, key: VerifierKey) -> Iterator[Finding]:
    """Say what is wrong with a stored checkpoint in itself."""
    subject = f"checkpoint {row.size}"
    try:
        note = Note.parse(row.note.encode())
        signers = note.verify([key])
        checkpoint = Checkpoint.parse(note.text)
    except NoteError as error:
        yield Finding(StoredCheck.CHECKPOINT, subject, f"The checkpoint at {row.size} entries does not hold: {error}.")
        return
    if not signers:
        sentence = f"The checkpoint at {row.size} entries is not signed with the key {key.fingerprint}."
    elif checkpoint.origin != key.name:
        sentence = f"The checkpoint at {row.size} entries is of the log {checkpoint.origin!r}."
    elif (checkpoint.size, checkpoint.root) != (row.size, row.root):
        sentence = (
            f"The checkpoint at {row.size} entries was signed over {checkpoint.size} entries with the root "
            f"{checkpoint.root.hex()}, and the columns say {row.size} and {row.root.hex()}."
        )
    elif note.to_bytes() != row.note.encode():
        sentence = f"The checkpoint at {row.size} entries is not written as it was signed."
    else:
        return
    yield Finding(StoredCheck.CHECKPOINT, subject, sentence)


def _folded(hashes: Sequence[bytes | None]) -> bytes | None:
    known = [digest for digest in hashes if digest is not None]
    return merkle.root_of(known) if len(known) == len(hashes) else None


def _span(subtree: Subtree) -> str:
    begin = subtree.position << subtree.level
    return f"over the entries {begin} to {begin + (1 << subtree.level) - 1}"


def missing(subtree: Subtree) -> Finding:
    """Return the finding that a hash is not there."""
    return Finding(StoredCheck.TREE, label(subtree), f"The hash {_span(subtree)} is not stored.")


def _other(subtree: Subtree) -> Finding:
    sentence = f"The stored hash {_span(subtree)} is not the one that they make."
    return Finding(StoredCheck.TREE, label(subtree), sentence)


def label(subtree: Subtree) -> str:
    """Return what findings call a stored hash."""
    return f"subtree {subtree.level}/{subtree.position}"
