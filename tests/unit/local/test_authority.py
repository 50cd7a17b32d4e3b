"""The stack's certificates and keys: made once, kept closed, renewed in time."""

import json
import stat
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from proofloop_local.authority import Authority
from proofloop_local.errors import ServerError
from proofloop_local.keys import Keys, make_keys
from proofloop_local.token import ALGORITHM, AUDIENCE, ISSUER, make_token
from proofloop_verifier.note import VerifierKey

LOG = "proofloop.local/acme"
NOW = datetime(2026, 1, 2, tzinfo=UTC)


def certificate(file: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(file.read_bytes())


def test_a_certificate_names_the_service_and_this_machine_and_serves_both_sides(tmp_path: Path) -> None:
    files = Authority(tmp_path, lambda: NOW).credentials("audit")
    issued = certificate(files.certificate)
    issued.verify_directly_issued_by(certificate(files.authority))
    names = issued.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == ["spiffe://proofloop.local/audit"]
    assert names.get_values_for_type(x509.DNSName) == ["localhost"]
    assert names.get_values_for_type(x509.IPAddress) == [IPv4Address("127.0.0.1")]
    usages = issued.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert {usage._name for usage in usages} == {"serverAuth", "clientAuth"}
    key = load_pem_private_key(files.key.read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    assert key.public_key() == issued.public_key()


def test_certificates_are_kept_until_a_month_before_their_end(tmp_path: Path) -> None:
    first = Authority(tmp_path, lambda: NOW).credentials("audit").certificate.read_bytes()
    for days, same in ((59, True), (61, False)):
        later = Authority(tmp_path, lambda days=days: NOW + timedelta(days=days))
        assert (later.credentials("audit").certificate.read_bytes() == first) is same


def test_a_new_authority_issues_new_certificates(tmp_path: Path) -> None:
    authority = Authority(tmp_path, lambda: NOW)
    before = authority.credentials("audit").certificate.read_bytes()
    (tmp_path / "ca.crt").unlink()
    files = authority.credentials("audit")
    assert files.certificate.read_bytes() != before
    certificate(files.certificate).verify_directly_issued_by(certificate(files.authority))


def test_private_keys_are_closed_to_others(tmp_path: Path) -> None:
    files = Authority(tmp_path / "authority", lambda: NOW).credentials("audit")
    keys = make_keys(tmp_path / "keys", [LOG], lambda: NOW)
    secret = (
        files.key,
        files.authority.with_name("ca.key"),
        keys.token_key,
        keys.log_key,
        keys.master_key,
        keys.packet_key,
    )
    assert {stat.S_IMODE(file.stat().st_mode) for file in secret} == {0o600}


def test_keys_are_made_once_and_have_the_forms_that_services_read(tmp_path: Path) -> None:
    keys = make_keys(tmp_path, [LOG], lambda: NOW)
    contents = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    make_keys(tmp_path, [LOG], lambda: NOW)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == contents
    log_key = load_pem_private_key(contents["log.pem"], None)
    assert isinstance(log_key, ed25519.Ed25519PrivateKey)
    assert len(bytes.fromhex(contents["master.key"].decode())) == 32
    signer, root = x509.load_pem_x509_certificates(keys.packet_certificates.read_bytes())
    signer.verify_directly_issued_by(root)
    key = load_pem_private_key(keys.packet_key.read_bytes(), None)
    assert isinstance(key, rsa.RSAPrivateKey)
    assert key.public_key() == signer.public_key()
    named = VerifierKey.parse(keys.log_verifier_keys.read_text().strip())
    assert named == VerifierKey.of(LOG, log_key.public_key())
    assert b'"d"' not in keys.token_key_set.read_bytes()


def test_a_token_says_who_where_and_what_until_when(tmp_path: Path) -> None:
    keys = make_keys(tmp_path, [LOG], lambda: NOW)
    text = make_token(keys, user="reviewer@example.com", tenant="acme", roles=["reviewer", "auditor"], now=lambda: NOW)
    public = KeySet.import_key_set(json.loads(keys.token_key_set.read_text()))
    claims = jwt.decode(text, public, algorithms=[ALGORITHM]).claims
    assert (claims["iss"], claims["aud"], claims["sub"], claims["tenant"]) == (
        ISSUER,
        AUDIENCE,
        "reviewer@example.com",
        "acme",
    )
    assert claims["roles"] == ["reviewer", "auditor"]
    assert claims["exp"] - claims["iat"] == 12 * 3600


def test_a_token_of_another_stack_is_worth_nothing(tmp_path: Path) -> None:
    text = make_token(make_keys(tmp_path / "a"), user="reviewer@example.com", tenant="acme", roles=[])
    other = KeySet.import_key_set(json.loads(make_keys(tmp_path / "b").token_key_set.read_text()))
    with pytest.raises(JoseError):
        jwt.decode(text, other, algorithms=[ALGORITHM])


@pytest.mark.parametrize("role", ["service", "unspecified", "ROLE_AUDITOR", "king"])
def test_a_token_for_a_role_that_no_person_has_is_refused(tmp_path: Path, role: str) -> None:
    with pytest.raises(ServerError, match="The roles are claimant, reviewer"):
        make_token(make_keys(tmp_path), user="reviewer@example.com", tenant="acme", roles=[role])


def test_a_token_without_a_stack_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ServerError, match="proofloop up"):
        make_token(Keys(tmp_path), user="reviewer@example.com", tenant="acme", roles=["auditor"])
