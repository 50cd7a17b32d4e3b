"""Checks entries where they are kept: leaf, columns, claim chains, personal parts. Nothing here does I/O."""

import hmac
from collections.abc import Iterator
from typing import Any, NamedTuple

from cryptography.exceptions import InvalidTag
from proofloop_runtime.call import CallerType
from proofloop_verifier import merkle
from proofloop_verifier.leaf import Leaf, LeafError, opens, parse_personal_part
from proofloop_verifier.report import Finding

from proofloop_audit.log.batch import Chain
from proofloop_audit.log.domain import Draft
from proofloop_audit.log.integrity.report import StoredCheck
from proofloop_audit.log.integrity.store import Page, StoredEntry
from proofloop_audit.log.sealing import Sealer, open_part


class CheckedEntries(NamedTuple):
    """What the entries of a page say.

    Attributes:
        findings: What is wrong.
        computed: The hashes of the leaves, None where there is no entry.
        stored: The hashes beside the leaves, likewise.
    """

    findings: list[Finding]
    computed: list[bytes | None]
    stored: list[bytes | None]


def check_entries(page: Page, tenant: str, sealer: Sealer) -> CheckedEntries:
    """Check the entries of a page."""
    width = page.end - page.begin
    checked = CheckedEntries(list(_missing(page)), [None] * width, [None] * width)
    check = _EntryCheck(page, tenant, sealer)
    checked.findings.extend(check.subjects())
    for entry in page.entries:
        computed = merkle.leaf_hash(entry.leaf)
        checked.computed[entry.index - page.begin] = computed
        checked.stored[entry.index - page.begin] = entry.leaf_hash
        if computed != entry.leaf_hash:
            sentence = (
                f"Entry {entry.index} is not the one whose hash is stored: it has the hash {computed.hex()}, and "
                f"the column leaf_hash says {entry.leaf_hash.hex()}."
            )
            checked.findings.append(Finding(StoredCheck.ENTRY, label(entry.index), sentence))
        checked.findings.extend(check.findings(entry, computed))
    return checked


def label(index: int) -> str:
    """Return what findings call an entry."""
    return f"entry {index}"


def missing(begin: int, end: int) -> Finding:
    """Return the finding that the entries begin … end - 1 are not there."""
    if end - begin == 1:
        return Finding(StoredCheck.ENTRY, label(begin), f"Entry {begin} is missing.")
    return Finding(StoredCheck.ENTRY, label(begin), f"The entries {begin} to {end - 1} are missing.")


def _missing(page: Page) -> Iterator[Finding]:
    expected = page.begin
    for entry in page.entries:
        if entry.index > expected:
            yield missing(expected, entry.index)
        expected = entry.index + 1
    if expected < page.end:
        yield missing(expected, page.end)


