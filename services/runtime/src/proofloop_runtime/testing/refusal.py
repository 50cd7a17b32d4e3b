"""What a caller can read from an error."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Self

import grpc
import grpc.aio
from google.rpc import error_details_pb2, status_pb2

from proofloop_runtime.errors import STATUS_DETAILS_KEY


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error's status and `google.rpc` details.

    Attributes:
        status: The gRPC status.
        reason: Name of the `ErrorReason`; empty where the error is not one of a service, such as a lost connection.
        domain: `<service>.proofloop`.
        message: The sentence for people.
        metadata: Of ErrorInfo.
        fields: Fields that BadRequest names.
        conditions: Subjects that PreconditionFailure names.
        retry_after: Of RetryInfo.
    """

    status: grpc.StatusCode
    reason: str
    domain: str
    message: str
    metadata: dict[str, str]
    fields: tuple[str, ...]
    conditions: tuple[str, ...]
    retry_after: timedelta | None

    @classmethod
    def of(cls, error: grpc.aio.AioRpcError) -> Self:
        """Read an error."""
        trailing: Any = error.trailing_metadata() or ()
        packed = dict(trailing).get(STATUS_DETAILS_KEY, b"")
        info, wrong = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
        failed, retry = error_details_pb2.PreconditionFailure(), error_details_pb2.RetryInfo()
        for detail in status_pb2.Status.FromString(packed if isinstance(packed, bytes) else b"").details:
            for message in (info, wrong, failed, retry):
                detail.Unpack(message)
        return cls(
            status=error.code(),
            reason=info.reason,
            domain=info.domain,
            message=error.details() or "",
            metadata=dict(info.metadata),
            fields=tuple(violation.field for violation in wrong.field_violations),
            conditions=tuple(violation.subject for violation in failed.violations),
            retry_after=retry.retry_delay.ToTimedelta() if retry.HasField("retry_delay") else None,
        )
