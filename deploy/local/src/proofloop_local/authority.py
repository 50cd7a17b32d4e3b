"""The stack's own certificate authority (X.509, RFC 5280; ECDSA P-256): it exists on this machine alone.

The files are named as in a Kubernetes TLS secret, so that services find the same names everywhere:

    ca.crt                 whom to trust
    ca.key                 signs; no service gets to see it
    <name>/tls.crt, .key   of one service, for its server and its client side alike
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import TypeAlias

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from proofloop_local.files import SECRET, write_whole

TRUST_DOMAIN = "proofloop.local"
AUTHORITY_LIFETIME = timedelta(days=3650)
LIFETIME = timedelta(days=90)
RENEW_WITHIN = timedelta(days=30)
# Clocks of containers and virtual machines may lag behind ours.
BACKDATED = timedelta(hours=1)

PrivateKey: TypeAlias = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey


@dataclass(frozen=True, slots=True)
class Credentials:
    """The files by which one party proves who it is and knows the others."""

    authority: Path
    certificate: Path
    key: Path


class Authority:
    """Issues certificates into a folder, and keeps them until they are near their end.

    `now` tells the time, aware, in UTC.
    """

    def __init__(self, folder: Path, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._folder = folder
        self._now = now

    def credentials(self, name: str) -> Credentials:
        """The credentials of the service `name`: SPIFFE id `spiffe://proofloop.local/<name>`, host localhost.

        They are made at the first call, and again when less than 30 days are left or the authority is new.
        """
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        authority, authority_key = self._authority()
        place = self._folder / name
        files = Credentials(self._folder / "ca.crt", place / "tls.crt", place / "tls.key")
        if not (files.key.exists() and self._is_good(files.certificate, authority)):
            key = ec.generate_private_key(ec.SECP256R1())
            certificate = self._certificate(name, key.public_key(), authority.subject, authority_key)
            place.mkdir(mode=0o700, exist_ok=True)
            files.certificate.unlink(missing_ok=True)
            write_whole(files.key, private_pem(key), SECRET)
            write_whole(files.certificate, certificate.public_bytes(Encoding.PEM))
        return files

    def _authority(self) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
        certificate_file, key_file = self._folder / "ca.crt", self._folder / "ca.key"
        if key_file.exists() and certificate_file.exists():
            certificate = x509.load_pem_x509_certificate(certificate_file.read_bytes())
            key = load_pem_private_key(key_file.read_bytes(), password=None)
            if not isinstance(key, ec.EllipticCurvePrivateKey):
                raise TypeError(f"{key_file} holds no elliptic curve key")
            if not self._ends_soon(certificate):
                return certificate, key
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._self_signed(key)
        certificate_file.unlink(missing_ok=True)
        write_whole(key_file, private_pem(key), SECRET)
        write_whole(certificate_file, certificate.public_bytes(Encoding.PEM))
        return certificate, key

    def _self_signed(self, key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
        name = common_name("Proofloop local authority")
        return (
            self._builder(name, key.public_key(), name, AUTHORITY_LIFETIME)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage(key_cert_sign=True, crl_sign=True), critical=True)
            .sign(key, hashes.SHA256())
        )

    def _certificate(
        self, name: str, public: ec.EllipticCurvePublicKey, issuer: x509.Name, key: ec.EllipticCurvePrivateKey
    ) -> x509.Certificate:
        names = [
            x509.UniformResourceIdentifier(f"spiffe://{TRUST_DOMAIN}/{name}"),
            x509.DNSName("localhost"),
            x509.IPAddress(IPv4Address("127.0.0.1")),
        ]
        both_sides = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        return (
            self._builder(common_name(name), public, issuer, LIFETIME)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(usage(digital_signature=True), critical=True)
            .add_extension(x509.ExtendedKeyUsage(both_sides), critical=False)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )

    def _builder(
        self, subject: x509.Name, public: ec.EllipticCurvePublicKey, issuer: x509.Name, lifetime: timedelta
    ) -> x509.CertificateBuilder:
        now = self._now()
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - BACKDATED)
            .not_valid_after(now + lifetime)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        )

    def _is_good(self, file: Path, authority: x509.Certificate) -> bool:
        if not file.exists():
            return False
        certificate = x509.load_pem_x509_certificate(file.read_bytes())
        try:
            certificate.verify_directly_issued_by(authority)
        except (ValueError, InvalidSignature):
            return False
        return not self._ends_soon(certificate)

    def _ends_soon(self, certificate: x509.Certificate) -> bool:
        return certificate.not_valid_after_utc - self._now() < RENEW_WITHIN


def common_name(name: str) -> x509.Name:
    """A distinguished name of a common name alone."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def usage(
    *,
    digital_signature: bool = False,
    content_commitment: bool = False,
    key_cert_sign: bool = False,
    crl_sign: bool = False,
) -> x509.KeyUsage:
    """What a key may be used for; nothing but what is named."""
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=content_commitment,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def private_pem(key: PrivateKey) -> bytes:
    """The private key as PKCS #8 PEM, not encrypted."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
