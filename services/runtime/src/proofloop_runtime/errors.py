"""Errors that callers are meant to see, and how each becomes a gRPC status.

A service derives one class per reason of its `ErrorReason` enum from the class of the status that the reason
answers with. Reasons below 100 mean the same in every service and stand here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.protobuf.descriptor import EnumDescriptor
from google.rpc import error_details_pb2, status_pb2

STATUS_DETAILS_KEY = "grpc-status-details-bin"


@dataclass(frozen=True, slots=True)
class PreconditionViolation:
    """One condition that did not hold: `google.rpc.PreconditionFailure.Violation`."""

    type: str
    subject: str
    description: str


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """One field that is wrong: `google.rpc.BadRequest.FieldViolation`."""

    field: str
    description: str


class DomainError(Exception):
    """An error with a documented reason.

    Args:
        message: What went wrong, in a sentence a caller can act on; names no internals.
        field: The request field at fault, as its path in the contract.
        violations: Conditions that did not hold, or fields that are wrong.
        retry_after: After which delay a repetition makes sense.
        metadata: Further facts for `ErrorInfo.metadata`.
    """

    status: ClassVar[grpc.StatusCode]
    reason: ClassVar[int]

    def __init__(
        self,
        message: str,
        *,
        field: str | None = None,
        violations: Sequence[PreconditionViolation | FieldViolation] = (),
        retry_after: timedelta | None = None,
        **metadata: str,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.violations = (*violations, FieldViolation(field, message)) if field else tuple(violations)
        self.retry_after = retry_after
        # Also in the metadata, for those who read only ErrorInfo.
        first = next((v.field for v in self.violations if isinstance(v, FieldViolation)), None)
        self.metadata = {"field": first, **metadata} if first else metadata


class InvalidArgument(DomainError):
    """The request is wrong whatever the state."""

    status = grpc.StatusCode.INVALID_ARGUMENT


class NotFound(DomainError):
    """There is no such thing for this caller."""

    status = grpc.StatusCode.NOT_FOUND


class AlreadyExists(DomainError):
    """The thing is there already."""

    status = grpc.StatusCode.ALREADY_EXISTS


class FailedPrecondition(DomainError):
    """The state does not allow it."""

    status = grpc.StatusCode.FAILED_PRECONDITION


class PermissionDenied(DomainError):
    """The caller may not do it."""

    status = grpc.StatusCode.PERMISSION_DENIED


class Aborted(DomainError):
    """Somebody else changed the thing meanwhile: read it again, then decide."""

    status = grpc.StatusCode.ABORTED


class OutOfRange(DomainError):
    """The request lies past what is there."""

    status = grpc.StatusCode.OUT_OF_RANGE


class ResourceExhausted(DomainError):
    """A limit is reached."""

    status = grpc.StatusCode.RESOURCE_EXHAUSTED


class Unavailable(DomainError):
    """It cannot be done now; nothing was done."""

    status = grpc.StatusCode.UNAVAILABLE


class DeadlineExceeded(DomainError):
    """The time ran out; whether it took effect is not known."""

    status = grpc.StatusCode.DEADLINE_EXCEEDED


class InternalError(DomainError):
    """A defect of ours."""

    status = grpc.StatusCode.INTERNAL
    reason = 12


class Unauthenticated(DomainError):
    """The caller did not show who they are."""

    status = grpc.StatusCode.UNAUTHENTICATED
    reason = 3


class InvalidField(InvalidArgument):
    """A field breaks a rule of the contract."""

    reason = 1


class MalformedMessage(InvalidArgument):
    """The bytes are not the message that the method takes."""

    reason = 2


class RoleMissing(PermissionDenied):
    """The caller has none of the method's roles."""

    reason = 4


class NotOwner(PermissionDenied):
    """The resource belongs to, or is addressed to, somebody else."""

    reason = 5


class RateLimited(ResourceExhausted):
    """The caller's own rate limit is reached."""

    reason = 6


class Overloaded(ResourceExhausted):
    """A bounded queue of the service is full; nothing was done."""

    reason = 7

    def __init__(self, message: str, retry_after: timedelta = timedelta(seconds=1)) -> None:
        super().__init__(message, retry_after=retry_after)


class DependencyUnavailable(Unavailable):
    """A dependency is down; nothing was done."""

    reason = 8

    def __init__(self, dependency: str, retry_after: timedelta = timedelta(seconds=1)) -> None:
        super().__init__(f"{dependency} is not available", retry_after=retry_after, dependency=dependency)


class RequestIdReused(FailedPrecondition):
    """The request_id was used before with another request."""

    reason = 9


class PageTokenInvalid(InvalidArgument):
    """The page token is not one that this list gave out for these filters."""

    reason = 10


class CallTimedOut(DeadlineExceeded):
    """The call's time ran out on the server."""

    reason = 11


class Draining(Unavailable):
    """This replica is shutting down; another one answers at once."""

    reason = 13

    def __init__(
        self, message: str = "this replica is shutting down", retry_after: timedelta = timedelta(milliseconds=100)
    ) -> None:
        super().__init__(message, retry_after=retry_after)


TRANSIENT = (DependencyUnavailable, Overloaded, Draining)
"""What passes by itself: a worker that meets one of these waits and goes on."""


@dataclass(frozen=True, slots=True)
class ErrorCatalog:
    """The `ErrorReason` enum of one service, and the domain its errors carry."""

    domain: str
    reasons: EnumDescriptor

    def name(self, error: DomainError) -> str:
        """Return the name of the error's reason."""
        name: str = self.reasons.values_by_number[error.reason].name
        return name

    def to_status(self, error: DomainError) -> status_pb2.Status:
        """Return the error as `google.rpc.Status` with ErrorInfo and the details its status calls for."""
        info = error_details_pb2.ErrorInfo(reason=self.name(error), domain=self.domain, metadata=error.metadata)
        details: list[any_pb2.Any] = [_pack(info)]
        fields = [v for v in error.violations if isinstance(v, FieldViolation)]
        conditions = [v for v in error.violations if isinstance(v, PreconditionViolation)]
        if fields:
            bad_request = error_details_pb2.BadRequest()
            for field in fields:
                bad_request.field_violations.add(field=field.field, description=field.description)
            details.append(_pack(bad_request))
        if conditions:
            failure = error_details_pb2.PreconditionFailure()
            for condition in conditions:
                failure.violations.add(
                    type=condition.type, subject=condition.subject, description=condition.description
                )
            details.append(_pack(failure))
        if error.retry_after is not None:
            delay = duration_pb2.Duration()
            delay.FromTimedelta(error.retry_after)
            details.append(_pack(error_details_pb2.RetryInfo(retry_delay=delay)))
        return status_pb2.Status(code=error.status.value[0], message=error.message, details=details)


def _pack(
    detail: error_details_pb2.ErrorInfo
    | error_details_pb2.BadRequest
    | error_details_pb2.PreconditionFailure
    | error_details_pb2.RetryInfo,
) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(detail)
    return packed
