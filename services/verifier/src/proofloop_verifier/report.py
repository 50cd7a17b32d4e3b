"""What a verification says: findings in plain sentences, and one verdict drawn from them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MAX_FINDINGS = 1000
"""Most findings of one check."""
_MAX_CHARACTERS = 1000


class CheckKind(StrEnum):
    """Checks, in the order in which they are reported."""

    @property
    def meaning(self) -> str:
        """What the check establishes, for people."""
        raise NotImplementedError


class Check(CheckKind):
    """The checks of a packet, in the order in which they are made and reported."""

    ARCHIVE = "archive"
    BAG = "bag"
    CHECKPOINT = "checkpoint"
    LEAF = "leaf"
    INCLUSION = "inclusion"
    CHAIN = "chain"
    PERSONAL = "personal"
    CUTOFF = "cutoff"
    EVIDENCE = "evidence"
    PDF = "pdf"

    @property
    def meaning(self) -> str:
        """What the check establishes, for people."""
        return _MEANINGS[self]


_MEANINGS = {
    Check.ARCHIVE: "The file is a safe archive",
    Check.BAG: "Every file is there, none was added or changed",
    Check.CHECKPOINT: "The log's checkpoint is signed",
    Check.LEAF: "Every audit entry is well-formed",
    Check.INCLUSION: "Every audit entry stands in the signed log",
    Check.CHAIN: "No audit entry of the claim was left out",
    Check.PERSONAL: "What entries say about people is what was logged",
    Check.CUTOFF: "The log seals the contents of this packet",
    Check.EVIDENCE: "The evidence is what the sealed contents list",
    Check.PDF: "The summary is signed by the sealed signer",
}


class LogCheck(CheckKind):
    """The checks of a copy of a log, in the order in which they are reported."""

    CHECKPOINT = "checkpoint"
    TREE = "tree"
    ENTRY = "entry"
    LEAF = "leaf"
    CHAIN = "chain"

    @property
    def meaning(self) -> str:
        """What the check establishes, for people."""
        return _LOG_MEANINGS[self]


_LOG_MEANINGS = {
    LogCheck.CHECKPOINT: "The log's checkpoint is signed",
    LogCheck.TREE: "Every tile is a part of the signed tree",
    LogCheck.ENTRY: "Every entry is there, and is the one that was signed",
    LogCheck.LEAF: "Every entry is well-formed, and of this log",
    LogCheck.CHAIN: "The entries of every claim follow on each other",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, or that could not be checked."""

    check: CheckKind
    subject: str
    """The file or audit entry that it is about."""
    sentence: str
    """Says to a person what is wrong with it."""
    not_checked: bool = False
    """Nothing wrong was seen, because nothing could be looked at."""

    def to_json(self) -> dict[str, Any]:
        """The finding for programs."""
        return {
            "check": self.check,
            "subject": self.subject,
            "sentence": self.sentence,
            "not_checked": self.not_checked,
        }

    def __post_init__(self) -> None:
        # Names and texts come from hostile files: a terminal must not obey them, and all must be encodable.
        object.__setattr__(self, "subject", _printable(self.subject))
        object.__setattr__(self, "sentence", _printable(self.sentence))


def _printable(text: str) -> str:
    shown = text if len(text) <= _MAX_CHARACTERS else f"{text[:_MAX_CHARACTERS]}…"
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in shown)


class Verdict(StrEnum):
    """What may be said about a packet or a copy of a log."""

    VERIFIED = "verified"
    """Everything was checked, nothing is wrong, and a trusted key signed the log."""
    CONSISTENT_UNKNOWN_KEY = "consistent_unknown_key"
    """Everything was checked and fits together, but no trusted key vouches for it."""
    FAILED = "failed"
    """Something is wrong or could not be checked."""


@dataclass(frozen=True, slots=True)
class Report:
    """The outcome of verifying one packet."""

    findings: tuple[Finding, ...]
    """In the order of the checks; within a check, in the order of the packet."""
    entries_proven: int
    """Audit entries that are well-formed and proven to stand in the signed log."""
    evidence_files: int
    """Evidence files that are what the sealed contents list."""
    packet_id: str | None
    key_fingerprint: str | None
    """Of the key that signed the checkpoint; None when no signature holds."""
    key_trusted: bool
    """Whether that key is one of those that the caller trusts."""

    @property
    def verdict(self) -> Verdict:
        """Verified only when nothing at all was found and the key is trusted."""
        if self.findings or self.key_fingerprint is None:
            return Verdict.FAILED
        return Verdict.VERIFIED if self.key_trusted else Verdict.CONSISTENT_UNKNOWN_KEY

    @property
    def first_failure(self) -> Finding | None:
        """The first thing that is wrong; else the first that could not be checked."""
        return first_failure(self.findings)

    def to_json(self) -> dict[str, Any]:
        """The report for programs; a stable form of plain values."""
        return {
            "verdict": self.verdict,
            "packet_id": self.packet_id,
            "key_fingerprint": self.key_fingerprint,
            "key_trusted": self.key_trusted,
            "entries_proven": self.entries_proven,
            "evidence_files": self.evidence_files,
            "findings": [finding.to_json() for finding in self.findings],
        }


def first_failure(findings: Sequence[Finding]) -> Finding | None:
    """The first thing that is wrong; else the first that could not be checked."""
    return min(findings, key=lambda finding: finding.not_checked, default=None)


def bounded(findings: Iterable[Finding]) -> list[Finding]:
    """The first thousand findings: a packet with more is broken beyond listing, and memory is finite."""
    return list(islice(findings, MAX_FINDINGS))


def in_order(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """The findings in the order of the checks."""
    order: list[CheckKind] = [*Check]
    return tuple(sorted(findings, key=lambda finding: order.index(finding.check)))
