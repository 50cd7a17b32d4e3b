"""Checks a log where it is kept: every entry, every stored hash, every checkpoint, and what is published of it.

It goes along the log in pages of 256 entries, each read in a short transaction of its own and checked in a thread, and
holds one page and one unfinished tile per level, whatever the size of the log.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from datetime import timedelta

from proofloop_runtime.database import Database, UnitOfWork
from proofloop_runtime.objects import SmallObjects
from proofloop_verifier.note import VerifierKey
from proofloop_verifier.report import MAX_FINDINGS, Finding
from proofloop_verifier.tiles import WIDTH

from proofloop_audit.log.checkpoints import CheckpointSigner, unfinished
from proofloop_audit.log.integrity import store
from proofloop_audit.log.integrity.entries import CheckedEntries, check_entries, missing
from proofloop_audit.log.integrity.entries import label as entry_label
from proofloop_audit.log.integrity.published import PublishedLog
from proofloop_audit.log.integrity.report import StoredCheck, StoredReport
from proofloop_audit.log.integrity.store import Page
from proofloop_audit.log.integrity.tree import Edge, TreeWalk, label
from proofloop_audit.log.integrity.tree import missing as missing_root
from proofloop_audit.log.sealing import Sealer
from proofloop_audit.log.store import insert_subtrees, select_size

_NO_PAUSE = timedelta()
_MAX_SIZE = 2**63 - 1
"""What PostgreSQL can compare indexes with."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Pages:
    """A part of a log, in pages of 256 entries.

    Attributes:
        first: The first page, from 0.
        count: How many; None: up to the end of the log.
    """

    first: int = 0
    count: int | None = None


WHOLE = Pages()


class LogChecker:
    """Checks logs.

    Args:
        database: The service's database.
        sealer: Knows the keys of personal parts.
        signer: Knows the logs' names and keys.
        objects: Where logs are published; None: nowhere.
    """

    def __init__(
        self, database: Database, sealer: Sealer, signer: CheckpointSigner, objects: SmallObjects | None
    ) -> None:
        self._database = database
        self._sealer = sealer
        self._signer = signer
        self._objects = objects

    async def report(self, tenant: str) -> StoredReport:
        """Check a whole log, and say all that is wrong with it, up to a thousand findings."""
        size = await self.size(tenant)
        findings: list[Finding] = []
        async with aclosing(self.findings(tenant)) as found:
            async for finding in found:
                if len(findings) == MAX_FINDINGS:
                    sentence = f"Too much is wrong: from {finding.subject} on, the log was not checked."
                    findings.append(Finding(StoredCheck.TREE, finding.subject, sentence, not_checked=True))
                    break
                findings.append(finding)
        return StoredReport(tenant, self._signer.origin(tenant), size, tuple(findings))

    async def size(self, tenant: str) -> int:
        """Return how many entries a log has."""
        async with self._database.transaction(tenant) as unit:
            return await select_size(unit)

    async def findings(
        self, tenant: str, pages: Pages = WHOLE, pause: timedelta = _NO_PAUSE, *, completing: bool = False
    ) -> AsyncGenerator[Finding, None]:
        """Check a part of a log, as long as it is now, and say what is wrong with it, along the log.

        Args:
            tenant: Whose log.
            pages: Which part.
            pause: How long to leave the database alone after each page.
            completing: Store the hashes that replicas of before migration 0006 leave out. They are no findings then.
        """
        published = None if self._objects is None else PublishedLog(self._objects, tenant)
        if published is not None:
            # Before the log's size is read, which then is no less.
            for finding in await published.checkpoint(self._database, self._signer):
                yield finding
        first = pages.first * WIDTH
        async with self._database.transaction(tenant) as unit:
            misplaced = await _misplaced(unit)
            size = min(await select_size(unit), _MAX_SIZE)
            edge = await _edge(unit, first)
        end = size if pages.count is None else min(size, first + pages.count * WIDTH)
        tree = TreeWalk(VerifierKey.parse(self._signer.verifier_key(tenant)), edge)
        walk = _Walk(self._database, self._sealer, tenant, tree, published, completing=completing)
        for finding in misplaced:
            yield finding
        if edge is None:
            yield _unknown(first)
        begin = first
        while begin < end:
            found, begin = await walk.step(begin, min(begin + WIDTH, end))
            for finding in found:
                yield finding
            await asyncio.sleep(pause.total_seconds())
        for finding in await walk.finish(begin, size):
            yield finding


