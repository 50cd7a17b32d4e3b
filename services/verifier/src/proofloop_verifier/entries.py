"""Check the audit entries of a packet: each one's form and proof, and the chain that they make."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from proofloop_verifier import canonical
from proofloop_verifier.archive import Archive, ArchiveError
from proofloop_verifier.leaf import Leaf, LeafError, Outcome, opens, parse_personal_part
from proofloop_verifier.merkle import ProofError, leaf_hash, verify_inclusion
from proofloop_verifier.report import MAX_FINDINGS, Check, Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from proofloop_verifier.note import Checkpoint

ENTRIES = "data/audit/entries.jsonl"
_HASH = re.compile(r"[0-9a-f]{64}")


class EntryError(ValueError):
    """A line is not an entry; the message says why."""


@dataclass(frozen=True, slots=True)
class DisclosedPart:
    """A personal part that the packet tells, with the salt that shows it is the one that was logged."""

    pseudonym: str
    salt: bytes
    part: bytes


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the entries' file, or of an export, which may state the leaf's hash beside the leaf."""

    index: int
    hash: bytes
    leaf: Leaf
    proof: tuple[bytes, ...]
    personal: tuple[DisclosedPart, ...]

    @classmethod
    def parse(cls, line: bytes) -> Entry:
        """Read a line; EntryError or LeafError says what is malformed."""
        try:
            members = canonical.parse_json(line)
        except canonical.CanonicalError as error:
            raise EntryError(str(error)) from error
        match members:
            case {"index": int(index), "leaf": str(text), "proof": [*proof], "personal": [*personal]} if not isinstance(
                index, bool
            ):
                data = _utf8(text)
                digest = leaf_hash(data)
                if members.get("leaf_hash", digest.hex()) != digest.hex():
                    raise EntryError("leaf_hash is not the hash of the leaf")
                return cls(
                    index=index,
                    hash=digest,
                    leaf=Leaf.parse(data),
                    proof=tuple(_hash(digest) for digest in proof),
                    personal=tuple(_part(part) for part in personal),
                )
        raise EntryError("an entry has the members index, leaf, proof and personal")

    @property
    def label(self) -> str:
        """How findings name it."""
        return f"audit entry {self.index} ({self.leaf.action[:80]})"

    def opened(self) -> Iterator[dict[str, str]]:
        """The well-formed disclosed parts that the leaf commits to; others are nobody's word."""
        for part in self.personal:
            if self.commits_to(part):
                with suppress(LeafError):
                    yield parse_personal_part(part.part)

    def commits_to(self, part: DisclosedPart) -> bool:
        """Whether the leaf holds the commitment to this part under its pseudonym."""
        for subject in self.leaf.subjects:
            if subject.pseudonym == part.pseudonym:
                return opens(subject.commitment, part.salt, part.part)
        return False

    def details(self) -> dict[str, Any]:
        """The disclosed details as an object; empty where there are none, or none of that form."""
        for part in self.opened():
            try:
                details = canonical.parse_json(part.get("details", "").encode())
            except canonical.CanonicalError:
                continue
            if isinstance(details, dict):
                return details
        return {}


@dataclass(slots=True)
class Entries:
    """What the other checks need to know of the entries."""

    proven: int = 0
    last: Entry | None = None
    evidence_hashes: dict[str, str] = field(default_factory=dict)
    """SHA-256 in hex by evidence id, as the log holds it, where an entry discloses it."""


def check_entries(archive: Archive, checkpoint: Checkpoint | None) -> tuple[Entries, list[Finding]]:
    """Check all entries in one pass; inclusion only where there is a checkpoint to be included in."""
    entries, findings, chain, number = Entries(), list[Finding](), _Chain(checkpoint), 0
    try:
        for number, line in enumerate(archive.lines(ENTRIES), start=1):
            if len(findings) >= MAX_FINDINGS:
                sentence = f"Too much is wrong: {ENTRIES} was not checked from line {number} on."
                findings.append(Finding(Check.LEAF, ENTRIES, sentence, not_checked=True))
                break
            try:
                entry = Entry.parse(line)
            except (EntryError, LeafError) as error:
                sentence = f"Line {number} of {ENTRIES} is not a well-formed audit entry: {error}."
                findings.append(Finding(Check.LEAF, f"{ENTRIES} line {number}", sentence))
                chain.skip()
                entries.last = None
                continue
            wrong = list(_check_inclusion(entry, checkpoint))
            entries.proven += not wrong
            findings += wrong
            findings += chain.follow(entry)
            findings += check_personal(entry)
            _note_evidence(entry, entries)
            entries.last = entry
    except ArchiveError as error:
        findings.append(Finding(Check.LEAF, ENTRIES, f"The audit entries cannot be read: {error}."))
    if number == 0:
        findings += [
            Finding(check, ENTRIES, "There are no audit entries to check.", not_checked=True)
            for check in (Check.LEAF, Check.INCLUSION, Check.CHAIN, Check.PERSONAL)
        ]
    return entries, findings


