"""What a check of the service's own logs says: findings in the form of the verifier's, and one verdict for each log."""

from dataclasses import dataclass
from typing import Any

from proofloop_verifier.report import CheckKind, Finding, Verdict, first_failure


class StoredCheck(CheckKind):
    """The checks of a log where it is kept, in the order in which they are reported."""

    CHECKPOINT = "checkpoint"
    ENTRY = "entry"
    TREE = "tree"
    LEAF = "leaf"
    CHAIN = "chain"
    SEARCH = "search"
    PERSONAL = "personal"
    PUBLISHED = "published"

    @property
    def meaning(self) -> str:
        """Return what the check establishes, for people."""
        return _MEANINGS[self]


_MEANINGS = {
    StoredCheck.CHECKPOINT: "Every checkpoint is signed, and is that of the entries",
    StoredCheck.ENTRY: "Every entry is there, and has the hash that is stored",
    StoredCheck.TREE: "Every stored hash of the tree is that of its entries",
    StoredCheck.LEAF: "Every entry is well-formed, and of this log",
    StoredCheck.CHAIN: "The entries of every claim follow on each other",
    StoredCheck.SEARCH: "What entries are found by is what they say",
    StoredCheck.PERSONAL: "What entries say about people is what was logged",
    StoredCheck.PUBLISHED: "What is published is what the log holds",
}


@dataclass(frozen=True, slots=True)
class StoredReport:
    """The outcome of checking one log.

    Attributes:
        tenant: Whose log.
        origin: Its name.
        entries: How many it had when the check began; all of them were looked at.
        findings: What is wrong, along the log.
    """

    tenant: str
    origin: str
    entries: int
    findings: tuple[Finding, ...]

    @property
    def verdict(self) -> Verdict:
        """Verified only when nothing at all was found."""
        return Verdict.FAILED if self.findings else Verdict.VERIFIED

    @property
    def first_failure(self) -> Finding | None:
        """The first thing that is wrong; else the first that could not be checked."""
        return first_failure(self.findings)

    def to_json(self) -> dict[str, Any]:
        """Return the report for programs; a stable form of plain values."""
        return {
            "verdict": self.verdict,
            "tenant": self.tenant,
            "origin": self.origin,
            "entries": self.entries,
            "findings": [finding.to_json() for finding in self.findings],
        }
