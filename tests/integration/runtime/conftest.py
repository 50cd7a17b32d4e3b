"""The echo service in this process, its schema made once per session, and ways to look behind it."""

import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path
from uuid import uuid4

import grpc.aio
import pytest
import pytest_asyncio
from proofloop_local.keys import Keys
from proofloop_local.servers.nats import NatsServer
from proofloop_local.servers.postgres import Database, PostgresServer
from proofloop_local.token import ISSUER
from proofloop_runtime.migrate import migrate
from proofloop_runtime.testing import Service, serving

sys.path.insert(0, str(Path(__file__).parent))

from proofloop_echo.contract import SERVICE
from proofloop_echo.service import Echo, EchoSettings, make_application

TENANTS = ("acme", "globex")
Serve = Callable[..., AbstractAsyncContextManager[tuple[Service, Echo]]]


@pytest.fixture
async def echo_database(new_database) -> Database:
    """A database for one test."""
    return await new_database("echo")


@pytest.fixture(scope="session")
def settings_for(keys: Keys, certificates) -> Callable[[Database, NatsServer], EchoSettings]:
    def make(database: Database, nats: NatsServer) -> EchoSettings:
        files = certificates("echo")
        return EchoSettings(
            database_url=database.application_url,
            nats_url=nats.url,
            tls_certificate=files.certificate,
            tls_key=files.key,
            tls_authority=files.authority,
            token_keys=keys.token_key_set,
            token_issuer=ISSUER,
            tenants=TENANTS,
        )

    return make


@pytest.fixture
def echo_settings(settings_for, echo_database: Database, nats: NatsServer) -> EchoSettings:
    return settings_for(echo_database, nats)


@pytest.fixture
def serve(echo_settings: EchoSettings, certificates, spans) -> Serve:
    """Serves with other settings, consumers, workers or probes."""

    @asynccontextmanager
    async def start(*, ports=None, settings=None, **parts) -> AsyncIterator[tuple[Service, Echo]]:
        born: list[Echo] = []
        application = make_application(born=born.append, **parts)
        chosen = echo_settings.model_copy(update=settings or {})
        async with serving(application, chosen, [SERVICE], certificates, ports) as service:
            yield service, born[0]

    return start


# What follows is shared by the tests of a module, which run on one event loop.


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_database(postgres: PostgresServer) -> AsyncIterator[Database]:
    database = await postgres.create_database(f"echo_{uuid4().hex}", owner="echo_owner", application="echo_app")
    await migrate("proofloop_echo", database.owner_url, "echo_app")
    yield database
    await postgres.drop_database(database.name)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_nats(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[NatsServer]:
    async with NatsServer(tmp_path_factory.mktemp("nats")) as server:
        yield server


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(
    settings_for, shared_database: Database, shared_nats: NatsServer, certificates
) -> AsyncIterator[tuple[Service, Echo]]:
    born: list[Echo] = []
    settings = settings_for(shared_database, shared_nats)
    async with serving(make_application(born=born.append), settings, [SERVICE], certificates) as service:
        yield service, born[0]


@pytest.fixture
def service(running: tuple[Service, Echo], spans) -> Service:
    return running[0]


@pytest.fixture
def echo(running: tuple[Service, Echo]) -> Echo:
    """The servicer, with nothing remembered of the test before."""
    running[1].forget()
    return running[1]


@pytest_asyncio.fixture(loop_scope="module")
async def plain(service: Service, certificates) -> AsyncIterator[Callable[[str], grpc.aio.Channel]]:
    """Opens channels of gRPC's own, without our client's care, as a peer of the given name."""
    async with AsyncExitStack() as stack:

        def channel(peer: str) -> grpc.aio.Channel:
            opened = grpc.aio.secure_channel(service.running.address, certificates(peer).read().channel_credentials())
            stack.push_async_callback(opened.close)
            return opened

        yield channel
