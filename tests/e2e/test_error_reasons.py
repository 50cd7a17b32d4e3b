"""What callers are told of errors stands in the contracts, and means the same in every service."""

import importlib
from collections.abc import Iterator

import pytest
from google.protobuf.descriptor import EnumDescriptor
from proofloop_runtime.errors import DomainError

SERVICES = ("audit", "prompts", "packets", "exports")
COMMON = range(100)


def contract(service: str) -> EnumDescriptor:
    module = importlib.import_module(f"proofloop.{service}.v1.error_reason_pb2")
    return module.DESCRIPTOR.enum_types_by_name["ErrorReason"]


def common(service: str) -> dict[str, int]:
    return {value.name: value.number for value in contract(service).values if value.number in COMMON}


def own_errors(service: str) -> Iterator[type[DomainError]]:
    module = importlib.import_module(f"proofloop_{service}.errors")
    for value in vars(module).values():
        if isinstance(value, type) and issubclass(value, DomainError) and "reason" in vars(value):
            yield value


@pytest.mark.parametrize("service", SERVICES)
def test_the_common_reasons_are_the_same_in_every_service(service: str) -> None:
    assert common(service) == common("audit")
    assert len(common(service)) == 14


@pytest.mark.parametrize("service", SERVICES)
def test_every_reason_of_a_services_own_has_one_error_and_every_error_a_reason(service: str) -> None:
    raised = [error.reason for error in own_errors(service)]
    own = [value.number for value in contract(service).values if value.number not in COMMON]
    assert sorted(number for number in raised if number not in COMMON) == sorted(own)
    assert all(number in contract(service).values_by_number for number in raised)
