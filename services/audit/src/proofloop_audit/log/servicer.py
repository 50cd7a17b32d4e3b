"""LogService: the edge between the contract and the log."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from datetime import timedelta

from google.api.httpbody_pb2 import HttpBody
from proofloop.audit.v1 import log_pb2
from proofloop.audit.v1 import log_service_pb2 as contract
from proofloop.audit.v1.log_service_pb2_grpc import LogServiceServicer
from proofloop_runtime import paging
from proofloop_runtime.call import current
from proofloop_runtime.database import Database, UnitOfWork
from proofloop_runtime.errors import DomainError, ErrorCatalog
from proofloop_runtime.grpc_types import ServicerContext
from proofloop_runtime.ports import Clock

from proofloop_audit.log import conversion, handlers
from proofloop_audit.log.checkpoints import CheckpointSigner
from proofloop_audit.log.domain import Draft, check_details, check_event_time
from proofloop_audit.log.exporting import Exporter
from proofloop_audit.log.importing import Importer
from proofloop_audit.log.sealing import Sealer
from proofloop_audit.log.sequencer import Sequencer
from proofloop_audit.log.subjects import Subjects

_LINES = "application/jsonl"
_CHUNK = 100
"""Entries that are looked at before the event loop gets its turn."""


class LogServicer(LogServiceServicer):
    """Serves the log."""

    def __init__(
        self,
        database: Database,
        sealer: Sealer,
        sequencer: Sequencer,
        importer: Importer,
        exporter: Exporter,
        signer: CheckpointSigner,
        subjects: Subjects,
        clock: Clock,
        future_skew: timedelta,
        catalog: ErrorCatalog,
    ) -> None:
        self._database = database
        self._sealer = sealer
        self._sequencer = sequencer
        self._importer = importer
        self._exporter = exporter
        self._signer = signer
        self._subjects = subjects
        self._clock = clock
        self._future_skew = future_skew
        self._catalog = catalog

    async def AppendEntry(
        self, request: contract.AppendEntryRequest, context: ServicerContext
    ) -> contract.AppendEntryResponse:
        """See the contract."""
        draft = self._draft(request, "draft")
        receipts = await handlers.append([draft], sealer=self._sealer, sequencer=self._sequencer)
        return contract.AppendEntryResponse(receipt=conversion.from_receipt(receipts[0]))

    async def AppendEntries(
        self, request: contract.AppendEntriesRequest, context: ServicerContext
    ) -> contract.AppendEntriesResponse:
        """See the contract."""
        drafts = await self._drafts(request.entries)
        receipts = await handlers.append(drafts, sealer=self._sealer, sequencer=self._sequencer)
        return contract.AppendEntriesResponse(receipts=map(conversion.from_receipt, receipts))

    async def ImportEntries(
        self, request_iterator: AsyncIterator[contract.ImportEntriesRequest], context: ServicerContext
    ) -> AsyncIterator[contract.ImportEntriesResponse]:
        """See the contract."""
        answer = contract.ImportEntriesResponse()
        try:
            async with aclosing(self._importer.run(self._groups(request_iterator))) as reached:
                async for progress in reached:
                    answer = conversion.from_progress(progress)
                    yield answer
        except DomainError as error:
            answer.end.CopyFrom(self._catalog.to_status(error))
            yield answer
            raise

    async def GetEntry(self, request: contract.GetEntryRequest, context: ServicerContext) -> contract.GetEntryResponse:
        """See the contract."""
        entry = await handlers.get_entry(
            request.entry_id,
            tenant=current().caller.tenant,
            max_wait=request.max_wait.ToTimedelta(),
            database=self._database,
            sealer=self._sealer,
            sequencer=self._sequencer,
        )
        return contract.GetEntryResponse(entry=conversion.from_entry(entry))

    async def ListEntries(
        self, request: contract.ListEntriesRequest, context: ServicerContext
    ) -> contract.ListEntriesResponse:
        """See the contract."""
        position = paging.decode(request)
        limit = paging.size(request)
        entries = await handlers.list_entries(
            conversion.to_filter(request),
            tenant=current().caller.tenant,
            newest_first=request.order == contract.ListEntriesRequest.ORDER_NEWEST_FIRST,
            after=None if position is None else paging.integer(position),
            limit=limit + 1,
            database=self._database,
            sealer=self._sealer,
        )
        response = contract.ListEntriesResponse(entries=map(conversion.from_entry, entries[:limit]))
        if len(entries) > limit:
            response.next_page_token = paging.encode(request, [entries[limit - 1].index])
        return response

    async def ExportEntries(
        self, request: contract.ExportEntriesRequest, context: ServicerContext
    ) -> AsyncIterator[contract.ExportEntriesResponse]:
        """See the contract."""
        content_type = _LINES
        async with aclosing(self._exporter.run(conversion.to_export(request), current())) as pieces:
            async for piece in pieces:
                yield contract.ExportEntriesResponse(body=HttpBody(content_type=content_type, data=piece))
                content_type = ""

    async def GetCheckpoint(
        self, request: contract.GetCheckpointRequest, context: ServicerContext
    ) -> contract.GetCheckpointResponse:
        """See the contract."""
        async with self._database.transaction() as unit:
            checkpoint = await self._signer.newest(unit)
        tenant = current().caller.tenant
        return contract.GetCheckpointResponse(
            checkpoint=log_pb2.Checkpoint(
                origin=self._signer.origin(tenant),
                tree_size=checkpoint.size,
                root_hash=checkpoint.root,
                note=checkpoint.note,
                verifier_key=self._signer.verifier_key(tenant),
                sign_time=conversion.timestamp(checkpoint.sign_time),
            )
        )

    async def GetInclusionProof(
        self, request: contract.GetInclusionProofRequest, context: ServicerContext
    ) -> contract.GetInclusionProofResponse:
        """See the contract."""
        reader = self._database.reader()
        row, size, hashes = await handlers.inclusion_proof(
            reader, entry_id=request.entry_id, tree_size=request.tree_size
        )
        text = "" if request.tree_size else await handlers.tlog_proof(reader, row, self._signer)
        return contract.GetInclusionProofResponse(
            proof=log_pb2.InclusionProof(index=row.index, tree_size=size, leaf_hash=row.leaf_hash, hashes=hashes),
            tlog_proof=text,
        )

    async def GetConsistencyProof(
        self, request: contract.GetConsistencyProofRequest, context: ServicerContext
    ) -> contract.GetConsistencyProofResponse:
        """See the contract."""
        reader = self._database.reader()
        size, hashes = await handlers.consistency_proof(reader, from_size=request.from_size, to_size=request.to_size)
        return contract.GetConsistencyProofResponse(
            proof=log_pb2.ConsistencyProof(from_size=request.from_size, to_size=size, hashes=hashes)
        )

    async def EraseSubject(
        self, request: contract.EraseSubjectRequest, context: ServicerContext
    ) -> contract.EraseSubjectResponse:
        """See the contract."""

        async def effect(unit: UnitOfWork) -> contract.EraseSubjectResponse:
            person = conversion.to_actor(request.subject)
            erased = await self._subjects.erase(unit, person=person, reason=request.reason)
            return contract.EraseSubjectResponse(
                pseudonym=erased.pseudonyms[0],
                earlier_pseudonyms=erased.pseudonyms[1:],
                entry_count=erased.entry_count,
                packet_ids=erased.packet_ids,
                more_packets=erased.more_packets,
                receipt=conversion.from_receipt(erased.receipt),
            )

        return await self._database.once(request, contract.EraseSubjectResponse, effect)

    async def PlaceLegalHold(
        self, request: contract.PlaceLegalHoldRequest, context: ServicerContext
    ) -> contract.PlaceLegalHoldResponse:
        """See the contract."""

        async def effect(unit: UnitOfWork) -> contract.PlaceLegalHoldResponse:
            scope = conversion.to_scope(request.scope)
            hold = await self._subjects.place_hold(unit, scope=scope, reason=request.reason)
            return contract.PlaceLegalHoldResponse(hold=conversion.from_hold(hold))

        return await self._database.once(request, contract.PlaceLegalHoldResponse, effect)

    async def ReleaseLegalHold(
        self, request: contract.ReleaseLegalHoldRequest, context: ServicerContext
    ) -> contract.ReleaseLegalHoldResponse:
        """See the contract."""

        async def effect(unit: UnitOfWork) -> contract.ReleaseLegalHoldResponse:
            hold_id = request.hold_id.lower()
            hold = await self._subjects.release_hold(unit, hold_id=hold_id, reason=request.reason)
            return contract.ReleaseLegalHoldResponse(hold=conversion.from_hold(hold))

        return await self._database.once(request, contract.ReleaseLegalHoldResponse, effect)

    async def ListLegalHolds(
        self, request: contract.ListLegalHoldsRequest, context: ServicerContext
    ) -> contract.ListLegalHoldsResponse:
        """See the contract."""
        position = paging.decode(request)
        limit = paging.size(request)
        async with self._database.transaction() as unit:
            holds = await self._subjects.list_holds(
                unit,
                include_released=request.include_released,
                after=None if position is None else paging.identifier(position),
                limit=limit + 1,
            )
        response = contract.ListLegalHoldsResponse(holds=map(conversion.from_hold, holds[:limit]))
        if len(holds) > limit:
            response.next_page_token = paging.encode(request, [holds[limit - 1].hold_id])
        return response

    async def _groups(self, requests: AsyncIterator[contract.ImportEntriesRequest]) -> AsyncIterator[Sequence[Draft]]:
        async for request in requests:
            yield await self._drafts(request.entries)

    async def _drafts(self, entries: Sequence[contract.AppendEntryRequest]) -> list[Draft]:
        drafts = []
        for number, entry in enumerate(entries):
            if number and number % _CHUNK == 0:
                await asyncio.sleep(0)
            drafts.append(self._draft(entry, f"entries[{number}].draft"))
        return drafts

    def _draft(self, request: contract.AppendEntryRequest, field: str) -> Draft:
        draft = conversion.to_draft(request.request_id, request.draft, current())
        if draft.event_time is not None:
            check_event_time(draft.event_time, self._clock.now(), self._future_skew, f"{field}.event_time")
        check_details(draft.details, f"{field}.details_json")
        return draft
