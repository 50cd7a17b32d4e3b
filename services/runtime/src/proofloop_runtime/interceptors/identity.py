"""Who calls, for which tenant, and whether the contract lets them."""

from collections.abc import Callable

from proofloop.access.v1 import access_pb2

from proofloop_runtime import telemetry
from proofloop_runtime.call import CallContext
from proofloop_runtime.errors import RoleMissing
from proofloop_runtime.grpc_types import ServicerContext
from proofloop_runtime.identity import Authenticator
from proofloop_runtime.interceptors.call import CORRELATION_ID, Call

CLIENT_ADDRESS = "x-proofloop-client-address"
CLIENT_AGENT = "x-proofloop-client-agent"

_LONGEST = 128
_REMEMBERED = 1_000
_ROLE_NAMES = {number: value.name for number, value in access_pb2.Role.DESCRIPTOR.values_by_number.items()}


class Identity:
    """Authenticates the caller, and knows the correlation id and the person's client.

    Args:
        authenticator: Decides who a caller is.
        edge: Peers that stand at the edge and see the person's client: their `x-forwarded-for` and `user-agent`
            are believed. Services hand on what the edge saw, and nobody else is believed about it.
    """

    def __init__(self, authenticator: Authenticator, edge: frozenset[str]) -> None:
        self._authenticator = authenticator
        self._edge = edge
        self._peers: dict[tuple[bytes, ...], str] = {}

    def __call__(self, call: Call) -> None:
        """Give the call its context.

        Raises:
            Unauthenticated: see `Authenticator`.
        """
        peer = self._peer(call.grpc)
        if not call.method.roles:
            return
        given = call.metadata.get(CORRELATION_ID, "")[:_LONGEST]
        if given:
            # With the status: metadata of its own would cost each call another write.
            call.grpc.set_trailing_metadata(((CORRELATION_ID, given),))
        correlation_id = call.correlation_id = given or call.span.trace_id
        caller = self._authenticator.caller(peer, call.metadata)
        address, agent = self._client(peer, call.metadata.get)
        call.context = CallContext(caller, correlation_id, address, agent, call.deadline)
        attributes = call.span.attributes
        attributes[telemetry.TENANT] = caller.tenant
        attributes[telemetry.CALLER_TYPE] = caller.type
        attributes[telemetry.CORRELATION_ID] = correlation_id

    def _peer(self, context: ServicerContext) -> str:
        """Return the service that the connection's certificate names.

        What the whole certificate says is asked once for each set of subject alternative names that our authority has
        signed, for to copy it out of gRPC costs more than the rest of this guard.
        """
        names = tuple(context.peer_identities() or ())
        peer = self._peers.get(names)
        if peer is None:
            peer = self._authenticator.peer(context.auth_context())
            if names and len(self._peers) < _REMEMBERED:
                self._peers[names] = peer
        return peer

    def _client(self, peer: str, header: Callable[[str, str], str]) -> tuple[str, str]:
        if peer in self._edge:
            # The last address is the one that the edge itself saw; those before it are hearsay.
            address = header("x-forwarded-for", "").rpartition(",")[2].strip()
            return address[:45], header("user-agent", "")[:512]
        if peer in self._authenticator.services:
            return header(CLIENT_ADDRESS, "")[:45], header(CLIENT_AGENT, "")[:512]
        return "", ""


def access(call: Call) -> None:
    """Let the call in if the contract does.

    Stands behind the rate limit, for a refusal is recorded in the database.

    Raises:
        RoleMissing: the caller has none of the method's roles.
    """
    if call.context is not None and not call.context.caller.roles & call.method.roles:
        wanted = ", ".join(sorted(_ROLE_NAMES[role].removeprefix("ROLE_").lower() for role in call.method.roles))
        raise RoleMissing(f"this needs one of the roles {wanted}", roles=wanted)
