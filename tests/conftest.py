"""Real servers for every test: PostgreSQL and S3 once per session, NATS and databases for each test that asks."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from random import Random
from uuid import uuid4

import asyncpg
import grpc.aio
import httpx
import pytest
import pytest_asyncio
from demos import PlayedDemo, play
from hypothesis import HealthCheck, settings
from proofloop_local.authority import Authority
from proofloop_local.keys import Keys, make_keys
from proofloop_local.servers.nats import NatsServer
from proofloop_local.servers.ports import Ports
from proofloop_local.servers.postgres import Database, PostgresServer
from proofloop_local.servers.seaweedfs import SeaweedServer
from proofloop_local.stack import Stack
from proofloop_local.token import make_token
from proofloop_runtime.errors import CallTimedOut, DependencyUnavailable
from proofloop_runtime.migrate import migrate
from proofloop_runtime.testing import Certificates, Refusal, SpanRecorder, recording
from servers import CONTAINED, Nats, Postgres, Seaweed

CertificatesOf = Callable[[str], Certificates]
TokenFor = Callable[..., str]
BEHIND_THE_EDGE = ("/api/v1/audit/entries", "/api/v1/prompts", "/api/v1/claims", "/api/v1/exports")
"""A path of each service."""

NewDatabase = Callable[[str], Awaitable[Database]]

# How long an example takes tells how busy the machine is, not whether the code is right.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--deaths", type=int, default=3, help="how often the audit service is killed under load")
    parser.addoption("--outage", type=int, default=3, help="for how many seconds NATS is away under load")
    parser.addoption("--tamperings", type=int, default=100, help="how often each kind of thing is tampered with")


def pytest_report_header() -> str:
    return "servers: containers" if CONTAINED else "servers: from wheels, for no Docker engine answers"


@pytest.hookimpl(tryfirst=True)  # xdist names the groups in the same hook
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give the tests that share the whole stack to one worker, where there are several."""
    for item in items:
        if isinstance(item, pytest.Function) and "running_stack" in item.fixturenames:
            item.add_marker(pytest.mark.xdist_group("stack"))


@pytest.fixture
def tampered(request: pytest.FixtureRequest) -> Callable[[Callable[[Random], str | None]], None]:
    """Has a test tamper as often as the run asks for, and in the end fails with all that went unnamed.

    The test is given a chance of its own each time. It returns what was not named, nothing if all was, and None where
    it happened to leave the meaning as it was, which does not count.
    """

    def run(once: Callable[[Random], str | None]) -> None:
        unnamed, number, wanted = [], 0, request.config.getoption("tamperings")
        while wanted:
            seed = f"{request.node.name} {number}"
            what = once(Random(seed))  # noqa: S311 -- to be repeated
            number += 1
            wanted -= what is not None
            if what:
                unnamed.append(f"Random({seed!r}): {what}")
        assert not unnamed, "\n".join(["not named:", *unnamed])

    return run


