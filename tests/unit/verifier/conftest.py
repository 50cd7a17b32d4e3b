"""Packets to verify, made from nothing but the format's description, with real keys and a real signed PDF."""

import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from asn1crypto import keys as asn1_keys
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from proofloop_verifier import canonical
from proofloop_verifier.leaf import ClaimLink, Leaf, Outcome, SubjectCommitment, commitment
from proofloop_verifier.merkle import (
    Subtree,
    inclusion_proof,
    inclusion_subtrees,
    leaf_hash,
    root_of,
)
from proofloop_verifier.note import Checkpoint, VerifierKey, sign
from proofloop_verifier.packet import verify_packet
from pyhanko.pdf_utils.generic import StreamObject
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.writer import PageObject, PdfFileWriter
from pyhanko.sign.fields import SigSeedSubFilter
from pyhanko.sign.signers import PdfSignatureMetadata, SimpleSigner, sign_pdf
from pyhanko_certvalidator.registry import SimpleCertificateStore

PACKET_ID = "0190b5a0-0000-7000-8000-00000000aaaa"
CLAIM_ID = "0190b5a0-0000-7000-8000-00000000cccc"
TENANT = "acme"
ORIGIN = f"proofloop.local/{TENANT}"
START = datetime(2026, 1, 2, 3, 4, 5, 678901, UTC)
EVIDENCE = {
    "evidence/invoice 0042.pdf": b"%PDF-1.7 an invoice",
    "evidence/Lieferschein \u00fc.csv": b"sku,units\nA-1,28\n",
    "evidence/empty.txt": b"",
}


@dataclass
class Person:
    """A data subject with what one entry says of it."""

    number: int
    part: dict[str, str]

    @property
    def pseudonym(self) -> str:
        return sha256(b"pseudonym %d" % self.number).hexdigest()[:32]

    @property
    def salt(self) -> bytes:
        return sha256(b"salt %d" % self.number).digest()

    @property
    def text(self) -> bytes:
        return canonical.dumps(self.part)

    @property
    def commitment(self) -> SubjectCommitment:
        return SubjectCommitment(self.pseudonym, commitment(self.salt, self.text))

    @property
    def disclosed(self) -> dict[str, str]:
        return {"pseudonym": self.pseudonym, "salt": self.salt.hex(), "part": self.text.decode()}


@dataclass
class Log:
    """A log of one tenant: every second entry belongs to the claim, the others to nobody."""

    hashes: list[bytes] = field(default_factory=list)
    entries: list[tuple[int, Leaf, list[Person]]] = field(default_factory=list)

    def append(self, action: str, entity_type: str, entity_id: str, details: dict[str, Any]) -> None:
        self.hashes.append(leaf_hash(b"an entry of another claim, %d" % len(self.hashes)))
        number = len(self.entries)
        person = Person(
            number,
            {"actor_id": "user-1", "actor_type": "user", "details": json.dumps(details)},
        )
        leaf = Leaf(
            entry_id=f"0190b5a0-0000-7000-8000-{number:012d}",
            event_time=START + timedelta(minutes=number),
            append_time=START + timedelta(minutes=number, seconds=1),
            tenant=TENANT,
            service="packets",
            action=action,
            outcome=Outcome.SUCCESS,
            entity_type=entity_type,
            entity_id=entity_id,
            claim=ClaimLink(CLAIM_ID, number, leaf_hash(self.entries[-1][1].to_bytes()) if self.entries else None),
            subjects=(person.commitment,),
        )
        self.entries.append((len(self.hashes), leaf, [person]))
        self.hashes.append(leaf_hash(leaf.to_bytes()))

    def proof(self, index: int) -> list[bytes]:
        def root(subtree: Subtree) -> bytes:
            begin = subtree.position << subtree.level
            return root_of(self.hashes[begin : begin + (1 << subtree.level)])

        needed = inclusion_subtrees(index, len(self.hashes))
        return inclusion_proof(index, len(self.hashes), {subtree: root(subtree) for subtree in needed})

    def lines(self) -> list[dict[str, Any]]:
        return [
            {
                "index": index,
                "leaf": leaf.to_bytes().decode(),
                "proof": [digest.hex() for digest in self.proof(index)],
                "personal": [person.disclosed for person in people],
            }
            for index, leaf, people in self.entries
        ]


@cache
def certificate(number: int) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    key = ec.derive_private_key(number, ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"packet signer {number}")])
    return key, (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(number)
        .not_valid_before(START)
        .not_valid_after(START + timedelta(days=1))
        .add_extension(
            x509.KeyUsage(
                digital_signature=True,
                content_commitment=True,
                key_encipherment=False,
                data_encipherment=False,
                key_agreement=False,
                key_cert_sign=False,
                crl_sign=False,
                encipher_only=False,
                decipher_only=False,
            ),
            critical=True,
        )
        .sign(key, hashes.SHA256())
    )


@cache
def blank_pdf() -> bytes:
    writer = PdfFileWriter()
    content = writer.add_object(StreamObject(stream_data=b"0 0 m 10 10 l S"))
    writer.insert_page(PageObject(contents=content, media_box=(0, 0, 100, 100)))
    output = BytesIO()
    writer.write(output)
    return output.getvalue()


@cache
def signed_pdf(reason: str, number: int) -> bytes:
    return _sign(blank_pdf(), reason, number)


