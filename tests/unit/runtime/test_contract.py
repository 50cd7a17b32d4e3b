"""What the contracts say of their methods."""

from importlib import import_module
from pathlib import Path

import pytest
from google.protobuf.descriptor import ServiceDescriptor
from proofloop.access.v1.access_pb2 import ROLE_UNSPECIFIED
from proofloop_runtime import contract

GENERATED = Path(__file__).parents[3] / "protos" / "gen"
MODULES = [
    ".".join(path.relative_to(GENERATED).with_suffix("").parts)
    for path in sorted((GENERATED / "proofloop").rglob("*_service_pb2.py"))
]


def services(module: str) -> list[ServiceDescriptor]:
    return list(import_module(module).DESCRIPTOR.services_by_name.values())


@pytest.mark.parametrize("module", MODULES)
def test_every_method_of_every_contract_names_who_may_call_it(module) -> None:
    methods = contract.read(services(module))
    assert methods
    for method in methods.values():
        assert method.roles, method.path
        assert ROLE_UNSPECIFIED not in method.roles, method.path


def test_a_method_that_names_nobody_is_not_served() -> None:
    health = import_module("grpc_health.v1.health_pb2").DESCRIPTOR.services_by_name["Health"]
    with pytest.raises(contract.ContractError, match=r"grpc\.health\.v1\.Health\.\w+ does not say who may call it"):
        contract.read([health])


def test_repeatability_is_the_contracts() -> None:
    log = services("proofloop.audit.v1.log_service_pb2")
    method = contract.read(log)["/proofloop.audit.v1.LogService/GetEntry"]
    assert (method.repeatable, method.service) == (True, "proofloop.audit.v1.LogService")
    assert not contract.foreign("/a.B/C").repeatable