@pytest.fixture
def closed_port(tmp_path: Path) -> Iterator[int]:
    """A port of this machine on which nobody listens."""
    ports = Ports(tmp_path / "closed-port.json", ["closed"])
    ports.hold()
    yield ports["closed"]
    ports.release()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def running_stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """The whole stack, as `proofloop up` brings it up, once per session.

    It lives on the session's event loop, and so does its span receiver: who looks at spans runs there too.
    """
    async with Stack(tmp_path_factory.mktemp("stack"), tenants=("acme", "globex")) as stack:
        yield stack


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def played_demo(running_stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> PlayedDemo:
    """The demo, played once on the session's stack."""
    return await play(running_stack.data, tmp_path_factory.mktemp("demo"))


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def postgres(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[PostgresServer]:
    async with Postgres(tmp_path_factory.mktemp("postgres")) as server:
        # No test pulls the plug of the machine, which alone fsync is for.
        await _as_superuser(server, "ALTER SYSTEM SET fsync = off", "SELECT pg_reload_conf()")
        yield server


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def object_store(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SeaweedServer]:
    """The S3 server that services share, each with a bucket of its own."""
    async with Seaweed(tmp_path_factory.mktemp("seaweedfs")) as server:
        yield server


@pytest.fixture(scope="session")
def migrated() -> set[str]:
    """Services that have a migrated database by now, which the tests' own are copied from."""
    return set()


@pytest.fixture
async def new_database(postgres: PostgresServer, migrated: set[str]) -> AsyncIterator[NewDatabase]:
    """Makes databases with a service's schema, for one test."""
    made: list[str] = []

    async def make(service: str) -> Database:
        owner, application, template = f"{service}_owner", f"{service}_app", f"{service}_template"
        if service not in migrated:
            database = await postgres.create_database(template, owner=owner, application=application)
            await migrate(f"proofloop_{service}", database.owner_url, application)
            migrated.add(service)
        name = f"{service}_{uuid4().hex}"
        await _as_superuser(postgres, f'CREATE DATABASE "{name}" OWNER "{owner}" TEMPLATE "{template}"')
        made.append(name)
        return await postgres.create_database(name, owner=owner, application=application)

    yield make
    for name in made:
        await postgres.drop_database(name)


async def _as_superuser(server: PostgresServer, *statements: str) -> None:
    connection = await asyncpg.connect(server.superuser_url)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


@pytest.fixture
async def nats(tmp_path: Path) -> AsyncIterator[NatsServer]:
    async with Nats(tmp_path / "nats") as server:
        yield server


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return make_keys(tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> CertificatesOf:
    """Gives the certificate files of any party."""
    authority = Authority(tmp_path_factory.mktemp("authority"))

    def of(name: str) -> Certificates:
        files = authority.credentials(name)
        return Certificates(files.certificate, files.key, files.authority)

    return of


@pytest.fixture(scope="session")
def token_for(keys: Keys) -> TokenFor:
    """Makes a person's token."""

    def make(user: str, *roles: str, tenant: str = "acme") -> str:
        return make_token(keys, user=user, tenant=tenant, roles=roles)

    return make


@pytest.fixture
def spans() -> Iterator[SpanRecorder]:
    with recording() as recorder:
        yield recorder


@pytest.fixture
def refused():
    """Expects the block to be refused with a status and a reason; tells the rest of the error in the end."""

    @contextmanager
    def expect(status: str, reason: str) -> Iterator[list[Refusal]]:
        seen: list[Refusal] = []
        with pytest.raises((grpc.aio.AioRpcError, DependencyUnavailable, CallTimedOut)) as caught:
            yield seen
        # Our own channel says in its own words that a service is away; what the service said is the cause.
        error = caught.value if isinstance(caught.value, grpc.aio.AioRpcError) else caught.value.__cause__
        seen.append(Refusal.of(error))
        assert (seen[0].status.name, seen[0].reason) == (status, f"ERROR_REASON_{reason}"), seen[0].message

    return expect


@pytest.fixture
def eventually():
    """Waits for what no event tells of: asks again until the answer is true, and returns it."""

    async def wait(ask: Callable[[], Awaitable]):
        async with asyncio.timeout(60):
            while True:
                if answer := await ask():
                    return answer
                await asyncio.sleep(0.01)

    return wait


@pytest.fixture
def healed(eventually):
    """Waits until the edge finds every service healthy: it asks them once a second, and answers 503 until then."""

    async def wait(stack: Stack) -> None:
        async with httpx.AsyncClient(base_url=stack.edge.url) as client:

            async def every_service_is_asked() -> bool:
                answers = [await client.get(path) for path in BEHIND_THE_EDGE]
                return all(answer.status_code != HTTPStatus.SERVICE_UNAVAILABLE for answer in answers)

            await eventually(every_service_is_asked)

    return wait
