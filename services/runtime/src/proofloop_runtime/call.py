"""Who is calling, and on whose behalf the current task works."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from enum import StrEnum

from proofloop.access.v1.access_pb2 import ROLE_SERVICE

from proofloop_runtime.errors import NotOwner


class CallerType(StrEnum):
    """Kind of a caller."""

    USER = "user"
    SERVICE = "service"


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated caller.

    Attributes:
        type: A person with a token, or a service with a certificate.
        id: The token's subject, or the service's name.
        tenant: The one tenant that the call is about.
        roles: Values of `proofloop.access.v1.Role`.
        peer: Name of the service at the other end of the connection.
        token: The bearer token, to be forwarded where a call is made in the person's name.
        key: A name that is unique among callers of a tenant.
    """

    type: CallerType
    id: str
    tenant: str
    roles: frozenset[int]
    peer: str
    token: str | None = None
    key: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", f"{self.type}:{self.id}")

    def must_own(self, owner: str, *privileged: int) -> None:
        """Check that the caller owns something, or has one of the privileged roles.

        Raises:
            NotOwner: neither holds.
        """
        if not (self.roles.intersection(privileged) or (self.type is CallerType.USER and self.id == owner)):
            raise NotOwner("this belongs to somebody else")


@dataclass(frozen=True, slots=True)
class CallContext:
    """What travels with a call from service to service and into every event and entry it causes.

    Attributes:
        caller: Who calls.
        correlation_id: `x-request-id`, given by the caller or made at the edge.
        ip_address: The person's client, as the trusted edge saw it; empty when not known.
        user_agent: The person's client program; empty when not known.
        deadline: When the call must be over, in seconds of the event loop's clock; None in the background.
    """

    caller: Caller
    correlation_id: str = ""
    ip_address: str = ""
    user_agent: str = ""
    deadline: float | None = None


_current: ContextVar[CallContext] = ContextVar("proofloop_call")


def current() -> CallContext:
    """Return the context of the call that this task serves.

    Raises:
        LookupError: the task serves none.
    """
    return _current.get()


def current_or_none() -> CallContext | None:
    """Return the context of the call that this task serves, if it serves one."""
    return _current.get(None)


def enter(context: CallContext) -> None:
    """Make `context` the current one for the rest of this task."""
    _current.set(context)


@contextmanager
def serving(context: CallContext) -> Iterator[None]:
    """Make `context` the current one inside the block."""
    token = _current.set(context)
    try:
        yield
    finally:
        _current.reset(token)


def background(service: str, tenant: str, correlation_id: str = "") -> CallContext:
    """Return the context of work that a service does by itself for a tenant."""
    caller = Caller(CallerType.SERVICE, service, tenant, frozenset({ROLE_SERVICE}), peer=service)
    return CallContext(caller, correlation_id)
