"""Sign a summary: PAdES baseline (ETSI EN 319 142-1, B-B), the same bytes for the same inputs.

Three things would make two signings of one document differ, and all are settled by the inputs: the padding
(RSA PKCS#1 v1.5 has no randomness), the file identifier (the hash of what is signed) and the times (the packet's
cut-off, in the signature and in the metadata). The signature is an invisible certification that allows no
later change, and keeps the document PDF/A-3b.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from pyhanko.keys import load_certs_from_pemder_data
from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign.fields import MDPPerm, SigFieldSpec, SigSeedSubFilter
from pyhanko.sign.signers import PdfSignatureMetadata, PdfSigner, Signer
from pyhanko.sign.signers.pdf_cms import PdfCMSSignedAttributes

if TYPE_CHECKING:
    from datetime import datetime

    from cryptography.x509 import Certificate
    from pyhanko.pdf_utils.reader import PdfFileReader
    from pyhanko.sign.signers.pdf_byterange import PreparedByteRangeDigest
    from pyhanko.sign.signers.pdf_signer import PdfTBSDocument

_FIELD = "ProofPacketSignature"
_DIGEST = "sha256"
_CONTAINER_HEX_DIGITS = 16_384
"""Room for the CMS object: some 8 KB, of which the certificate takes most."""


class SummarySigner(Protocol):
    """Whoever holds the packet signer's key: memory, a file, a key management service."""

    @property
    def certificate(self) -> Certificate:
        """The X.509 certificate of the key, which is RSA."""

    async def sign(self, data: bytes) -> bytes:
        """The RSA PKCS#1 v1.5 signature over the SHA-256 of ``data``."""


@dataclass(frozen=True, slots=True)
class LocalSummarySigner:
    """A key in this process's memory."""

    key: RSAPrivateKey
    certificate: Certificate

    async def sign(self, data: bytes) -> bytes:
        """As `SummarySigner.sign`, in a thread: an RSA-3072 signature takes milliseconds."""
        return await asyncio.to_thread(self.key.sign, data, PKCS1v15(), SHA256())


async def sign_summary(pdf: bytes, signer: SummarySigner, time: datetime, snapshot_sha256: str) -> bytes:
    """The PDF with a signature by ``signer`` at ``time`` (UTC, taken as given) over all of it.

    The signature's reason names the SHA-256 of the packet's snapshot, so that the summary of one packet cannot
    stand in for another's. Raises what the signer raises, and ValueError for a key that is not RSA.
    """
    document, digest, output = await asyncio.to_thread(_prepared, pdf, signer, time, snapshot_sha256)
    await document.perform_signature(
        document_digest=digest.document_digest, pdf_cms_signed_attrs=PdfCMSSignedAttributes()
    )
    return output.getvalue()


def _prepared(
    pdf: bytes, signer: SummarySigner, time: datetime, snapshot_sha256: str
) -> tuple[PdfTBSDocument, PreparedByteRangeDigest, io.BytesIO]:
    """The document with room for the signature, the digest to sign, and the buffer that receives it."""
    session = PdfSigner(
        PdfSignatureMetadata(
            field_name=_FIELD,
            md_algorithm=_DIGEST,
            subfilter=SigSeedSubFilter.PADES,
            reason=f"Seals the proof packet with the contents {snapshot_sha256}",
            certify=True,
            docmdp_permissions=MDPPerm.NO_CHANGES,
        ),
        signer=_PortSigner(signer),
        new_field_spec=SigFieldSpec(_FIELD, box=None),
    ).init_signing_session(_ReproducibleWriter(io.BytesIO(pdf)))
    session.system_time = time
    document = session.prepare_tbs_document(validation_info=None, bytes_reserved=_CONTAINER_HEX_DIGITS)
    output = io.BytesIO()
    digest, _ = document.digest_tbs_document(output=output)
    return document, digest, output


class _PortSigner(Signer):
    """Hands what pyHanko wants signed to the port."""

    def __init__(self, signer: SummarySigner) -> None:
        key = signer.certificate.public_key()
        if not isinstance(key, RSAPublicKey):
            raise ValueError("the packet signer's key is not RSA; others do not sign twice alike")  # noqa: TRY004 - the value of a certificate, not a type of ours
        [certificate] = load_certs_from_pemder_data(signer.certificate.public_bytes(Encoding.DER))
        super().__init__(signing_cert=certificate, prefer_pss=False)
        self._signer = signer

    async def async_sign_raw(self, data: bytes, digest_algorithm: str, dry_run: bool = False) -> bytes:
        if digest_algorithm != _DIGEST or dry_run:
            raise NotImplementedError("signs SHA-256 only, into a container of fixed size")
        return await self._signer.sign(data)


class _ReproducibleWriter(IncrementalPdfFileWriter):
    """Appends to a document without the clock and without chance."""

    @classmethod
    def _handle_id(cls, prev: PdfFileReader) -> generic.ArrayObject:
        prev.stream.seek(0)
        changing = hashlib.sha256(prev.stream.read()).digest()[:16]
        permanent, _ = prev.trailer["/ID"]
        return generic.ArrayObject([permanent, generic.ByteStringObject(changing)])

    def _update_meta(self) -> None:
        """The time of the last change stays the cut-off, as the typesetter wrote it."""