def _check_inclusion(entry: Entry, checkpoint: Checkpoint | None) -> Iterator[Finding]:
    if checkpoint is None:
        sentence = f"Nothing proves {entry.label}: there is no readable checkpoint."
        yield Finding(Check.INCLUSION, entry.label, sentence, not_checked=True)
        return
    try:
        verify_inclusion(entry.index, checkpoint.size, entry.hash, entry.proof, checkpoint.root)
    except ProofError as error:
        sentence = f"The log does not hold {entry.label} as the packet shows it: {error}."
        yield Finding(Check.INCLUSION, entry.label, sentence)


class _Chain:
    """Follows the entries of one claim, from number 0, each holding the hash of the one before."""

    def __init__(self, checkpoint: Checkpoint | None) -> None:
        self._tenant = checkpoint.origin.rpartition("/")[2] if checkpoint else None
        self._claim_id: str | None = None
        self._sequence = 0
        self._before: Entry | None = None

    def skip(self) -> None:
        """Count an entry that cannot be read; what follows cannot be compared with it."""
        self._sequence += 1
        self._before = None

    def follow(self, entry: Entry) -> Iterator[Finding]:
        """Say what keeps `entry` from being the claim's next one, and go on from it."""
        claim = entry.leaf.claim
        if claim is None:
            yield self._finding(entry, "belongs to no claim")
            return
        if self._claim_id not in (None, claim.claim_id):
            yield self._finding(entry, f"belongs to another claim, {claim.claim_id!r}")
        if self._tenant not in (None, entry.leaf.tenant):
            yield self._finding(entry, f"belongs to {entry.leaf.tenant!r}, and the log to {self._tenant!r}")
        if claim.sequence > self._sequence:
            missing = range(self._sequence, claim.sequence)
            gap = f"number {missing[0]} was" if len(missing) == 1 else f"{missing[0]} to {missing[-1]} were"
            yield self._finding(entry, f"is number {claim.sequence}, and {gap} left out before it")
        elif claim.sequence < self._sequence:
            yield self._finding(entry, f"is number {claim.sequence} and comes too late")
        elif self._before is not None and claim.previous != self._before.hash:
            yield self._finding(entry, f"does not follow on {self._before.label}, whose hash it should hold")
        if self._before is not None and entry.index <= self._before.index:
            yield self._finding(entry, f"stands in the log before {self._before.label}")
        self._claim_id, self._sequence, self._before = claim.claim_id, claim.sequence + 1, entry

    def _finding(self, entry: Entry, what: str) -> Finding:
        return Finding(Check.CHAIN, entry.label, f"The claim's chain breaks: {entry.label} {what}.")


def check_personal(entry: Entry) -> Iterator[Finding]:
    """Say which of the disclosed parts are not what the leaf commits to."""
    for part in entry.personal:
        if not entry.commits_to(part):
            sentence = f"What {entry.label} discloses of subject {part.pseudonym!r} is not what was logged."
            yield Finding(Check.PERSONAL, entry.label, sentence)
            continue
        try:
            parse_personal_part(part.part)
        except LeafError as error:
            yield Finding(Check.PERSONAL, entry.label, f"A personal part of {entry.label} is malformed: {error}.")


def _note_evidence(entry: Entry, entries: Entries) -> None:
    if entry.leaf.action == "evidence.uploaded" and entry.leaf.outcome is Outcome.SUCCESS:
        match entry.details():
            case {"sha256": str(digest)}:
                entries.evidence_hashes[entry.leaf.entity_id] = digest


def _part(value: object) -> DisclosedPart:
    match value:
        case {"pseudonym": str(pseudonym), "salt": str(salt), "part": str(part)}:
            return DisclosedPart(pseudonym, _hash(salt), _utf8(part))
    raise EntryError("a personal part has the members pseudonym, salt and part")


def _hash(value: object) -> bytes:
    if not isinstance(value, str) or not _HASH.fullmatch(value):
        raise EntryError("hashes and salts are 64 lower-case hex digits")
    return bytes.fromhex(value)


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise EntryError("a text holds a lone surrogate") from error
