"""Audit services in this process, replicas on one database and one NATS."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from uuid import uuid4

import asyncpg
import pytest
from nats.aio.client import Client
from proofloop.audit.v1 import log_pb2, sessions_service_pb2
from proofloop.audit.v1 import log_service_pb2 as contract
from proofloop.audit.v1.log_service_pb2_grpc import LogServiceStub
from proofloop_audit.bootstrap import application
from proofloop_audit.settings import AuditSettings
from proofloop_local.keys import Keys
from proofloop_local.servers.nats import NatsServer
from proofloop_local.servers.postgres import Database, PostgresServer
from proofloop_local.servers.seaweedfs import SeaweedServer
from proofloop_local.token import ISSUER
from proofloop_runtime.application import Ports
from proofloop_runtime.testing import Certificates, Service, SpanRecorder, serving
from proofloop_verifier.merkle import CompactRange
from pydantic import SecretStr

CONTRACTS = [
    contract.DESCRIPTOR.services_by_name["LogService"],
    sessions_service_pb2.DESCRIPTOR.services_by_name["SessionService"],
]

NewRequest = Callable[..., contract.AppendEntryRequest]
Append = Callable[..., Awaitable[log_pb2.EntryReceipt]]


@pytest.fixture
async def audit_database(new_database) -> Database:
    return await new_database("audit")


@pytest.fixture
def audit_settings(
    audit_database: Database, nats: NatsServer, keys: Keys, certificates: Callable[[str], Certificates]
) -> AuditSettings:
    files = certificates("audit")
    return AuditSettings(
        database_url=audit_database.application_url,
        nats_url=nats.url,
        tls_certificate=files.certificate,
        tls_key=files.key,
        tls_authority=files.authority,
        token_keys=keys.token_key_set,
        token_issuer=ISSUER,
        tenants=("acme", "globex"),
        log_domain="proofloop.local",
        log_key=keys.log_key,
        master_key=keys.master_key,
    )


@pytest.fixture
async def publishing(object_store: SeaweedServer, audit_settings: AuditSettings) -> AuditSettings:
    """Settings of a service that publishes at once, to a bucket of the test's own."""
    bucket = f"audit-{uuid4().hex}"
    await object_store.create_bucket(bucket)
    return audit_settings.model_copy(
        update={
            "s3_endpoint": object_store.endpoint,
            "s3_bucket": bucket,
            "s3_region": object_store.region,
            "s3_access_key": object_store.access_key,
            "s3_secret_key": SecretStr(object_store.secret_key),
            "checkpoint_every": timedelta(milliseconds=20),
            "publish_every": timedelta(milliseconds=20),
        }
    )


@pytest.fixture
def replica(audit_settings: AuditSettings, certificates, spans: SpanRecorder):
    """Starts a replica, with other ports and settings where a test needs them."""

    @asynccontextmanager
    async def start(
        ports: Ports | None = None, base: AuditSettings = audit_settings, **changes
    ) -> AsyncIterator[Service]:
        settings = base.model_copy(update=changes)
        async with serving(application, settings, CONTRACTS, certificates, ports) as service:
            yield service

    return start


@pytest.fixture
async def audit(replica) -> AsyncIterator[Service]:
    async with replica() as service:
        yield service


@pytest.fixture
async def log(audit: Service) -> AsyncIterator[LogServiceStub]:
    """The log, called by the packets service for the tenant acme."""
    async with audit.channel() as channel:
        yield LogServiceStub(channel)


@pytest.fixture
def as_person(audit: Service, token_for):
    """The log as a person calls it."""

    @asynccontextmanager
    async def call(user: str, *roles: str, tenant: str = "acme") -> AsyncIterator[LogServiceStub]:
        async with audit.channel(peer="cli", token=token_for(user, *roles, tenant=tenant)) as channel:
            yield LogServiceStub(channel)

    return call


@pytest.fixture
async def officer(as_person) -> AsyncIterator[LogServiceStub]:
    """The log as cora calls it, who may erase people and place holds."""
    async with as_person("cora", "compliance") as stub:
        yield stub


@pytest.fixture
def erasing():
    """Makes requests to erase a person."""

    def make(person: str, **fields) -> contract.EraseSubjectRequest:
        defaults = {"request_id": str(uuid4()), "subject": user(person), "reason": "asked to be forgotten"}
        return contract.EraseSubjectRequest(**defaults | fields)

    return make


@pytest.fixture
def erase(officer: LogServiceStub, erasing):
    """Erases a person."""

    async def call(person: str, stub: LogServiceStub = officer, **fields) -> contract.EraseSubjectResponse:
        return await stub.EraseSubject(erasing(person, **fields))

    return call


