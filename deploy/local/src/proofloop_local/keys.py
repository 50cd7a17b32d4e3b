"""The local stack's development keys. They live in its data folder and are made at first use.

tokens.jwk          signs tokens: Ed25519 JWK (RFC 7517), private
tokens.jwks         checks tokens: JWK Set, public
log.pem             signs the audit log's checkpoints: Ed25519, PKCS #8
log.vkeys           checks them: C2SP signed-note verifier keys, one a log
master.key          wraps the tenants' keys: 32 bytes as 64 hexadecimal digits
packet-signer.key   signs the packets' PDF: RSA 3072, PKCS #8
packet-signer.pem   its certificate and the root that issued it, in this order
"""

import json
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from joserfc.jwk import KeySet, OKPKey
from proofloop_verifier.note import VerifierKey

from proofloop_local.authority import BACKDATED, common_name, private_pem, usage
from proofloop_local.files import SECRET, write_whole

RSA_BITS = 3072
PUBLIC_EXPONENT = 65537
# A packet is read years after it was signed.
SIGNER_LIFETIME = timedelta(days=3650)


@dataclass(frozen=True, slots=True)
class Keys:
    """Where the keys of the folder are."""

    folder: Path

    @property
    def token_key(self) -> Path:
        """Private: signs tokens."""
        return self.folder / "tokens.jwk"

    @property
    def token_key_set(self) -> Path:
        """Public: checks tokens."""
        return self.folder / "tokens.jwks"

    @property
    def log_key(self) -> Path:
        """Private: signs checkpoints."""
        return self.folder / "log.pem"

    @property
    def log_verifier_keys(self) -> Path:
        """Public: checks checkpoints; a line a log."""
        return self.folder / "log.vkeys"

    @property
    def master_key(self) -> Path:
        """Secret: wraps the tenants' keys."""
        return self.folder / "master.key"

    @property
    def packet_key(self) -> Path:
        """Private: signs the packets' PDF."""
        return self.folder / "packet-signer.key"

    @property
    def packet_certificates(self) -> Path:
        """Public: the certificate of `packet_key`, then the root."""
        return self.folder / "packet-signer.pem"


def make_keys(
    folder: Path, log_origins: Sequence[str] = (), now: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> Keys:
    """Make the keys that `folder` does not hold yet, and name the log's public key for each log.

    `now` dates the packet signer's certificate.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    keys = Keys(folder)
    if not keys.token_key_set.exists():
        token_key = OKPKey.generate_key("Ed25519", {"use": "sig", "alg": "Ed25519"}, auto_kid=True)
        write_whole(keys.token_key, json.dumps(token_key.as_dict(private=True)).encode(), SECRET)
        public = KeySet([OKPKey.import_key(token_key.as_dict(private=False))])
        write_whole(keys.token_key_set, json.dumps(public.as_dict(private=False)).encode())
    if not keys.log_key.exists():
        write_whole(keys.log_key, private_pem(ed25519.Ed25519PrivateKey.generate()), SECRET)
    _name_log_key(keys, log_origins)
    if not keys.master_key.exists():
        write_whole(keys.master_key, secrets.token_hex(32).encode(), SECRET)
    if not keys.packet_certificates.exists():
        _make_packet_signer(keys, now())
    return keys


def _name_log_key(keys: Keys, origins: Sequence[str]) -> None:
    key = load_pem_private_key(keys.log_key.read_bytes(), password=None)
    if not isinstance(key, ed25519.Ed25519PrivateKey):
        raise TypeError(f"{keys.log_key} holds no Ed25519 key")
    lines = [f"{VerifierKey.of(origin, key.public_key())}\n" for origin in origins]
    write_whole(keys.log_verifier_keys, "".join(lines).encode())


def _make_packet_signer(keys: Keys, now: datetime) -> None:
    root_key, key = (rsa.generate_private_key(PUBLIC_EXPONENT, RSA_BITS) for _ in range(2))
    root_name = common_name("Proofloop local packet root")
    root = (
        _dated(root_name, root_key.public_key(), root_name, now)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage(key_cert_sign=True, crl_sign=True), critical=True)
        .sign(root_key, hashes.SHA256())
    )
    certificate = (
        _dated(common_name("Proofloop local packet signer"), key.public_key(), root_name, now)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage(digital_signature=True, content_commitment=True), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key()), critical=False)
        .sign(root_key, hashes.SHA256())
    )
    chain = b"".join(link.public_bytes(Encoding.PEM) for link in (certificate, root))
    write_whole(keys.packet_key, private_pem(key), SECRET)
    write_whole(keys.packet_certificates, chain)


def _dated(subject: x509.Name, public: rsa.RSAPublicKey, issuer: x509.Name, now: datetime) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + SIGNER_LIFETIME)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )
