"""EvidenceService: the edge between the contract and evidence, between streams and files."""

from collections.abc import AsyncIterator

from google.api.httpbody_pb2 import HttpBody
from proofloop.packets.v1 import evidence_service_pb2 as contract
from proofloop.packets.v1.evidence_service_pb2_grpc import EvidenceServiceServicer
from proofloop_runtime import paging
from proofloop_runtime.database import Database, UnitOfWork
from proofloop_runtime.errors import FieldViolation, InvalidField
from proofloop_runtime.grpc_types import ServicerContext
from proofloop_runtime.objects import ObjectStore
from proofloop_runtime.ports import Ids

from proofloop_packets import telemetry
from proofloop_packets.evidence import conversion, handlers
from proofloop_packets.evidence.domain import Intake, UploadLimits
from proofloop_packets.evidence.inspection import inspect_in_process
from proofloop_packets.evidence.metadata import Limits
from proofloop_packets.spool import Spool

_REQUIRED = ("claim_id", "file_name", "request_id")


class EvidenceServicer(EvidenceServiceServicer):
    """Serves evidence.

    Args:
        limits: Of what is taken in.
        inspection: Of what is looked at in a file.
    """

    def __init__(
        self,
        database: Database,
        ids: Ids,
        objects: ObjectStore,
        spool: Spool,
        limits: UploadLimits,
        inspection: Limits,
    ) -> None:
        self._database = database
        self._ids = ids
        self._objects = objects
        self._spool = spool
        self._limits = limits
        self._inspection = inspection

    async def UploadEvidence(
        self, request_iterator: AsyncIterator[contract.UploadEvidenceRequest], context: ServicerContext
    ) -> contract.UploadEvidenceResponse:
        """See the contract."""
        request = await _first(request_iterator)
        async with self._database.transaction() as unit:
            if not await unit.was_answered(request):
                await handlers.check_upload(unit, self._limits, claim_id=request.claim_id)
        intake = Intake(self._limits.file_bytes)
        async with self._spool.holding(_bytes(request, request_iterator), intake.take) as path:
            fingerprint = intake.finish()
            metadata = await inspect_in_process(path, self._inspection)
            await handlers.keep_bytes(self._objects, fingerprint, path)
        file = handlers.File(request.file_name, fingerprint, metadata)

        async def effect(unit: UnitOfWork) -> contract.UploadEvidenceResponse:
            evidence = await handlers.record(unit, self._ids, self._limits, claim_id=request.claim_id, file=file)
            return contract.UploadEvidenceResponse(evidence=conversion.from_evidence(evidence))

        # However the file was cut into messages: it is the same request if it is the same file.
        request.body.CopyFrom(HttpBody(data=bytes.fromhex(fingerprint.sha256)))
        response = await self._database.once(request, contract.UploadEvidenceResponse, effect)
        telemetry.evidence_bytes.add(fingerprint.size)
        return response

    async def GetEvidence(
        self, request: contract.GetEvidenceRequest, context: ServicerContext
    ) -> contract.GetEvidenceResponse:
        """See the contract."""
        async with self._database.transaction() as unit:
            evidence = await handlers.get_evidence(unit, evidence_id=request.evidence_id)
        return contract.GetEvidenceResponse(evidence=conversion.from_evidence(evidence))

    async def ListEvidence(
        self, request: contract.ListEvidenceRequest, context: ServicerContext
    ) -> contract.ListEvidenceResponse:
        """See the contract."""
        position = paging.decode(request)
        limit = paging.size(request)
        async with self._database.transaction() as unit:
            evidence = await handlers.list_evidence(
                unit,
                claim_id=request.claim_id,
                after=None if position is None else paging.identifier(position),
                limit=limit + 1,
            )
        response = contract.ListEvidenceResponse(evidence=map(conversion.from_evidence, evidence[:limit]))
        if len(evidence) > limit:
            response.next_page_token = paging.encode(request, [evidence[limit - 1].evidence_id])
        return response

    async def DownloadEvidence(
        self, request: contract.DownloadEvidenceRequest, context: ServicerContext
    ) -> AsyncIterator[contract.DownloadEvidenceResponse]:
        """See the contract."""
        async with self._database.transaction() as unit:
            evidence = await handlers.get_evidence(unit, evidence_id=request.evidence_id)
        content_type = handlers.DOWNLOAD_TYPE
        async for piece in await handlers.open_bytes(self._objects, evidence):
            yield contract.DownloadEvidenceResponse(body=HttpBody(content_type=content_type, data=piece))
            content_type = ""


async def _first(requests: AsyncIterator[contract.UploadEvidenceRequest]) -> contract.UploadEvidenceRequest:
    """Return the first message.

    Raises:
        InvalidField: there is none, or it lacks what only it can carry.
    """
    first = await anext(aiter(requests), None) or contract.UploadEvidenceRequest()
    missing = [
        FieldViolation(name, "is required in the first message") for name in _REQUIRED if not getattr(first, name)
    ]
    if missing:
        raise InvalidField(f"{missing[0].field}: {missing[0].description}", violations=missing)
    return first


async def _bytes(
    first: contract.UploadEvidenceRequest, others: AsyncIterator[contract.UploadEvidenceRequest]
) -> AsyncIterator[bytes]:
    yield first.body.data
    async for request in others:
        yield request.body.data
