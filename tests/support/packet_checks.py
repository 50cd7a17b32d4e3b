"""What the tests of packets ask of a verifier's report, and a key that it must not trust."""

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from proofloop_verifier.note import VerifierKey
from proofloop_verifier.report import Check, Finding, Report

OTHER_KEY = VerifierKey.of("proofloop.local/acme", Ed25519PrivateKey.from_private_bytes(b"\x09" * 32).public_key())
"""The key of another log of the same name."""


def found(report: Report, check: Check) -> list[Finding]:
    """Return what one of the checks found."""
    return [finding for finding in report.findings if finding.check is check]
