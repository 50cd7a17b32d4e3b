"""The making of one packet, step by step.

Whatever a step finds out that could be otherwise the next time is fixed in the database before the next step
begins. So a packet that is taken up again is the same packet, byte for byte.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from proofloop_runtime import telemetry as spans
from proofloop_runtime.database import Database, UnitOfWork
from proofloop_runtime.ports import Clock

from proofloop_packets import telemetry
from proofloop_packets.claims import store as claims
from proofloop_packets.evidence import store as evidence
from proofloop_packets.packets import cutoff, domain, store
from proofloop_packets.packets.audit_log import AuditLog, ProvenEntry
from proofloop_packets.packets.cutoff import ChainBroken, CutOff
from proofloop_packets.packets.domain import Packet, PacketStep, Sealed
from proofloop_packets.packets.hold import Hold, TryLater, Unmakeable
from proofloop_packets.packets.sealing import Contents, Sealer
from proofloop_packets.packets.sources import Sources
from proofloop_packets.packets.store import Material
from proofloop_packets.packets.telling import Found, tell


class Maker:
    """Makes packets."""

    def __init__(self, database: Database, clock: Clock, audit: AuditLog, sources: Sources, sealer: Sealer) -> None:
        self._database = database
        self._clock = clock
        self._audit = audit
        self._sources = sources
        self._sealer = sealer

    async def make(self, hold: Hold, material: Material) -> Sealed:
        """Make the packet that is held, from where it stands.

        Raises:
            Unmakeable: it never can be.
            TryLater: it cannot be now.
            DomainError: a dependency is down.
            LeaseLost: it is in other hands.
        """
        snapshot = material.snapshot or await self._take_snapshot(hold)
        cut_off = material.cut_off or await self._cut_off(hold, material, snapshot)
        if cut_off.signer_sha256 != self._sealer.signer_sha256:
            raise Unmakeable("the key that signs summaries was replaced meanwhile; ask for a new packet")
        async with _step(hold, PacketStep.PROOFS):
            entries = await self._prove(hold.packet.claim_id, cut_off)
        async with _step(hold, PacketStep.SUMMARY):
            summary = await self._sealer.summarise(hold.tenant, snapshot, cut_off.time)
        async with _step(hold, PacketStep.SEAL):
            return await self._sealer.seal(hold.tenant, Contents(snapshot, summary, cut_off, entries))

    async def _take_snapshot(self, hold: Hold) -> bytes:
        """Gather what there is to tell, wait until the log knows of all of it, and fix it."""
        async with _step(hold, PacketStep.SNAPSHOT):
            packet = hold.packet
            # Before anything is gathered, and not after the wait for the log: what happened up to now is found.
            moment = self._clock.now()
            found = await self._find(hold.tenant, packet.claim_id)
            entries = await self._audit.entries_with(packet.claim_id, found.event_ids)
            snapshot = tell(packet.packet_id, hold.tenant, found, entries, moment)

            async def fix(unit: UnitOfWork, changed: Packet) -> None:
                await store.fix_snapshot(unit, changed.packet_id, snapshot)

            await hold.change(lambda held: domain.fix_moment(held, hold.worker, moment, self._clock.now()), fix)
            return snapshot

    async def _find(self, tenant: str, claim_id: str) -> Found:
        async with self._database.transaction(tenant) as unit:
            claim = await claims.get(unit, claim_id)
            files = await evidence.oldest_first(unit, claim_id=claim_id)
            packet_event_ids = await store.event_ids(unit, claim_id)
        prompts = await self._sources.prompts(claim_id)
        workflows = await self._sources.workflows(claim_id)
        return Found(claim, files, packet_event_ids, prompts, workflows)

    async def _cut_off(self, hold: Hold, material: Material, snapshot: bytes) -> CutOff:
        """Append the cut-off to the log, and fix it with a checkpoint that covers it."""
        async with _step(hold, PacketStep.CUT_OFF):
            packet = hold.packet
            moment = packet.cutoff_time
            if moment is None:
                raise TryLater("the packet's moment is not fixed yet")
            receipt = await self._audit.append_cut_off(
                packet.packet_id,
                packet.claim_id,
                cutoff.details_json(snapshot, self._sealer.certificate),
                moment,
                spans.trace_id(material.trace_context),
            )
            checkpoint = await self._audit.checkpoint()
            if checkpoint.tree_size <= receipt.index:
                raise TryLater("the audit log's checkpoint does not cover the cut-off yet")
            cut_off = CutOff(
                entry_id=packet.packet_id,
                index=receipt.index,
                tree_size=checkpoint.tree_size,
                checkpoint=checkpoint.note,
                verifier_key=checkpoint.verifier_key,
                time=moment,
                signer_sha256=self._sealer.signer_sha256,
            )

            async def fix(unit: UnitOfWork, changed: Packet) -> None:
                await store.fix_cut_off(unit, changed.packet_id, cut_off)

            await hold.change(lambda held: domain.fix_moment(held, hold.worker, moment, self._clock.now()), fix)
            return cut_off

    async def _prove(self, claim_id: str, cut_off: CutOff) -> Sequence[ProvenEntry]:
        entries = await self._audit.entries(claim_id)
        try:
            count = cutoff.up_to_cut_off(entries, cut_off.entry_id)
        except ChainBroken as error:
            raise TryLater(f"the audit log is not complete: {error}") from error
        return await self._audit.prove(entries[:count], cut_off.tree_size)


@asynccontextmanager
async def _step(hold: Hold, step: PacketStep) -> AsyncIterator[None]:
    with spans.span(f"{telemetry.STEP_SPAN}.{step}", attributes={telemetry.PACKET_STEP: step}):
        await hold.begin(step)
        yield
