"""Sessions, called by a service and by people."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from uuid import uuid4

import pytest
from proofloop.audit.v1 import log_pb2, sessions_pb2
from proofloop.audit.v1 import sessions_service_pb2 as contract
from proofloop.audit.v1.sessions_service_pb2_grpc import SessionServiceStub
from proofloop_runtime.testing import Service

Start = Callable[..., Awaitable[sessions_pb2.Session]]


@pytest.fixture
async def sessions(audit: Service) -> AsyncIterator[SessionServiceStub]:
    """Sessions, called by the packets service for the tenant acme."""
    async with audit.channel() as channel:
        yield SessionServiceStub(channel)


@pytest.fixture
def sessions_of(audit: Service, token_for):
    """Sessions as a person calls them."""

    @asynccontextmanager
    async def call(user: str, *roles: str, tenant: str = "acme") -> AsyncIterator[SessionServiceStub]:
        async with audit.channel(peer="cli", token=token_for(user, *roles, tenant=tenant)) as channel:
            yield SessionServiceStub(channel)

    return call


@pytest.fixture
def start(sessions: SessionServiceStub) -> Start:
    """Starts a session of ann's, unless told otherwise."""

    async def call(stub: SessionServiceStub = sessions, **fields) -> sessions_pb2.Session:
        request = {"request_id": str(uuid4()), "user_id": "ann", "kind": "invoice_parsing"} | fields
        return (await stub.StartSession(contract.StartSessionRequest(**request))).session

    return call


@pytest.fixture
def record(sessions: SessionServiceStub):
    """Records a step of a session, a parsing unless told otherwise."""

    async def call(
        session: sessions_pb2.Session, stub: SessionServiceStub = sessions, **fields
    ) -> contract.RecordEventResponse:
        request = {"request_id": str(uuid4()), "session_id": session.session_id, "type": "parsing"} | fields
        return await stub.RecordEvent(contract.RecordEventRequest(**request))

    return call


@pytest.fixture
def end(sessions: SessionServiceStub):
    """Ends a session, with success unless told otherwise."""

    async def call(
        session: sessions_pb2.Session, stub: SessionServiceStub = sessions, **fields
    ) -> sessions_pb2.Session:
        defaults = {"request_id": str(uuid4()), "session_id": session.session_id, "outcome": log_pb2.OUTCOME_SUCCESS}
        return (await stub.EndSession(contract.EndSessionRequest(**defaults | fields))).session

    return call


@pytest.fixture
def get(sessions: SessionServiceStub):
    """Returns a session and its events as they stand."""

    async def call(session: sessions_pb2.Session, stub: SessionServiceStub = sessions) -> contract.GetSessionResponse:
        return await stub.GetSession(contract.GetSessionRequest(session_id=session.session_id))

    return call
