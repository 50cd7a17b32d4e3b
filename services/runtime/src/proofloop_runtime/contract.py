"""What the contracts say about each method: roles, repeatability, streaming.

Read from the descriptors, so that the code cannot disagree with the contract.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from google.protobuf import descriptor_pb2
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from proofloop.access.v1 import access_pb2

_REPEATABLE = {
    descriptor_pb2.MethodOptions.NO_SIDE_EFFECTS,
    descriptor_pb2.MethodOptions.IDEMPOTENT,
}


class ContractError(Exception):
    """A contract lacks what the runtime needs to serve it."""


@dataclass(frozen=True)
class Method:
    """One method of a contract.

    Attributes:
        path: `/package.Service/Method`, as it stands on the wire.
        roles: Values of `proofloop.access.v1.Role`; a caller needs one of them. Empty: any authenticated
            caller (only for the health and reflection protocols, which are not ours).
        repeatable: The method may be called again with the same request.
        client_streaming: The caller sends a stream.
        server_streaming: The caller receives a stream.
    """

    path: str
    roles: frozenset[int]
    repeatable: bool
    client_streaming: bool
    server_streaming: bool

    @cached_property
    def name(self) -> str:
        """Return `package.Service/Method`, the name that spans and metrics carry."""
        return self.path.lstrip("/")

    @cached_property
    def service(self) -> str:
        """Return the full name of the gRPC service."""
        return self.name.partition("/")[0]


def foreign(path: str) -> Method:
    """Return a method of a protocol that is not ours, such as health or reflection."""
    return Method(path, frozenset(), repeatable=False, client_streaming=True, server_streaming=True)


def read(services: Iterable[ServiceDescriptor]) -> dict[str, Method]:
    """Return every method of the given services by its path.

    Raises:
        ContractError: a method does not say who may call it.
    """
    methods = (_method(method) for service in services for method in service.methods)
    return {method.path: method for method in methods}


def _method(descriptor: MethodDescriptor) -> Method:
    options = descriptor.GetOptions()
    roles = options.Extensions[access_pb2.access].roles
    if not roles:
        raise ContractError(f"{descriptor.full_name} does not say who may call it")
    return Method(
        path=f"/{descriptor.containing_service.full_name}/{descriptor.name}",
        roles=frozenset(roles),
        repeatable=options.idempotency_level in _REPEATABLE,
        client_streaming=descriptor.client_streaming,
        server_streaming=descriptor.server_streaming,
    )
