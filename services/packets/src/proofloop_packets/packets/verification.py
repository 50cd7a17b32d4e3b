"""Checking a packet that somebody hands in, with the verifier that strangers use."""

import asyncio
from collections.abc import AsyncIterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from proofloop_verifier.note import VerifierKey
from proofloop_verifier.packet import verify_packet
from proofloop_verifier.report import Report

from proofloop_packets.evidence.domain import Fingerprint, Intake
from proofloop_packets.spool import Spool


def load_keys(path: Path) -> Sequence[VerifierKey]:
    """Read C2SP verifier keys, one a line.

    Raises:
        NoteError: a line is no key.
    """
    return [VerifierKey.parse(line) for line in path.read_text().splitlines() if line.strip()]


@dataclass(frozen=True, slots=True)
class Verification:
    """Checks packets.

    Attributes:
        spool: Where a packet lies while it is checked.
        trusted: The log's keys.
        limit_bytes: Longest packet that is checked.
        at_once: Bounds how many are checked at the same time: a check takes a processor.
    """

    spool: Spool
    trusted: Sequence[VerifierKey]
    limit_bytes: int
    at_once: asyncio.Semaphore

    async def verify(self, pieces: AsyncIterable[bytes]) -> tuple[Fingerprint, Report]:
        """Return what identifies the bytes, and what is wrong with them as a packet.

        Raises:
            FileTooLarge: the packet is longer than may be checked.
            FileEmpty: there are no bytes.
        """
        intake = Intake(self.limit_bytes)
        async with self.spool.holding(pieces, intake.take) as path:
            fingerprint = intake.finish()
            async with self.at_once:
                return fingerprint, await asyncio.to_thread(verify_packet, path, self.trusted)
