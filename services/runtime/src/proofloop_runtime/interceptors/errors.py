"""What a caller sees of an error: its documented reason, and never our internals."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import grpc.aio

from proofloop_runtime import telemetry
from proofloop_runtime.errors import (
    STATUS_DETAILS_KEY,
    TRANSIENT,
    CallTimedOut,
    DomainError,
    ErrorCatalog,
    InternalError,
    PermissionDenied,
)
from proofloop_runtime.interceptors.call import CORRELATION_ID, Call
from proofloop_runtime.ports import Ids

log = logging.getLogger(__name__)

Answer = tuple[grpc.StatusCode, str, tuple[Any, ...]]
"""Status, message and trailing metadata of an aborted call."""

RecordRefusal = Callable[[Call, PermissionDenied], Awaitable[None]]


class Errors:
    """Turns what a call raises into a gRPC status with details.

    Args:
        catalog: Names of the service's reasons.
        ids: For the id under which a defect is logged.
        refused: Audits the refusal of a known caller.
    """

    def __init__(self, catalog: ErrorCatalog, ids: Ids, refused: RecordRefusal) -> None:
        self._catalog = catalog
        self._ids = ids
        self._refused = refused

    async def answer(self, call: Call, error: Exception) -> Answer:
        """Return what a call that raised an error is to be aborted with.

        Raises:
            CancelledError: nobody is there to be told.
        """
        if isinstance(error, grpc.aio.InternalError):
            # So a write fails when the caller has gone before gRPC could cancel us.
            call.status = grpc.StatusCode.CANCELLED
            raise asyncio.CancelledError from error
        told = self._told(error)
        call.status = told.status
        call.span.attributes[telemetry.ERROR_REASON] = self._catalog.name(told)
        if isinstance(error, PermissionDenied) and call.context is not None:
            await self._audit(call, error)
        details = (STATUS_DETAILS_KEY, self._catalog.to_status(told).SerializeToString())
        # Whoever is refused can name the call to us, also one who gave it no id.
        named = ((CORRELATION_ID, call.correlation_id),) if call.correlation_id else ()
        return told.status, told.message, (*named, details)

    async def _audit(self, call: Call, error: PermissionDenied) -> None:
        try:
            await self._refused(call, error)
        except TRANSIENT:
            # The refusal itself stands; that it could not be counted is for the operator to know.
            log.exception("a refusal could not be recorded")

    def _told(self, error: Exception) -> DomainError:
        """Return the error as a caller may know it."""
        if isinstance(error, DomainError):
            return error
        if isinstance(error, TimeoutError):
            return CallTimedOut("the call's time ran out")
        error_id = self._ids.uuid7()
        log.error("call failed", exc_info=error, extra={"error_id": error_id, "error_type": type(error).__name__})
        return InternalError("the service failed; it has been logged", error_id=error_id)
