"""Verify a packet: one file, no network, nothing believed but the keys that the caller trusts."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from tempfile import TemporaryFile
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import Certificate, load_pem_x509_certificate

from proofloop_verifier.archive import Archive, ArchiveError, Digest, UnsafeArchiveError
from proofloop_verifier.bag import DECLARATION, MANIFEST, PAYLOAD, TAG_MANIFEST, check_bag
from proofloop_verifier.entries import ENTRIES, Entries, check_entries
from proofloop_verifier.note import Checkpoint, Note, NoteError, VerifierKey
from proofloop_verifier.report import Check, Finding, Report, bounded, in_order
from proofloop_verifier.snapshot import Snapshot, SnapshotError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

BAG_INFO = "bag-info.txt"
INSTRUCTIONS = "VERIFY.txt"
SUMMARY = "data/summary.pdf"
SNAPSHOT = "data/packet.json"
CHECKPOINT = "data/audit/checkpoint.txt"
LOG_KEY = "data/keys/log.vkey"
SIGNER = "data/keys/packet-signer.pem"
EVIDENCE = "data/evidence/"

_FILES = {
    DECLARATION,
    BAG_INFO,
    MANIFEST,
    TAG_MANIFEST,
    INSTRUCTIONS,
    SUMMARY,
    SNAPSHOT,
    ENTRIES,
    CHECKPOINT,
    LOG_KEY,
    SIGNER,
}


def verify_packet(path: Path, trusted: Sequence[VerifierKey] = ()) -> Report:
    """Check the packet at `path` and say all that is wrong with it.

    Whatever the file holds, the answer is a report. Keys inside the packet are never trust: they only decide
    between a packet that is consistent and one that is not.
    """
    try:
        archive = Archive.open(path)
    except UnsafeArchiveError as error:
        return Report(
            findings=in_order(error.findings),
            entries_proven=0,
            evidence_files=0,
            packet_id=None,
            key_fingerprint=None,
            key_trusted=False,
        )
    with archive:
        return _verify(archive, trusted)


def _verify(archive: Archive, trusted: Sequence[VerifierKey]) -> Report:
    digests, findings = check_bag(archive)
    findings += bounded(_check_files(archive))
    signed, wrong = _check_checkpoint(archive, trusted)
    findings += wrong
    entries, wrong = check_entries(archive, signed.checkpoint)
    findings += wrong
    snapshot, wrong = _read_snapshot(archive)
    findings += wrong
    signer, wrong = _read_signer(archive)
    findings += wrong
    findings += _check_cutoff(archive.top, entries, digests, signer)
    evidence_files = 0
    if snapshot is not None:
        findings += _check_snapshot(archive.top, entries, snapshot)
        wrong = bounded(_check_evidence(snapshot, entries, digests))
        evidence_files = len(snapshot.evidence) - len(wrong)
        findings += wrong
        findings += bounded(_check_unlisted(archive, snapshot))
    else:
        sentence = "The evidence was not checked: the contents that list it cannot be read."
        findings.append(Finding(Check.EVIDENCE, SNAPSHOT, sentence, not_checked=True))
    findings += _check_summary(archive, signer, digests.get(SNAPSHOT))
    return Report(
        findings=in_order(findings),
        entries_proven=entries.proven,
        evidence_files=evidence_files,
        packet_id=archive.top,
        key_fingerprint=signed.key.fingerprint if signed.key else None,
        key_trusted=signed.trusted,
    )


def _check_files(archive: Archive) -> Iterator[Finding]:
    """A packet holds the files of its format and nothing else: manifests are unsigned, so they may grow."""
    for name in sorted(set(archive.names) - _FILES):
        if not name.startswith(EVIDENCE):
            yield Finding(Check.BAG, name, f"The file {name!r} is not part of a packet.")
    for name in (BAG_INFO, INSTRUCTIONS):
        if name not in archive.names:
            yield Finding(Check.BAG, name, f"The file {name!r} is missing.")


@dataclass(frozen=True, slots=True)
class _Signed:
    checkpoint: Checkpoint | None = None
    key: VerifierKey | None = None
    trusted: bool = False


def _check_checkpoint(archive: Archive, trusted: Sequence[VerifierKey]) -> tuple[_Signed, list[Finding]]:
    try:
        note = Note.parse(archive.read(CHECKPOINT))
        checkpoint = Checkpoint.parse(note.text)
    except (ArchiveError, NoteError) as error:
        sentence = f"The log's checkpoint {CHECKPOINT} cannot be read: {error}."
        return _Signed(), [Finding(Check.CHECKPOINT, CHECKPOINT, sentence)]
    findings: list[Finding] = []
    try:
        own = [VerifierKey.parse(archive.read(LOG_KEY).decode(errors="replace").removesuffix("\n"))]
    except (ArchiveError, NoteError) as error:
        own = []
        findings.append(Finding(Check.CHECKPOINT, LOG_KEY, f"The log's key {LOG_KEY} cannot be read: {error}."))
    signers: list[VerifierKey] = []
    for key in dict.fromkeys((*trusted, *own)):
        try:
            signers += note.verify([key])
        except NoteError as error:
            findings.append(Finding(Check.CHECKPOINT, CHECKPOINT, f"The checkpoint was changed: {error}."))
    if own and not findings and own[0] not in signers:
        sentence = f"The checkpoint is not signed by the log's key in {LOG_KEY}."
        findings.append(Finding(Check.CHECKPOINT, LOG_KEY, sentence))
    signer = signers[0] if signers else None
    if signer is not None and signer.name != checkpoint.origin:
        sentence = f"The checkpoint of the log {checkpoint.origin!r} is signed by the key of {signer.name!r}."
        findings.append(Finding(Check.CHECKPOINT, CHECKPOINT, sentence))
    return _Signed(checkpoint, signer, signer in trusted), findings


def _read_snapshot(archive: Archive) -> tuple[Snapshot | None, list[Finding]]:
    try:
        return Snapshot.parse(archive.read(SNAPSHOT)), []
    except (ArchiveError, SnapshotError) as error:
        return None, [Finding(Check.CUTOFF, SNAPSHOT, f"The contents {SNAPSHOT} cannot be read: {error}.")]


def _read_signer(archive: Archive) -> tuple[Certificate | None, list[Finding]]:
    try:
        return load_pem_x509_certificate(archive.read(SIGNER)), []
    except (ArchiveError, ValueError) as error:
        return None, [Finding(Check.CUTOFF, SIGNER, f"The certificate {SIGNER} cannot be read: {error}.")]


def _check_cutoff(
    packet_id: str, entries: Entries, digests: dict[str, Digest], signer: Certificate | None
) -> Iterator[Finding]:
    """The last entry must seal this packet: its contents and who signs its summary."""
    last = entries.last
    if last is None:
        yield Finding(Check.CUTOFF, ENTRIES, "The packet's last audit entry, which seals it, cannot be read.")
        return
    if (last.leaf.action, last.leaf.entity_type) != ("packet.cutoff", "packet"):
        sentence = f"The last entry is {last.label} and not the one that seals a packet: the end was left out."
        yield Finding(Check.CUTOFF, last.label, sentence)
        return
    if last.leaf.entity_id != packet_id:
        sentence = f"The last entry seals the packet {last.leaf.entity_id!r}, and this one is {packet_id!r}."
        yield Finding(Check.CUTOFF, last.label, sentence)
    details = last.details()
    if not isinstance(details.get("snapshot_sha256"), str) or not isinstance(details.get("signer_sha256"), str):
        yield Finding(Check.CUTOFF, last.label, f"What {last.label} seals is not disclosed.")
        return
    if SNAPSHOT in digests and digests[SNAPSHOT].sha256 != details["snapshot_sha256"]:
        yield Finding(Check.CUTOFF, SNAPSHOT, f"The contents {SNAPSHOT} are not those that the log seals.")
    if signer and sha256(signer.public_bytes(Encoding.DER)).hexdigest() != details["signer_sha256"]:
        yield Finding(Check.CUTOFF, SIGNER, f"The certificate {SIGNER} is not the one that the log seals.")


def _check_snapshot(packet_id: str, entries: Entries, snapshot: Snapshot) -> Iterator[Finding]:
    """The contents must be of the packet, claim and tenant that the log speaks of."""
    told = {"packet": (snapshot.packet_id, packet_id)}
    if entries.last is not None and entries.last.leaf.claim is not None:
        told["claim"] = (snapshot.claim_id, entries.last.leaf.claim.claim_id)
        told["tenant"] = (snapshot.tenant, entries.last.leaf.tenant)
    for what, (in_snapshot, expected) in told.items():
        if in_snapshot != expected:
            sentence = f"The contents {SNAPSHOT} are of the {what} {in_snapshot!r}, expected {expected!r}."
            yield Finding(Check.CUTOFF, SNAPSHOT, sentence)


def _check_evidence(snapshot: Snapshot, entries: Entries, digests: dict[str, Digest]) -> Iterator[Finding]:
    for item in snapshot.evidence:
        name = PAYLOAD + item.path
        if name not in digests:
            yield Finding(Check.EVIDENCE, name, f"The evidence file {name!r} is missing.")
        elif digests[name] != Digest(item.size, item.sha256):
            sentence = f"The evidence file {name!r} is not the one that {SNAPSHOT} lists: its hash or size differ."
            yield Finding(Check.EVIDENCE, name, sentence)
        elif entries.evidence_hashes.get(item.evidence_id, item.sha256) != item.sha256:
            sentence = f"The evidence file {name!r} is not the one whose upload the log recorded."
            yield Finding(Check.EVIDENCE, name, sentence)


def _check_unlisted(archive: Archive, snapshot: Snapshot) -> Iterator[Finding]:
    listed = {PAYLOAD + item.path for item in snapshot.evidence}
    for name in archive.names:
        if name.startswith(EVIDENCE) and name not in listed:
            yield Finding(Check.EVIDENCE, name, f"The evidence file {name!r} is not listed in {SNAPSHOT}.")


def _check_summary(archive: Archive, signer: Certificate | None, snapshot: Digest | None) -> Iterator[Finding]:
    if signer is None or snapshot is None:
        sentence = f"The signature of {SUMMARY} was not checked: the signer or the contents cannot be read."
        yield Finding(Check.PDF, SUMMARY, sentence, not_checked=True)
        return
    try:
        from proofloop_verifier.pdf import PdfError, check_pdf
    except ModuleNotFoundError:
        sentence = f"The signature of {SUMMARY} was not checked: install proofloop-verifier[pdf]."
        yield Finding(Check.PDF, SUMMARY, sentence, not_checked=True)
        return
    try:
        with TemporaryFile() as pdf:
            for chunk in archive.chunks(SUMMARY):
                pdf.write(chunk)
            check_pdf(pdf, signer, snapshot.sha256)
    except ArchiveError as error:
        yield Finding(Check.PDF, SUMMARY, f"The summary cannot be read: {error}.")
    except PdfError as error:
        yield Finding(Check.PDF, SUMMARY, str(error))
