"""The last steps of a packet: the signed summary, and the bag in the object store."""

import asyncio
import hashlib
import json
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.resources import files

from cryptography.hazmat.primitives.serialization import Encoding
from proofloop_runtime.objects import ObjectNotFound, ObjectStore

from proofloop_packets.evidence.domain import Intake
from proofloop_packets.evidence.domain import object_key as evidence_key
from proofloop_packets.evidence.metadata import Limits
from proofloop_packets.evidence.thumbnails import thumbnail_in_process
from proofloop_packets.packets.audit_log import ProvenEntry
from proofloop_packets.packets.bag import Bag, BagFile, ContentChangedError, write_bag
from proofloop_packets.packets.cutoff import CutOff
from proofloop_packets.packets.domain import Sealed, object_key
from proofloop_packets.packets.hold import Unmakeable
from proofloop_packets.packets.signing import SummarySigner, sign_summary
from proofloop_packets.packets.snapshot import EvidencePart, Snapshot
from proofloop_packets.packets.summary import render_summary
from proofloop_packets.spool import Spool

MEDIA_TYPE = "application/zip"

_INSTRUCTIONS = files(__package__).joinpath("VERIFY.txt").read_bytes()


@dataclass(frozen=True, slots=True)
class Contents:
    """What a packet holds beside the evidence.

    Attributes:
        snapshot: `packet.json`.
        summary: The signed PDF.
        cut_off: The end of what it tells.
        entries: The claim's audit entries from 0 to the cut-off, with their proofs.
    """

    snapshot: bytes
    summary: bytes
    cut_off: CutOff
    entries: Sequence[ProvenEntry]


class Sealer:
    """Signs summaries and seals packets.

    Args:
        objects: Keeps evidence and packets.
        spool: Where a packet grows before it is stored.
        signer: Signs summaries.
        pictures: Limits of what is done to make a thumbnail.
    """

    def __init__(self, objects: ObjectStore, spool: Spool, signer: SummarySigner, pictures: Limits) -> None:
        self._objects = objects
        self._spool = spool
        self._signer = signer
        self._pictures = pictures
        self.certificate = signer.certificate.public_bytes(Encoding.DER)
        self.signer_sha256 = hashlib.sha256(self.certificate).hexdigest()

    async def summarise(self, tenant: str, snapshot: bytes, time: datetime) -> bytes:
        """Return the signed PDF of a snapshot, signed as of `time`."""
        told: Snapshot = json.loads(snapshot)
        thumbnails = await self._thumbnails(tenant, told["evidence"])
        pdf = await asyncio.to_thread(render_summary, snapshot, thumbnails)
        return await sign_summary(pdf, self._signer, time, hashlib.sha256(snapshot).hexdigest())

    async def seal(self, tenant: str, contents: Contents) -> Sealed:
        """Write the packet and store it.

        Raises:
            Unmakeable: the bytes of a file are not there any more, or are not those that were taken in.
        """
        told: Snapshot = json.loads(contents.snapshot)
        packet_id = told["packet_id"]
        bag = Bag(
            folder=packet_id,
            time=contents.cut_off.time,
            info={
                "Source-Organization": tenant,
                "External-Identifier": packet_id,
                "External-Description": f"Proof packet of claim {told['claim_id']}: {told['title']}",
            },
            files=[*self._made(contents), *(self._kept(tenant, item) for item in told["evidence"])],
        )
        intake = Intake(sys.maxsize)
        file_name = f"packet-{packet_id}.zip"
        try:
            async with self._spool.holding(write_bag(bag), intake.take) as path:
                fingerprint = intake.finish()
                key = object_key(tenant, packet_id, fingerprint.sha256)
                await self._objects.put(key, path, media_type=MEDIA_TYPE, file_name=file_name)
        except ContentChangedError as error:
            raise Unmakeable(str(error)) from error
        return Sealed(file_name, fingerprint.size, fingerprint.sha256)

    def _made(self, contents: Contents) -> Sequence[BagFile]:
        entries = "".join(f"{entry.line()}\n" for entry in contents.entries)
        return [
            BagFile.of_bytes("VERIFY.txt", _INSTRUCTIONS),
            BagFile.of_bytes("data/packet.json", contents.snapshot),
            BagFile.of_bytes("data/summary.pdf", contents.summary),
            BagFile.of_bytes("data/audit/entries.jsonl", entries.encode()),
            BagFile.of_bytes("data/audit/checkpoint.txt", contents.cut_off.checkpoint.encode()),
            BagFile.of_bytes("data/keys/log.vkey", f"{contents.cut_off.verifier_key}\n".encode()),
            BagFile.of_bytes("data/keys/packet-signer.pem", self._signer.certificate.public_bytes(Encoding.PEM)),
        ]

    def _kept(self, tenant: str, item: EvidencePart) -> BagFile:
        return BagFile(
            path=f"data/{item['path']}",
            size=item["size"],
            sha256=item["sha256"],
            chunks=lambda: self._bytes(tenant, item),
        )

    async def _bytes(self, tenant: str, item: EvidencePart) -> AsyncIterator[bytes]:
        try:
            pieces = await self._objects.get(evidence_key(tenant, item["sha256"]))
        except ObjectNotFound as error:
            raise Unmakeable(f"the bytes of {item['path']} are not in the object store any more") from error
        async for piece in pieces:
            yield piece

    async def _thumbnails(self, tenant: str, evidence: Sequence[EvidencePart]) -> Mapping[str, bytes]:
        thumbnails: dict[str, bytes] = {}
        for item in evidence:
            if not item["media_type"].startswith("image/"):
                continue
            async with self._spool.holding(self._bytes(tenant, item), lambda _piece: None) as path:
                picture = await thumbnail_in_process(path, self._pictures)
            if picture is not None:
                thumbnails[item["evidence_id"]] = picture
        return thumbnails