def _sign(pdf: bytes, reason: str, number: int, field_name: str = "Signature") -> bytes:
    key, cert = certificate(number)
    store = SimpleCertificateStore()
    signer = SimpleSigner(
        signing_cert=asn1_x509.Certificate.load(cert.public_bytes(Encoding.DER)),
        signing_key=asn1_keys.PrivateKeyInfo.load(key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())),
        cert_registry=store,
    )
    output = BytesIO()
    sign_pdf(
        IncrementalPdfFileWriter(BytesIO(pdf)),
        PdfSignatureMetadata(
            field_name=field_name, reason=reason, subfilter=SigSeedSubFilter.PADES, md_algorithm="sha256"
        ),
        signer,
        output=output,
    )
    return output.getvalue()


class PacketBuilder:
    """A packet's files, to be altered before they are written; as made, the packet is sound."""

    def __init__(self) -> None:
        self.log_signer = Ed25519PrivateKey.from_private_bytes(b"\x07" * 32)
        self.log_key = VerifierKey.of(ORIGIN, self.log_signer.public_key())
        self.log = Log()
        self.snapshot: dict[str, Any] = {
            "v": 1,
            "packet_id": PACKET_ID,
            "claim_id": CLAIM_ID,
            "tenant": TENANT,
            "title": "Lost inbound",
            "evidence": [
                {
                    "evidence_id": f"evidence-{number}",
                    "path": path,
                    "size": len(content),
                    "sha256": sha256(content).hexdigest(),
                }
                for number, (path, content) in enumerate(EVIDENCE.items())
            ],
        }
        self.top = PACKET_ID
        self.claim_entries()
        self.files = self.make_files()

    def claim_entries(self) -> None:
        self.log.append("claim.created", "claim", CLAIM_ID, {"title": "Lost inbound"})
        for item in self.snapshot["evidence"]:
            self.log.append("evidence.uploaded", "evidence", item["evidence_id"], {"sha256": item["sha256"]})
        self.log.append("claim.submitted", "claim", CLAIM_ID, {})
        self.cut_off()

    def cut_off(self) -> None:
        sealed = {
            "snapshot_sha256": sha256(json.dumps(self.snapshot).encode()).hexdigest(),
            "signer_sha256": sha256(certificate(1)[1].public_bytes(Encoding.DER)).hexdigest(),
        }
        self.log.append("packet.cutoff", "packet", PACKET_ID, sealed)

    def make_files(self) -> dict[str, bytes]:
        """The payload and tag files, without manifests."""
        snapshot = json.dumps(self.snapshot).encode()
        checkpoint = Checkpoint(ORIGIN, len(self.log.hashes), root_of(self.log.hashes))
        files = {
            "bagit.txt": b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n",
            "bag-info.txt": b"Bagging-Date: 2026-01-02\n",
            "VERIFY.txt": b"How to verify\n",
            "data/packet.json": snapshot,
            "data/summary.pdf": signed_pdf(f"Seals {sha256(snapshot).hexdigest()}", 1),
            "data/audit/entries.jsonl": to_lines(self.log.lines()),
            "data/audit/checkpoint.txt": sign(checkpoint.to_text(), ORIGIN, self.log_signer).to_bytes(),
            "data/keys/log.vkey": f"{self.log_key}\n".encode(),
            "data/keys/packet-signer.pem": certificate(1)[1].public_bytes(Encoding.PEM),
        }
        return files | {f"data/{path}": content for path, content in EVIDENCE.items()}

    def with_manifests(self) -> dict[str, bytes]:
        payload = {name: data for name, data in self.files.items() if name.startswith("data/")}
        tags = {name: data for name, data in self.files.items() if name not in payload}
        tags["manifest-sha256.txt"] = manifest(payload)
        return payload | tags | {"tagmanifest-sha256.txt": manifest(tags)}

    def entries(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.files["data/audit/entries.jsonl"].splitlines()]

    def set_entries(self, entries: list[dict[str, Any]]) -> None:
        self.files["data/audit/entries.jsonl"] = to_lines(entries)


def manifest(files: dict[str, bytes]) -> bytes:
    return "".join(f"{sha256(files[name]).hexdigest()}  {name}\n" for name in sorted(files)).encode()


def to_lines(entries: list[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(entry, ensure_ascii=False) + "\n" for entry in entries).encode()


def write_zip(path: Path, files: dict[str, bytes], top: str = PACKET_ID) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name in sorted(files):
            archive.writestr(zipfile.ZipInfo(f"{top}/{name}"), files[name])
    return path


@pytest.fixture
def packet() -> PacketBuilder:
    return PacketBuilder()


@pytest.fixture
def written(tmp_path: Path) -> Callable[[PacketBuilder], Path]:
    """Write a builder's packet with manifests that fit its files."""
    return lambda builder: write_zip(tmp_path / "packet.zip", builder.with_manifests(), builder.top)


@pytest.fixture
def zipped(tmp_path: Path) -> Callable[[dict[str, bytes]], Path]:
    """Write files as they are, in a packet's folder."""
    return lambda files: write_zip(tmp_path / "packet.zip", files)


@pytest.fixture(name="certificate", scope="session")
def certificate_fixture():
    return certificate


@pytest.fixture(name="signed_pdf", scope="session")
def signed_pdf_fixture():
    return signed_pdf


@pytest.fixture(name="blank_pdf", scope="session")
def blank_pdf_fixture():
    return blank_pdf


@pytest.fixture
def sign_again():
    return lambda pdf: _sign(pdf, "again", 1, "Another")


@pytest.fixture
def verdict_of(packet, written):
    """Verify the builder's packet, as it was altered, with its log's key trusted."""
    return lambda: verify_packet(written(packet), [packet.log_key])
