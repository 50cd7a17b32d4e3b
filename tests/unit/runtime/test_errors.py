"""Errors and the statuses they become."""

from datetime import timedelta
from importlib import import_module
from pathlib import Path

import grpc
import proofloop.audit.v1.error_reason_pb2 as audit_reasons
import pytest
from google.rpc import error_details_pb2
from proofloop_runtime import errors
from proofloop_runtime.errors import (
    DependencyUnavailable,
    DomainError,
    Draining,
    ErrorCatalog,
    FailedPrecondition,
    InvalidField,
    Overloaded,
    PreconditionViolation,
    RateLimited,
)

CATALOG = ErrorCatalog("audit.proofloop", audit_reasons.ErrorReason.DESCRIPTOR)
STATUS = grpc.StatusCode
COMMON = {
    1: ("INVALID_FIELD", STATUS.INVALID_ARGUMENT),
    2: ("MALFORMED_MESSAGE", STATUS.INVALID_ARGUMENT),
    3: ("UNAUTHENTICATED", STATUS.UNAUTHENTICATED),
    4: ("ROLE_MISSING", STATUS.PERMISSION_DENIED),
    5: ("NOT_OWNER", STATUS.PERMISSION_DENIED),
    6: ("RATE_LIMITED", STATUS.RESOURCE_EXHAUSTED),
    7: ("OVERLOADED", STATUS.RESOURCE_EXHAUSTED),
    8: ("DEPENDENCY_UNAVAILABLE", STATUS.UNAVAILABLE),
    9: ("REQUEST_ID_REUSED", STATUS.FAILED_PRECONDITION),
    10: ("PAGE_TOKEN_INVALID", STATUS.INVALID_ARGUMENT),
    11: ("DEADLINE_EXCEEDED", STATUS.DEADLINE_EXCEEDED),
    12: ("INTERNAL", STATUS.INTERNAL),
    13: ("DRAINING", STATUS.UNAVAILABLE),
}
PROTOS = Path(__file__).parents[3] / "protos" / "proofloop"
SERVICES = sorted(path.parts[-3] for path in PROTOS.glob("*/v1/error_reason.proto"))


def common_errors() -> dict[int, type[DomainError]]:
    found = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, DomainError)]
    return {kind.reason: kind for kind in found if hasattr(kind, "reason")}


@pytest.mark.parametrize("service", SERVICES)
def test_the_reasons_below_a_hundred_are_the_runtimes_in_every_service(service) -> None:
    enum = import_module(f"proofloop.{service}.v1.error_reason_pb2").ErrorReason.DESCRIPTOR
    shared = {value.number: value.name for value in enum.values if 0 < value.number < 100}
    assert shared == {number: f"ERROR_REASON_{name}" for number, (name, _) in COMMON.items()}


def test_every_common_reason_has_one_error_with_its_status() -> None:
    assert {number: kind.status for number, kind in common_errors().items()} == {
        number: status for number, (_, status) in COMMON.items()
    }


def details(error: DomainError) -> dict[str, object]:
    known = [
        error_details_pb2.ErrorInfo,
        error_details_pb2.BadRequest,
        error_details_pb2.PreconditionFailure,
        error_details_pb2.RetryInfo,
    ]
    found = {}
    for packed in CATALOG.to_status(error).details:
        [kind] = [kind for kind in known if packed.Is(kind.DESCRIPTOR)]
        found[kind.DESCRIPTOR.name] = message = kind()
        packed.Unpack(message)
    return found


def test_every_error_names_its_reason_and_domain() -> None:
    status = CATALOG.to_status(DependencyUnavailable("postgresql"))
    assert (status.code, status.message) == (STATUS.UNAVAILABLE.value[0], "postgresql is not available")
    info = details(DependencyUnavailable("postgresql"))["ErrorInfo"]
    assert (info.reason, info.domain) == ("ERROR_REASON_DEPENDENCY_UNAVAILABLE", "audit.proofloop")
    assert info.metadata == {"dependency": "postgresql"}


def test_a_wrong_field_stands_in_the_bad_request_and_in_the_metadata() -> None:
    found = details(InvalidField("is too long", field="draft.action"))
    assert [(v.field, v.description) for v in found["BadRequest"].field_violations] == [("draft.action", "is too long")]
    assert found["ErrorInfo"].metadata == {"field": "draft.action"}


def test_a_wrong_state_says_which_condition_does_not_hold() -> None:
    class WrongState(FailedPrecondition):
        reason = 9

    violation = PreconditionViolation("STATE", "prompts/1", "is answered")
    [told] = details(WrongState("no", violations=[violation]))["PreconditionFailure"].violations
    assert (told.type, told.subject, told.description) == ("STATE", "prompts/1", "is answered")


@pytest.mark.parametrize(
    "error",
    [
        RateLimited("slow down", retry_after=timedelta(seconds=2)),
        Overloaded("full"),
        DependencyUnavailable("nats"),
        Draining(),
    ],
)
def test_what_passes_says_when_to_come_back(error) -> None:
    assert details(error)["RetryInfo"].retry_delay.ToTimedelta() == error.retry_after
    assert error.retry_after > timedelta(0)
