"""The tenant's audit log, as far as a packet needs it."""

import asyncio
import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import grpc
import grpc.aio
from proofloop.audit.v1 import log_pb2, log_service_pb2
from proofloop_runtime.call import current

from proofloop_packets.packets import cutoff
from proofloop_packets.packets.hold import TryLater, Unmakeable

if TYPE_CHECKING:
    from proofloop.audit.v1.log_service_pb2_grpc import LogServiceAsyncStub

_PAGE = 16
"""Entries asked for at once: of the longest ones, so many fit into one message."""
_PROOFS_AT_ONCE = 8
_WAIT_AT_ONCE = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class ProvenEntry:
    """An entry with its inclusion path in the tree of the packet's checkpoint."""

    entry: log_pb2.Entry
    path: Sequence[bytes]

    def line(self) -> str:
        """Return its line of `entries.jsonl`; of personal parts, only those that are not erased."""
        personal = [
            {"pseudonym": part.pseudonym, "salt": part.salt.hex(), "part": part.part}
            for part in self.entry.personal_parts
            if part.part
        ]
        members = {
            "index": self.entry.index,
            "leaf": self.entry.leaf.decode(),
            "proof": [sibling.hex() for sibling in self.path],
            "personal": personal,
        }
        return json.dumps(members, ensure_ascii=False, separators=(",", ":"))


class AuditLog:
    """Asks the audit service, in the name and for the tenant of the current call.

    Args:
        stub: Of the audit service.
        patience: How long to wait at most until the log holds what it must.
    """

    def __init__(self, stub: "LogServiceAsyncStub", patience: timedelta) -> None:
        self._stub = stub
        self._patience = patience

    async def entries_with(self, claim_id: str, event_ids: Collection[str]) -> Sequence[log_pb2.Entry]:
        """Return all entries of a claim, oldest first, once each of these events is among them.

        Args:
            claim_id: The claim.
            event_ids: At least one.

        Raises:
            TryLater: the log does not hold all of them, however long we waited.
        """
        end = asyncio.get_running_loop().time() + self._patience.total_seconds()
        # Events mostly reach the log in order: once it holds the newest, one listing shows that all are there.
        await self._await_entry(max(event_ids), end)
        entries = await self.entries(claim_id)
        late = cutoff.missing(event_ids, entries)
        if late:
            for event_id in late:
                await self._await_entry(event_id, end)
            entries = await self.entries(claim_id)
            if absent := cutoff.missing(event_ids, entries):
                raise TryLater(f"the audit log does not hold event {absent[0]} as one of the claim")
        return entries

    async def entries(self, claim_id: str) -> Sequence[log_pb2.Entry]:
        """Return all entries of a claim, oldest first."""
        entries: list[log_pb2.Entry] = []
        request = log_service_pb2.ListEntriesRequest(
            claim_id=claim_id,
            order=log_service_pb2.ListEntriesRequest.ORDER_OLDEST_FIRST,
            page_size=_PAGE,
        )
        while True:
            page = await self._stub.ListEntries(request)
            entries += page.entries
            if not page.next_page_token:
                return entries
            request.page_token = page.next_page_token

    async def append_cut_off(
        self, packet_id: str, claim_id: str, details_json: str, time: datetime, trace_id: str
    ) -> log_pb2.EntryReceipt:
        """Append the cut-off of a packet; repeated, it is the one that stands there.

        Raises:
            Unmakeable: another cut-off of this packet stands there, of another snapshot or signer.
        """
        draft = log_pb2.EntryDraft(
            actor=log_pb2.Actor(type=log_pb2.ACTOR_TYPE_SERVICE, id=current().caller.id),
            action=cutoff.ACTION,
            outcome=log_pb2.OUTCOME_SUCCESS,
            entity_type=cutoff.ENTITY_TYPE,
            entity_id=packet_id,
            claim_id=claim_id,
            correlation_id=current().correlation_id,
            trace_id=trace_id,
            details_json=details_json,
        )
        draft.event_time.FromDatetime(time)
        request = log_service_pb2.AppendEntryRequest(request_id=packet_id, draft=draft)
        try:
            response = await self._stub.AppendEntry(request)
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.FAILED_PRECONDITION:
                reason = "the audit log holds a cut-off of this packet with other contents; ask for a new packet"
                raise Unmakeable(reason) from error
            raise
        return response.receipt

    async def checkpoint(self) -> log_pb2.Checkpoint:
        """Return a checkpoint that covers everything appended before."""
        response = await self._stub.GetCheckpoint(log_service_pb2.GetCheckpointRequest())
        return response.checkpoint

    async def prove(self, entries: Sequence[log_pb2.Entry], tree_size: int) -> Sequence[ProvenEntry]:
        """Return the entries with their paths in the tree of this size."""
        slots = asyncio.Semaphore(_PROOFS_AT_ONCE)

        async def proven(entry: log_pb2.Entry) -> ProvenEntry:
            request = log_service_pb2.GetInclusionProofRequest(entry_id=entry.entry_id, tree_size=tree_size)
            async with slots:
                response = await self._stub.GetInclusionProof(request)
            return ProvenEntry(entry, tuple(response.proof.hashes))

        return await asyncio.gather(*(proven(entry) for entry in entries))

    async def _await_entry(self, entry_id: str, end: float) -> None:
        while not await self._holds(entry_id):
            if asyncio.get_running_loop().time() >= end:
                raise TryLater(f"the audit log does not hold event {entry_id} yet")

    async def _holds(self, entry_id: str) -> bool:
        request = log_service_pb2.GetEntryRequest(entry_id=entry_id)
        request.max_wait.FromTimedelta(min(_WAIT_AT_ONCE, self._patience))
        try:
            await self._stub.GetEntry(request)
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.NOT_FOUND:
                return False
            raise
        return True