class _Walk:
    """One way along a log."""

    def __init__(
        self,
        database: Database,
        sealer: Sealer,
        tenant: str,
        tree: TreeWalk,
        published: PublishedLog | None,
        *,
        completing: bool,
    ) -> None:
        self._database = database
        self._sealer = sealer
        self._tenant = tenant
        self._tree = tree
        self._published = published
        self._completing = completing

    async def step(self, begin: int, end: int) -> tuple[list[Finding], int]:
        """Check a page; return what is wrong with it, and where the next one begins."""
        found = await self._edge(begin)
        async with self._database.transaction(self._tenant) as unit:
            page = await store.select_page(unit, begin, end)
            if not page.entries:
                skipped, begin = await self._skip(unit, begin)
                return [*found, *skipped], begin
        findings, entries = await asyncio.to_thread(self._check, page)
        found += findings
        found += await self._unstored(intact=not findings)
        if self._published is not None:
            found += await self._published.page(page, entries.computed)
            for tile, hashes in self._tree.filled:
                found += await self._published.filled(tile, hashes)
        return found, begin + WIDTH

    async def finish(self, begin: int, size: int) -> list[Finding]:
        """Check what stands behind the last page: of an empty log its checkpoint, of others what no page ended."""
        if size == 0:
            async with self._database.transaction(self._tenant) as unit:
                page = await store.select_page(unit, 0, 0)
            return (await asyncio.to_thread(self._check, page))[0]
        return await self._edge(begin) if begin == size else []

    def _check(self, page: Page) -> tuple[list[Finding], CheckedEntries]:
        entries = check_entries(page, self._tenant, self._sealer)
        return [*entries.findings, *self._tree.take(page, entries)], entries

    async def _unstored(self, *, intact: bool) -> list[Finding]:
        """Store what was left out of an intact page, where that is to be done; else say that it is missing."""
        roots = {tree: root for tree, root in self._tree.unstored.items() if root is not None}
        if not (roots and intact and self._completing):
            return [missing_root(tree) for tree in self._tree.unstored]
        async with self._database.transaction(self._tenant) as unit:
            await insert_subtrees(unit, roots)
        log.warning("hashes of a log were not stored, and are now", extra={"tenant": self._tenant, "count": len(roots)})
        return []

    async def _edge(self, begin: int) -> list[Finding]:
        if self._published is None or self._tree.edge is None:
            return []
        return await self._published.edge(begin, self._tree.edge)

    async def _skip(self, unit: UnitOfWork, begin: int) -> tuple[list[Finding], int]:
        """Go on at the next page that has an entry: an index may have been set to any number."""
        following = await store.select_next_index(unit, begin)
        end = max(begin + WIDTH, 0 if following is None else following - following % WIDTH)
        self._tree.edge = await _edge(unit, end)
        unknown = [_unknown(end)] if self._tree.edge is None else []
        return [missing(begin, end), *unknown], end


async def _edge(unit: UnitOfWork, begin: int) -> Edge | None:
    """Return what stands before a page, None where that is not stored."""
    try:
        return await unfinished(unit, begin)
    except KeyError:
        return None


async def _misplaced(unit: UnitOfWork) -> list[Finding]:
    """Find what stands where the log has nothing."""
    found = [
        Finding(StoredCheck.ENTRY, entry_label(index), f"Entry {index} stands before the log's beginning.")
        for index in await store.select_misplaced_entries(unit)
    ]
    for size in await store.select_misplaced_checkpoints(unit):
        sentence = f"A checkpoint at {size} entries is stored, and the log has not so many."
        found.append(Finding(StoredCheck.CHECKPOINT, f"checkpoint {size}", sentence))
    for tree in await store.select_misplaced_subtrees(unit):
        sentence = f"A hash is stored at level {tree.level}, position {tree.position}, where the log has none."
        found.append(Finding(StoredCheck.TREE, label(tree), sentence))
    return found


def _unknown(begin: int) -> Finding:
    sentence = f"From entry {begin} on, hashes and checkpoints were not compared: hashes of what is before are missing."
    return Finding(StoredCheck.TREE, entry_label(begin), sentence, not_checked=True)
