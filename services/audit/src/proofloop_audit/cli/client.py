"""The audit service as a person calls it from a terminal: mutual TLS, a token, deadlines, errors in plain words."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Timer
from typing import Any, TypeVar

import grpc
from proofloop.audit.v1 import log_pb2, sessions_pb2
from proofloop.audit.v1 import log_service_pb2 as log_contract
from proofloop.audit.v1 import sessions_service_pb2 as sessions_contract
from proofloop.audit.v1.log_service_pb2_grpc import LogServiceStub
from proofloop.audit.v1.sessions_service_pb2_grpc import SessionServiceStub

from proofloop_audit.cli.options import Connection
from proofloop_audit.cli.words import refuse

_PAGE = 100
_MAX_ANSWER = 64 * 1024 * 1024
"""Bytes; a page of the longest entries, whose details stand in them twice, has some 20 million."""

AnswerT = TypeVar("AnswerT")


@dataclass(frozen=True, slots=True)
class Audit:
    """The service, for one person. Whatever goes wrong ends the command, in plain words."""

    log: LogServiceStub
    sessions: SessionServiceStub
    connection: Connection

    def entries(self, *, newest_first: bool, filters: Mapping[str, Any]) -> Iterator[log_pb2.Entry]:
        """Yield the entries that match, page after page."""
        order = log_contract.ListEntriesRequest.Order
        request = log_contract.ListEntriesRequest(
            order=order.ORDER_NEWEST_FIRST if newest_first else order.ORDER_OLDEST_FIRST, page_size=_PAGE, **filters
        )
        while True:
            page = self._call(self.log.ListEntries, request)
            yield from page.entries
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    def entry(self, entry_id: str) -> log_pb2.Entry:
        """Return an entry."""
        return self._call(self.log.GetEntry, log_contract.GetEntryRequest(entry_id=entry_id)).entry

    def tlog_proof(self, entry_id: str) -> str:
        """Return the text that proves an entry (C2SP tlog-proof)."""
        request = log_contract.GetInclusionProofRequest(entry_id=entry_id)
        return self._call(self.log.GetInclusionProof, request).tlog_proof

    def checkpoint(self) -> str:
        """Return a signed checkpoint (C2SP tlog-checkpoint) of all there is."""
        return self._call(self.log.GetCheckpoint, log_contract.GetCheckpointRequest()).checkpoint.note

    def export(self, request: log_contract.ExportEntriesRequest) -> Iterator[bytes]:
        """Yield an export, piece by piece."""
        for piece in self._stream(self.log.ExportEntries(request)):
            yield piece.body.data

    def statistics(self, *, days: int, kind: str) -> sessions_pb2.SessionStatistics:
        """Return the figures of the sessions."""
        request = sessions_contract.GetStatisticsRequest(days=days, kind=kind)
        return self._call(self.sessions.GetStatistics, request).statistics

    def report(self, request: sessions_contract.GenerateReportRequest) -> Iterator[bytes]:
        """Yield a report's file, piece by piece."""
        for piece in self._stream(self.sessions.GenerateReport(request)):
            yield piece.body.data

    def _call(self, method: Callable[..., AnswerT], request: Any) -> AnswerT:
        try:
            return method(request, timeout=self.connection.timeout)
        except grpc.RpcError as error:
            refuse(error, self.connection.server, self.connection.timeout)

    def _stream(self, call: "grpc.CallIterator[AnswerT]") -> Iterator[AnswerT]:
        """Yield a stream's pieces. How long it takes as a whole nobody knows: the deadline is each piece's."""
        pieces = iter(call)
        try:
            while True:
                overdue = Timer(self.connection.timeout, call.cancel)
                overdue.start()
                try:
                    piece = next(pieces)
                finally:
                    overdue.cancel()
                yield piece
        except StopIteration:
            return
        except grpc.RpcError as error:
            refuse(error, self.connection.server, self.connection.timeout)


@contextmanager
def connected(connection: Connection) -> Iterator[Audit]:
    """Open the way to the service."""
    connection.require()
    tls = grpc.ssl_channel_credentials(
        connection.read("--cacert", connection.authority),
        connection.read("--key", connection.key),
        connection.read("--cert", connection.certificate),
    )
    credentials = grpc.composite_channel_credentials(tls, grpc.access_token_call_credentials(connection.token))
    options = [("grpc.max_receive_message_length", _MAX_ANSWER), ("grpc.keepalive_time_ms", 30_000)]
    with grpc.secure_channel(connection.server, credentials, options) as channel:
        yield Audit(LogServiceStub(channel), SessionServiceStub(channel), connection)
