import io
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from proofloop_packets.packets.signing import LocalSummarySigner, sign_summary
from proofloop_packets.packets.summary import render_summary
from proofloop_verifier.pdf import PdfError, check_pdf
from pyhanko.keys import load_certs_from_pemder_data
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.validation import async_validate_pdf_signature
from pyhanko.sign.validation.status import PdfSignatureStatus
from pyhanko_certvalidator import ValidationContext
from pypdf import PdfReader

TIME = datetime(2026, 3, 2, 16, 10, tzinfo=UTC)
HASH = "ab" * 32


def _certificate(key: Any) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Packet signer")])
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=True,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(datetime(2026, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2046, 1, 1, tzinfo=UTC))
        .add_extension(usage, critical=True)
        .sign(key, hashes.SHA256())
    )


@pytest.fixture(scope="module")
def signer() -> LocalSummarySigner:
    key = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
    return LocalSummarySigner(key, _certificate(key))


@pytest.fixture
def pdf(snapshot: dict[str, Any]) -> bytes:
    return render_summary(json.dumps(snapshot).encode(), {})


async def _validated(signed: bytes, signer: LocalSummarySigner) -> PdfSignatureStatus:
    [root] = load_certs_from_pemder_data(signer.certificate.public_bytes(Encoding.DER))
    [signature] = PdfFileReader(io.BytesIO(signed)).embedded_signatures
    context = ValidationContext(trust_roots=[root], allow_fetching=False, moment=TIME)
    return await async_validate_pdf_signature(signature, signer_validation_context=context)


async def test_the_signature_is_valid_and_covers_the_whole_file(pdf: bytes, signer: LocalSummarySigner) -> None:
    signed = await sign_summary(pdf, signer, TIME, HASH)
    status = await _validated(signed, signer)
    assert status.bottom_line, status.pretty_print_details()
    [signature] = PdfFileReader(io.BytesIO(signed)).embedded_signatures
    assert signature.sig_object["/SubFilter"] == "/ETSI.CAdES.detached"
    assert HASH in signature.sig_object["/Reason"]
    assert signature.self_reported_timestamp == TIME
    assert signature.docmdp_level.name == "NO_CHANGES"


async def test_the_verifier_accepts_it_for_its_own_packet_only(pdf: bytes, signer: LocalSummarySigner) -> None:
    signed = await sign_summary(pdf, signer, TIME, HASH)
    check_pdf(io.BytesIO(signed), signer.certificate, HASH)
    with pytest.raises(PdfError, match="does not name the contents"):
        check_pdf(io.BytesIO(signed), signer.certificate, "cd" * 32)


async def test_the_same_inputs_give_the_same_bytes_and_others_do_not(pdf: bytes, signer: LocalSummarySigner) -> None:
    signed = await sign_summary(pdf, signer, TIME, HASH)
    assert signed == await sign_summary(pdf, signer, TIME, HASH)
    assert signed != await sign_summary(pdf, signer, TIME, "cd" * 32)


@pytest.mark.parametrize("place", [200, -200])
async def test_a_changed_byte_makes_the_signature_invalid(pdf: bytes, signer: LocalSummarySigner, place: int) -> None:
    signed = bytearray(await sign_summary(pdf, signer, TIME, HASH))
    start = signed.index(b"12 of 40") if place > 0 else signed.rindex(b"/Reason")
    signed[start + 12] ^= 1
    status = await _validated(bytes(signed), signer)
    assert not status.bottom_line


async def test_it_only_adds_to_the_document_and_leaves_its_dates_and_attachment(
    pdf: bytes, signer: LocalSummarySigner
) -> None:
    signed = await sign_summary(pdf, signer, TIME, HASH)
    assert signed.startswith(pdf)
    before, after = PdfReader(io.BytesIO(pdf)), PdfReader(io.BytesIO(signed))
    assert after.root_object["/Metadata"].get_object().get_data() == (
        before.root_object["/Metadata"].get_object().get_data()
    )
    assert after.attachments == before.attachments
    assert after.trailer["/ID"][0] == before.trailer["/ID"][0]
    assert after.trailer["/ID"][1] != before.trailer["/ID"][1]


async def test_a_key_whose_signatures_differ_each_time_is_refused(pdf: bytes) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    with pytest.raises(ValueError, match="not RSA"):
        await sign_summary(pdf, LocalSummarySigner(key, _certificate(key)), TIME, HASH)
