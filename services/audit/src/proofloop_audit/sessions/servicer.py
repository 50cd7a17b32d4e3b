"""SessionService: the edge between the contract and sessions."""

import asyncio
from collections.abc import AsyncIterator

from google.api.httpbody_pb2 import HttpBody
from proofloop.audit.v1 import sessions_service_pb2 as contract
from proofloop.audit.v1.sessions_service_pb2_grpc import SessionServiceServicer
from proofloop_runtime import paging
from proofloop_runtime.call import current
from proofloop_runtime.database import Database, UnitOfWork
from proofloop_runtime.grpc_types import ServicerContext

from proofloop_audit.log.domain import check_details
from proofloop_audit.sessions import conversion, export, figures, handlers, store
from proofloop_audit.sessions.handlers import Book
from proofloop_audit.sessions.report import MEDIA_TYPES, Format, Report, render
from proofloop_audit.sessions.statistics import DEFAULT_DAYS

_PAGE_BYTES = 1024 * 1024
"""Size past which a page of sessions takes no more: gRPC clients refuse messages over 4 MiB."""

_PIECE = 64 * 1024

_FORMATS = {
    contract.REPORT_FORMAT_UNSPECIFIED: Format.PDF,
    contract.REPORT_FORMAT_PDF: Format.PDF,
    contract.REPORT_FORMAT_XLSX: Format.XLSX,
    contract.REPORT_FORMAT_JSON: Format.JSON,
}


class SessionServicer(SessionServiceServicer):
    """Serves sessions."""

    def __init__(self, database: Database, book: Book) -> None:
        self._database = database
        self._book = book

    async def StartSession(
        self, request: contract.StartSessionRequest, context: ServicerContext
    ) -> contract.StartSessionResponse:
        """See the contract."""
        caller = current().caller
        draft = conversion.to_session_draft(request, caller, handlers.user_of(request.user_id, caller))

        async def effect(unit: UnitOfWork) -> contract.StartSessionResponse:
            session = await handlers.start(unit, self._book, draft=draft, caller=caller)
            return contract.StartSessionResponse(session=conversion.from_session(session))

        return await self._database.once(request, contract.StartSessionResponse, effect)

    async def RecordEvent(
        self, request: contract.RecordEventRequest, context: ServicerContext
    ) -> contract.RecordEventResponse:
        """See the contract."""
        check_details(request.details_json, "details_json")
        draft = conversion.to_event_draft(request)

        async def effect(unit: UnitOfWork) -> contract.RecordEventResponse:
            session, event = await handlers.record(
                unit, self._book, session_id=request.session_id, draft=draft, caller=current().caller
            )
            return contract.RecordEventResponse(
                event=conversion.from_event(event), session=conversion.from_session(session)
            )

        return await self._database.once(request, contract.RecordEventResponse, effect)

    async def EndSession(
        self, request: contract.EndSessionRequest, context: ServicerContext
    ) -> contract.EndSessionResponse:
        """See the contract."""
        ending = conversion.to_ending(request)

        async def effect(unit: UnitOfWork) -> contract.EndSessionResponse:
            session = await handlers.end(
                unit, self._book, session_id=request.session_id, ending=ending, caller=current().caller
            )
            return contract.EndSessionResponse(session=conversion.from_session(session))

        return await self._database.once(request, contract.EndSessionResponse, effect)

    async def GetSession(
        self, request: contract.GetSessionRequest, context: ServicerContext
    ) -> contract.GetSessionResponse:
        """See the contract."""
        position = paging.decode(request)
        after = 0 if position is None else paging.integer(position)
        limit = paging.size(request)
        async with self._database.transaction() as unit:
            session = await handlers.get(unit, session_id=request.session_id, caller=current().caller)
            events = await store.events(unit, session.session_id, after=after, limit=limit + 1)
        response = contract.GetSessionResponse(
            session=conversion.from_session(session), events=map(conversion.from_event, events[:limit])
        )
        if len(events) > limit:
            response.next_page_token = paging.encode(request, [events[limit - 1].sequence])
        return response

    async def ListSessions(
        self, request: contract.ListSessionsRequest, context: ServicerContext
    ) -> contract.ListSessionsResponse:
        """See the contract."""
        wanted = handlers.visible(conversion.to_filter(request), current().caller)
        position = paging.decode(request)
        before = None if position is None else paging.identifier(position)
        limit = paging.size(request)
        async with self._database.transaction() as unit:
            sessions = await store.page(unit, wanted, before=before, limit=limit + 1)
        response = contract.ListSessionsResponse()
        size = 0
        for session in sessions[:limit]:
            message = conversion.from_session(session)
            size += message.ByteSize()
            if response.sessions and size > _PAGE_BYTES:
                break
            response.sessions.append(message)
        if len(sessions) > len(response.sessions):
            response.next_page_token = paging.encode(request, [response.sessions[-1].session_id])
        return response

    async def GetStatistics(
        self, request: contract.GetStatisticsRequest, context: ServicerContext
    ) -> contract.GetStatisticsResponse:
        """See the contract."""
        async with self._database.transaction() as unit:
            statistics = await handlers.statistics(unit, days=request.days or DEFAULT_DAYS, kind=request.kind or None)
        return contract.GetStatisticsResponse(statistics=figures.from_statistics(statistics))

    async def ExportHistory(
        self, request: contract.ExportHistoryRequest, context: ServicerContext
    ) -> AsyncIterator[contract.ExportHistoryResponse]:
        """See the contract."""
        wanted = handlers.visible(conversion.to_filter(request), current().caller)
        await context.send_initial_metadata((("content-disposition", 'attachment; filename="sessions.jsonl"'),))
        async for piece in export.pieces(self._database, wanted):
            yield contract.ExportHistoryResponse(body=HttpBody(content_type=export.MEDIA_TYPE, data=piece))

    async def GenerateReport(
        self, request: contract.GenerateReportRequest, context: ServicerContext
    ) -> AsyncIterator[contract.GenerateReportResponse]:
        """See the contract."""
        kind = request.kind or None
        async with self._database.transaction() as unit:
            statistics = await handlers.statistics(unit, days=request.days or DEFAULT_DAYS, kind=kind)
            report = Report(unit.tenant, unit.clock.now(), kind, statistics)
        format_ = _FORMATS[request.format]
        content = await asyncio.to_thread(render, report, format_)
        name = report.file_name(format_)
        await context.send_initial_metadata((("content-disposition", f'attachment; filename="{name}"'),))
        for begin in range(0, len(content), _PIECE):
            body = HttpBody(content_type=MEDIA_TYPES[format_], data=content[begin : begin + _PIECE])
            yield contract.GenerateReportResponse(body=body)
