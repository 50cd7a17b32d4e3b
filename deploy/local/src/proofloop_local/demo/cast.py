"""Who plays in the demo: people with tokens, calling the services of a running stack."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from google.protobuf.descriptor import ServiceDescriptor
from proofloop.audit.v1 import log_service_pb2
from proofloop.audit.v1.log_service_pb2_grpc import LogServiceStub
from proofloop.exports.v1 import workflows_service_pb2
from proofloop.exports.v1.workflows_service_pb2_grpc import WorkflowServiceStub
from proofloop.packets.v1 import claims_service_pb2, evidence_service_pb2, packets_service_pb2
from proofloop.packets.v1.claims_service_pb2_grpc import ClaimServiceStub
from proofloop.packets.v1.evidence_service_pb2_grpc import EvidenceServiceStub
from proofloop.packets.v1.packets_service_pb2_grpc import PacketServiceStub
from proofloop.prompts.v1 import prompts_service_pb2
from proofloop.prompts.v1.prompts_service_pb2_grpc import PromptServiceStub
from proofloop_runtime.breaker import Breakers
from proofloop_runtime.client import TlsFiles, open_channel
from proofloop_runtime.ports import SystemClock

from proofloop_local.state import StackState
from proofloop_local.token import make_token

if TYPE_CHECKING:
    # The asynchronous face of the stubs, which exists for type checkers only.
    from proofloop.audit.v1.log_service_pb2_grpc import LogServiceAsyncStub
    from proofloop.exports.v1.workflows_service_pb2_grpc import WorkflowServiceAsyncStub
    from proofloop.packets.v1.claims_service_pb2_grpc import ClaimServiceAsyncStub
    from proofloop.packets.v1.evidence_service_pb2_grpc import EvidenceServiceAsyncStub
    from proofloop.packets.v1.packets_service_pb2_grpc import PacketServiceAsyncStub
    from proofloop.prompts.v1.prompts_service_pb2_grpc import PromptServiceAsyncStub

_CONTRACTS = {
    "audit": [log_service_pb2],
    "prompts": [prompts_service_pb2],
    "packets": [claims_service_pb2, evidence_service_pb2, packets_service_pb2],
    "exports": [workflows_service_pb2],
}


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody with a token, and the services as they may call them.

    Attributes:
        id: The token's subject.
    """

    id: str
    log: "LogServiceAsyncStub"
    prompts: "PromptServiceAsyncStub"
    claims: "ClaimServiceAsyncStub"
    evidence: "EvidenceServiceAsyncStub"
    packets: "PacketServiceAsyncStub"
    workflows: "WorkflowServiceAsyncStub"


@asynccontextmanager
async def person(state: StackState, name: str, *roles: str) -> AsyncIterator[Person]:
    """Let somebody call the services, inside the block."""
    token = make_token(state.keys, user=name, tenant=state.tenants[0], roles=roles)
    client = state.client
    tls = TlsFiles(client.certificate.read_bytes(), client.key.read_bytes(), client.authority.read_bytes())
    breakers = Breakers(SystemClock())
    async with AsyncExitStack() as stack:
        channels = {}
        for service, modules in _CONTRACTS.items():
            contracts: list[ServiceDescriptor] = [
                contract for module in modules for contract in module.DESCRIPTOR.services_by_name.values()
            ]
            channel = open_channel(state.services[service], service, contracts, tls, breakers, lambda: token)
            channels[service] = await stack.enter_async_context(channel)
        yield Person(
            name,
            LogServiceStub(channels["audit"]),
            PromptServiceStub(channels["prompts"]),
            ClaimServiceStub(channels["packets"]),
            EvidenceServiceStub(channels["packets"]),
            PacketServiceStub(channels["packets"]),
            WorkflowServiceStub(channels["exports"]),
        )
