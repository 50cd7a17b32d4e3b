"""Check the signature of a packet's summary; importing this needs the extra `proofloop-verifier[pdf]`.

Nothing is asked of trust lists or the network: whom to believe is settled by the log, which seals the
signer's certificate and the contents that the signature names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

from cryptography.hazmat.primitives.serialization import Encoding
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.validation.generic_cms import validate_sig_integrity

if TYPE_CHECKING:
    from cryptography.x509 import Certificate
    from pyhanko.sign.validation import EmbeddedPdfSignature

_DIGESTS = {"sha256", "sha384", "sha512"}


class PdfError(Exception):
    """The signature does not hold; the message is a sentence for a person."""


def check_pdf(pdf: BinaryIO, signer: Certificate, snapshot_sha256: str) -> None:
    """Check that one signature covers all of `pdf`, is by `signer` and names the sealed contents.

    The contents are named by the signature's reason, which holds `snapshot_sha256` in hex; without it, the
    summary of another packet by the same signer would do. Raises PdfError.
    """
    try:
        _check(pdf, signer, snapshot_sha256)
    except PdfError:
        raise
    except Exception as error:  # parsers of others meet hostile bytes; whatever they raise is a finding
        raise PdfError(f"The summary cannot be read as a signed PDF: {error!r}.") from error


def _check(pdf: BinaryIO, signer: Certificate, snapshot_sha256: str) -> None:
    signatures = PdfFileReader(pdf).embedded_signatures
    if len(signatures) != 1:
        raise PdfError(f"The summary has {len(signatures)} signatures; it must have one.")
    _check_coverage(signatures[0], pdf)
    _check_signature(signatures[0], signer)
    if snapshot_sha256 not in str(signatures[0].sig_object.get("/Reason", "")):
        raise PdfError("The signature of the summary does not name the contents of this packet.")


def _check_coverage(signature: EmbeddedPdfSignature, pdf: BinaryIO) -> None:
    """Everything but the signature's own hexadecimal text must be signed (ISO 32000-2 §12.8.1)."""
    end = pdf.seek(0, 2)
    contents = b"<" + signature.pkcs7_content.hex().encode() + b">"
    match [int(number) for number in signature.byte_range]:
        case [0, before, after, rest] if after == before + len(contents) and after + rest == end:
            pdf.seek(before)
            if pdf.read(len(contents)).lower() == contents:
                return
    raise PdfError("The signature does not cover the whole summary: something was added or left out.")


def _check_signature(signature: EmbeddedPdfSignature, signer: Certificate) -> None:
    if signature.signer_cert.dump() != signer.public_bytes(Encoding.DER):
        raise PdfError("The summary is signed by another certificate than the packet's signer.")
    if signature.md_algorithm not in _DIGESTS:
        raise PdfError(f"The summary is signed over the weak hash {signature.md_algorithm}.")
    intact, valid = validate_sig_integrity(
        signature.signer_info, signature.signer_cert, "data", signature.compute_digest()
    )
    if not intact:
        raise PdfError("The summary was changed after it was signed.")
    if not valid:
        raise PdfError("The signature of the summary was not made with the signer's key.")