@pytest.fixture
def place(officer: LogServiceStub):
    """Places a hold."""

    async def call(**scope) -> log_pb2.LegalHold:
        request = contract.PlaceLegalHoldRequest(
            request_id=str(uuid4()), scope=log_pb2.HoldScope(**scope), reason="case 17"
        )
        return (await officer.PlaceLegalHold(request)).hold

    return call


@pytest.fixture
def superuser_url(postgres: PostgresServer, audit_database: Database) -> str:
    return f"{postgres.superuser_url.rpartition('/')[0]}/{audit_database.name}"


@pytest.fixture
async def superuser(superuser_url: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection that no row security holds back."""
    connection = await asyncpg.connect(superuser_url)
    yield connection
    await connection.close()


@pytest.fixture
async def nats_client(nats: NatsServer) -> AsyncIterator[Client]:
    client = Client()
    await client.connect(nats.url)
    yield client
    await client.close()


@pytest.fixture
def new_request() -> NewRequest:
    """Makes requests to append: `request_id` and fields of the draft."""

    def make(request_id: str | None = None, **fields) -> contract.AppendEntryRequest:
        defaults = {
            "actor": log_pb2.Actor(type=log_pb2.ACTOR_TYPE_USER, id="user-1"),
            "action": "prompt.answered",
            "outcome": log_pb2.OUTCOME_SUCCESS,
            "entity_type": "prompt",
            "entity_id": "prompt-1",
        }
        return contract.AppendEntryRequest(
            request_id=request_id or str(uuid4()), draft=log_pb2.EntryDraft(**defaults | fields)
        )

    return make


@pytest.fixture
def append(log: LogServiceStub, new_request: NewRequest) -> Append:
    """Appends an entry, and returns its receipt."""

    async def call(request_id: str | None = None, **fields) -> log_pb2.EntryReceipt:
        return (await log.AppendEntry(new_request(request_id, **fields))).receipt

    return call


@pytest.fixture
def append_many(log: LogServiceStub, new_request: NewRequest):
    """Appends so many entries, as many at once as the contract allows."""

    async def call(count: int, stub: LogServiceStub = log, **fields) -> list[log_pb2.EntryReceipt]:
        receipts: list[log_pb2.EntryReceipt] = []
        while missing := count - len(receipts):
            entries = [new_request(**fields) for _ in range(min(missing, 1000))]
            receipts += (await stub.AppendEntries(contract.AppendEntriesRequest(entries=entries))).receipts
        return receipts

    return call


@pytest.fixture
def read_log(log: LogServiceStub):
    """Returns all entries that match, oldest first."""

    async def read(stub: LogServiceStub = log, **filters) -> list[log_pb2.Entry]:
        entries: list[log_pb2.Entry] = []
        request = contract.ListEntriesRequest(page_size=1000, **filters)
        while True:
            page = await stub.ListEntries(request)
            entries += page.entries
            if not page.next_page_token:
                return entries
            request.page_token = page.next_page_token

    return read


@pytest.fixture
def assert_whole(log: LogServiceStub, read_log):
    """Checks that a log has no gap and no fork: indexes, times, every claim's chain, and the signed root."""

    async def check() -> list[log_pb2.Entry]:
        checkpoint = (await log.GetCheckpoint(contract.GetCheckpointRequest())).checkpoint
        entries = (await read_log())[: checkpoint.tree_size]
        assert [entry.index for entry in entries] == list(range(checkpoint.tree_size))
        times = [entry.append_time.ToNanoseconds() for entry in entries]
        assert times == sorted(times)
        chains: dict[str, list[log_pb2.Entry]] = {}
        for entry in entries:
            if entry.claim_id:
                chains.setdefault(entry.claim_id, []).append(entry)
        for chain in chains.values():
            assert_chained(chain)
        assert CompactRange().extend([entry.leaf_hash for entry in entries]).root() == checkpoint.root_hash
        return entries

    return check


def user(name: str) -> log_pb2.Actor:
    return log_pb2.Actor(type=log_pb2.ACTOR_TYPE_USER, id=name)


def assert_chained(entries) -> None:
    assert [entry.claim_sequence for entry in entries] == list(range(len(entries)))
    leaves = [json.loads(entry.leaf) for entry in entries]
    assert "claim_previous" not in leaves[0]
    for before, leaf in zip(entries, leaves[1:], strict=False):
        assert leaf["claim_previous"] == before.leaf_hash.hex()
