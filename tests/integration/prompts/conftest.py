"""Prompts services in this process, replicas of one database and one NATS."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import uuid4

import grpc.aio
import pytest
from proofloop.prompts.v1 import prompts_service_pb2 as contract
from proofloop.prompts.v1.prompts_pb2 import FeedEvent, Option, Prompt
from proofloop.prompts.v1.prompts_service_pb2_grpc import PromptServiceStub
from proofloop_local.keys import Keys
from proofloop_local.servers.nats import NatsServer
from proofloop_local.servers.postgres import Database
from proofloop_local.token import ISSUER
from proofloop_prompts.bootstrap import application
from proofloop_prompts.settings import PromptsSettings
from proofloop_runtime.application import Ports
from proofloop_runtime.testing import Certificates, Service, SpanRecorder, serving
from proofloop_runtime.testing.refusal import Refusal

CONTRACTS = [contract.DESCRIPTOR.services_by_name["PromptService"]]


@pytest.fixture
async def prompts_database(new_database) -> Database:
    return await new_database("prompts")


@pytest.fixture
def prompts_settings(
    prompts_database: Database, nats: NatsServer, keys: Keys, certificates: Callable[[str], Certificates]
) -> PromptsSettings:
    files = certificates("prompts")
    return PromptsSettings(
        database_url=prompts_database.application_url,
        nats_url=nats.url,
        tls_certificate=files.certificate,
        tls_key=files.key,
        tls_authority=files.authority,
        token_keys=keys.token_key_set,
        token_issuer=ISSUER,
        tenants=("acme", "globex"),
        person_rate=10_000,
        drain=timedelta(seconds=2),
    )


@pytest.fixture
def replica(prompts_settings: PromptsSettings, certificates, spans: SpanRecorder):
    """Starts a replica, with other settings, or with ports of its own, where a test needs them."""

    @asynccontextmanager
    async def start(ports: Ports | None = None, **changes) -> AsyncIterator[Service]:
        settings = prompts_settings.model_copy(update=changes)
        async with serving(application, settings, CONTRACTS, certificates, ports) as service:
            yield service

    return start


@pytest.fixture
async def prompts(replica) -> AsyncIterator[Service]:
    async with replica() as service:
        yield service


@pytest.fixture
def as_person(prompts: Service, token_for):
    """The service as a person calls it."""

    @asynccontextmanager
    async def call(user: str, *roles: str, tenant: str = "acme", service: Service = prompts):
        async with service.channel(peer="cli", token=token_for(user, *roles, tenant=tenant)) as channel:
            yield PromptServiceStub(channel)

    return call


@pytest.fixture
async def packets(prompts: Service) -> AsyncIterator[PromptServiceStub]:
    """The service as the packets service calls it, for the tenant acme."""
    async with prompts.channel(peer="packets") as channel:
        yield PromptServiceStub(channel)


@pytest.fixture
async def ann(as_person) -> AsyncIterator[PromptServiceStub]:
    """The service as the claimant ann calls it; `ask` asks her unless told otherwise."""
    async with as_person("ann", "claimant") as stub:
        yield stub


@pytest.fixture
async def reviewer(as_person) -> AsyncIterator[PromptServiceStub]:
    async with as_person("rita", "reviewer") as stub:
        yield stub


@pytest.fixture
def asking():
    """Makes requests to ask ann."""

    def request(**fields) -> contract.CreatePromptRequest:
        defaults = {
            "request_id": str(uuid4()),
            "claim_id": str(uuid4()),
            "assignee_id": "ann",
            "question": "Were 40 units delivered?",
            "options": [Option(id="yes", label="Yes"), Option(id="no", label="No")],
        }
        return contract.CreatePromptRequest(**defaults | fields)

    return request


@pytest.fixture
def answering():
    """Makes requests to answer a prompt with yes."""

    def request(prompt: Prompt, **fields) -> contract.AnswerPromptRequest:
        defaults = {
            "request_id": str(uuid4()),
            "prompt_id": prompt.prompt_id,
            "shown_sha256": prompt.shown_sha256,
            "option_id": "yes",
        }
        return contract.AnswerPromptRequest(**defaults | fields)

    return request


@pytest.fixture
def cancelling():
    """Makes requests to cancel a prompt."""

    def request(prompt: Prompt, **fields) -> contract.CancelPromptRequest:
        defaults = {"request_id": str(uuid4()), "prompt_id": prompt.prompt_id, "reason": "no longer needed"}
        return contract.CancelPromptRequest(**defaults | fields)

    return request


@pytest.fixture
def ask(packets: PromptServiceStub, asking):
    """Asks, and returns the prompt."""

    async def create(**fields) -> Prompt:
        return (await packets.CreatePrompt(asking(**fields))).prompt

    return create


@pytest.fixture
def look(packets: PromptServiceStub):
    """Returns a prompt as it stands, without delivering it."""

    async def get(prompt: Prompt) -> Prompt:
        return (await packets.GetPrompt(contract.GetPromptRequest(prompt_id=prompt.prompt_id))).prompt

    return get


@dataclass(slots=True)
class Reader:
    """Reads one stream, and remembers the token of the last message."""

    call: grpc.aio.UnaryStreamCall
    token: str = ""

    async def message(self) -> contract.WatchPromptsResponse:
        message = await self.call.read()
        assert message is not grpc.aio.EOF
        self.token = message.resume_token
        return message

    async def event(self) -> FeedEvent:
        """The next event; heartbeats are passed over."""
        while (message := await self.message()).WhichOneof("item") != "event":
            pass
        return message.event

    async def until_quiet(self) -> list[FeedEvent]:
        """Every event until the heartbeat that says that there are no more."""
        events = []
        while (message := await self.message()).WhichOneof("item") == "event":
            events.append(message.event)
        return events


@pytest.fixture
def watching():
    """Opens a stream for the block."""

    @contextmanager
    def open_stream(stub: PromptServiceStub, **fields) -> Iterator[Reader]:
        call = stub.WatchPrompts(contract.WatchPromptsRequest(**fields))
        try:
            yield Reader(call)
        finally:
            call.cancel()

    return open_stream


@dataclass(slots=True)
class Caught:
    """Holds what was refused, once the block is over."""

    refusal: Refusal = field(init=False)


@pytest.fixture
def refused():
    """Expects the block to be refused with a status and a reason."""

    @contextmanager
    def expect(status: str, reason: str) -> Iterator[Caught]:
        caught = Caught()
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            yield caught
        caught.refusal = refusal = Refusal.of(raised.value)
        assert (refusal.status.name, refusal.reason) == (status, f"ERROR_REASON_{reason}"), refusal.message
        assert refusal.domain == "prompts.proofloop"

    return expect
