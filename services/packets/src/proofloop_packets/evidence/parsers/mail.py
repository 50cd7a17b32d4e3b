"""E-mail messages (RFC 5322, MIME)."""

from __future__ import annotations

import email
import hashlib
from datetime import UTC, datetime
from email import policy
from email.errors import (
    CloseBoundaryNotFoundDefect,
    HeaderParseError,
    MultipartInvariantViolationDefect,
    NoBoundaryInMultipartDefect,
    StartBoundaryNotFoundDefect,
)
from email.utils import getaddresses, parsedate_to_datetime
from itertools import islice
from typing import TYPE_CHECKING, BinaryIO, TypedDict

from proofloop_packets.evidence.metadata import Fact, Limits, Mark
from proofloop_packets.evidence.parsers.findings import Findings, clip, excerpt

if TYPE_CHECKING:
    from email.message import EmailMessage

_BROKEN_STRUCTURE = (
    MultipartInvariantViolationDefect,
    NoBoundaryInMultipartDefect,
    StartBoundaryNotFoundDefect,
)
_ENCRYPTED_TYPES = {"multipart/encrypted", "application/pkcs7-mime", "application/x-pkcs7-mime"}


class MailFacts(TypedDict, total=False):
    """Facts of a message. Nothing here is proof: a sender writes what he likes into these fields."""

    sender: str
    recipients: list[str]
    date: str
    """The Date field in UTC, RFC 3339."""
    subject: str
    message_id: str
    attachments: list[dict[str, Fact]]
    """``name``, ``media_type`` as declared, ``size`` in bytes, ``sha256`` of the decoded bytes."""
    text: str
    """Beginning of the plain text body."""


def inspect_mail(file: BinaryIO, limits: Limits) -> Findings:
    """The envelope as the message tells it, its attachments with hashes, the beginning of its text."""
    findings = Findings()
    content = file.read(limits.whole_file_bytes + 1)
    if len(content) > limits.whole_file_bytes:
        findings.mark(Mark.OVERSIZED_CONTENT)
        content = content[: limits.whole_file_bytes]
    message = email.message_from_bytes(content, policy=policy.default)
    try:
        _read_envelope(message, findings, limits)
        _read_parts(message, findings, limits)
    except (HeaderParseError, LookupError, ValueError):  # broken tokens, unknown charsets, impossible dates
        findings.mark(Mark.MALFORMED)
    return findings


def _read_envelope(message: EmailMessage, findings: Findings, limits: Limits) -> None:
    recipients = [str(value) for name in ("To", "Cc") for value in message.get_all(name, [])]
    addresses = [address for _, address in getaddresses(recipients) if address]
    findings.add(
        MailFacts(
            sender=clip(str(message.get("From", ""))),
            recipients=[clip(address) for address in addresses[: limits.items]],
            subject=clip(str(message.get("Subject", ""))),
            message_id=clip(str(message.get("Message-ID", ""))),
        )
    )
    if date := str(message.get("Date", "")):
        findings.add(MailFacts(date=_utc(parsedate_to_datetime(date))))


def _read_parts(message: EmailMessage, findings: Findings, limits: Limits) -> None:
    attachments: list[dict[str, Fact]] = []
    text = ""
    for part in islice(message.walk(), 10 * limits.items):
        for defect in part.defects:
            if isinstance(defect, CloseBoundaryNotFoundDefect):
                findings.mark(Mark.TRUNCATED)
            elif isinstance(defect, _BROKEN_STRUCTURE):
                findings.mark(Mark.MALFORMED)
        if part.get_content_type() in _ENCRYPTED_TYPES:
            findings.mark(Mark.ENCRYPTED)
        if part.is_multipart():
            continue
        if part.is_attachment() or part.get_filename():
            attachments.append(_describe_attachment(part))
        elif not text and part.get_content_type() == "text/plain":
            text = str(part.get_content())
    if len(attachments) > limits.items:
        findings.mark(Mark.OVERSIZED_CONTENT)
    findings.add(MailFacts(attachments=attachments[: limits.items], text=excerpt(text, limits.text_characters)))


def _describe_attachment(part: EmailMessage) -> dict[str, Fact]:
    decoded = part.get_payload(decode=True)
    content = decoded if isinstance(decoded, bytes) else b""
    return {
        "name": clip(part.get_filename() or "attachment"),
        "media_type": clip(part.get_content_type()),
        "size": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }


def _utc(time: datetime) -> str:
    """RFC 3339; a date with the zone ``-0000`` (RFC 5322: unknown) is taken as UTC."""
    aware = time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    return aware.isoformat(timespec="seconds").replace("+00:00", "Z")