class _EntryCheck:
    """Checks the entries of a page one after another."""

    def __init__(self, page: Page, tenant: str, sealer: Sealer) -> None:
        self._page = page
        self._tenant = tenant
        self._sealer = sealer
        self._newest = page.before
        self._chains = dict(page.chains)
        self._keys: dict[str, hmac.HMAC] = {}

    def subjects(self) -> Iterator[Finding]:
        """Say what is wrong with the keys of the page's people."""
        for pseudonym in sorted({entry.pseudonym for entry in self._page.entries}):
            row = self._page.subjects.get(pseudonym)
            key = None if row is None else self._sealer.subject_key(self._tenant, row.wrapped_key)
            if key is not None:
                self._keys[pseudonym] = key
            elif row is not None:
                sentence = f"The key of the subject {pseudonym} (subject, wrapped_key) is not one that was stored."
                yield Finding(StoredCheck.PERSONAL, f"subject {pseudonym}", sentence)
            elif pseudonym not in self._page.erased:
                sentence = f"The subject {pseudonym} has no key, and no entry says that they were erased or expired."
                yield Finding(StoredCheck.PERSONAL, f"subject {pseudonym}", sentence)

    def findings(self, entry: StoredEntry, leaf_hash: bytes) -> Iterator[Finding]:
        """Say what is wrong with the next entry."""
        subject = label(entry.index)
        try:
            leaf = Leaf.parse(entry.leaf)
        except LeafError as error:
            sentence = f"Entry {entry.index} is not a well-formed audit entry: {error}."
            yield Finding(StoredCheck.LEAF, subject, sentence)
            return
        if leaf.tenant != self._tenant:
            sentence = f"Entry {entry.index} belongs to {leaf.tenant!r}, and the log to {self._tenant!r}."
            yield Finding(StoredCheck.LEAF, subject, sentence)
        if self._newest is not None and leaf.append_time < self._newest:
            sentence = f"Entry {entry.index} was appended before the one in front of it."
            yield Finding(StoredCheck.LEAF, subject, sentence)
        self._newest = leaf.append_time
        for column, said in _columns(leaf).items():
            stored = getattr(entry, column)
            if stored != said:
                sentence = f"The column {column} of entry {entry.index} says {stored!s}, and the entry {said!s}."
                yield Finding(StoredCheck.SEARCH, f"{subject}, {column}", sentence)
        yield from self._chain(entry, leaf, leaf_hash)
        yield from self._part(entry, leaf)

    def _chain(self, entry: StoredEntry, leaf: Leaf, leaf_hash: bytes) -> Iterator[Finding]:
        link = leaf.claim
        # What came before in the chain was looked up by the column; where that is wrong, it is found wrong.
        if link is None or link.claim_id != entry.claim_id:
            return
        before = self._chains.get(link.claim_id, Chain())
        if link.sequence != before.size:
            sentence = (
                f"Entry {entry.index} is number {link.sequence} of its claim, where number {before.size} follows."
            )
            yield Finding(StoredCheck.CHAIN, label(entry.index), sentence)
        elif link.previous != before.leaf_hash:
            sentence = f"Entry {entry.index} does not hold the hash of its claim's previous entry."
            yield Finding(StoredCheck.CHAIN, label(entry.index), sentence)
        self._chains[link.claim_id] = Chain(link.sequence + 1, leaf_hash)

    def _part(self, entry: StoredEntry, leaf: Leaf) -> Iterator[Finding]:
        """Check the personal part, and with it what only who reads it can."""
        if not leaf.subjects or leaf.subjects[0].pseudonym not in self._keys:
            return
        committed = leaf.subjects[0]
        subject = f"{label(entry.index)}, sealed_part"
        try:
            part = open_part(self._keys, leaf.entry_id, committed.pseudonym, entry.sealed_part)
        except InvalidTag:
            sentence = f"The personal part of entry {entry.index} does not open under the key of its subject."
            yield Finding(StoredCheck.PERSONAL, subject, sentence)
            return
        if not opens(committed.commitment, part.salt, part.part):
            sentence = f"The personal part of entry {entry.index} is not the one that the entry commits to."
            yield Finding(StoredCheck.PERSONAL, subject, sentence)
            return
        try:
            name = parse_personal_part(part.part).get("subject", "")
        except LeafError as error:
            sentence = f"The personal part of entry {entry.index} is not well-formed: {error}."
            yield Finding(StoredCheck.PERSONAL, subject, sentence)
            return
        if self._page.subjects[committed.pseudonym].blind_index != self._sealer.blind_index(self._tenant, name):
            sentence = (
                f"The subject {committed.pseudonym} of entry {entry.index} is not found by their id (blind_index)."
            )
            yield Finding(StoredCheck.SEARCH, f"subject {committed.pseudonym}, blind_index", sentence)
        if entry.fingerprint not in self._fingerprints(leaf, part.part):
            sentence = f"A repetition of entry {entry.index} would not be recognised (fingerprint)."
            yield Finding(StoredCheck.SEARCH, f"{label(entry.index)}, fingerprint", sentence)

    def _fingerprints(self, leaf: Leaf, part: bytes) -> list[bytes]:
        """Return the fingerprints that an entry may have: an author who did not say when it happened says nothing."""
        said = [leaf.event_time, None] if leaf.event_time == leaf.append_time else [leaf.event_time]
        return [
            self._sealer.fingerprint(
                Draft(
                    entry_id=leaf.entry_id,
                    tenant=self._tenant,
                    service=leaf.service,
                    actor_type=CallerType.SERVICE,
                    actor_id="",
                    action=leaf.action,
                    outcome=leaf.outcome,
                    entity_type=leaf.entity_type,
                    entity_id=leaf.entity_id,
                    event_time=event_time,
                    claim_id=leaf.claim.claim_id if leaf.claim else None,
                    session_id=leaf.session_id,
                ),
                part,
            )
            for event_time in said
        ]


def _columns(leaf: Leaf) -> dict[str, Any]:
    """Return what the columns that serve search must hold."""
    return {
        "entry_id": leaf.entry_id,
        "append_time": leaf.append_time,
        "claim_id": leaf.claim.claim_id if leaf.claim else None,
        "claim_sequence": leaf.claim.sequence if leaf.claim else None,
        "entity_type": leaf.entity_type,
        "entity_id": leaf.entity_id,
        "action": leaf.action,
        "session_id": leaf.session_id,
        "outcome": leaf.outcome,
        "pseudonym": leaf.subjects[0].pseudonym if leaf.subjects else None,
    }
