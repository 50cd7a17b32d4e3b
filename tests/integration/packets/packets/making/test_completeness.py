"""A packet waits for every event of what it tells, in whatever order they reach the log."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

import pytest
from nats import connect as connect_to_nats
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig
from nats.js.errors import NotFoundError
from proofloop.audit.v1 import log_pb2, log_service_pb2
from proofloop.audit.v1.log_service_pb2_grpc import LogServiceStub
from proofloop.packets.v1 import packets_pb2
from proofloop.packets.v1 import packets_service_pb2 as contract
from proofloop_audit.bootstrap import application as audit_application
from proofloop_audit.events import CONSUMER
from proofloop_audit.settings import AuditSettings
from proofloop_local.servers.nats import NatsServer
from proofloop_runtime.events import EVENTS, Envelope
from proofloop_runtime.messaging import EVENT_STREAM
from proofloop_runtime.testing import Service, serving

from .conftest import LOG, answered_prompt, asked, fetched, made, recorded_workflow, request_id, unzipped

SOON = timedelta(seconds=1)
PUBLISHED = [
    "claim.created",
    "evidence.uploaded",
    "packet.failed",
    "packet.requested",
    "prompt.answered",
    "prompt.created",
    "workflow.summarized",
    "workflow.summarized",
]
"""What is published of the claim of `told`."""


@pytest.fixture
def targets(prompts: Service, exports: Service) -> dict[str, str]:
    """As everywhere, without audit, which comes later."""
    return {"prompts_target": prompts.running.address, "exports_target": exports.running.address}


@dataclass(frozen=True, slots=True)
class Held:
    """An event that a replica of audit had in hand when it died, as the stream has it.

    Attributes:
        event: The event.
        others: Ids of all other events that were published before.
    """

    event: Envelope
    others: frozenset[str]
    _message: Msg

    async def release(self) -> None:
        """Deliver it again, as the stream does when nobody has acknowledged it for long enough."""
        await self._message.nak()


@pytest.fixture
async def jetstream(nats: NatsServer) -> AsyncIterator[JetStreamContext]:
    client = await connect_to_nats(nats.url)
    yield client.jetstream()
    await client.close()


@pytest.fixture
def hold(jetstream: JetStreamContext, eventually):
    """Takes all that is published as a replica of audit, gives back all but one event, and falls silent."""

    async def take(action: str) -> Held:
        async def stream_is_there() -> bool:
            try:
                await jetstream.stream_info(EVENT_STREAM)
            except NotFoundError:
                return False
            return True

        await eventually(stream_is_there)
        # As audit's own, but for the patience of the stream: what is held comes back when the test says so.
        config = ConsumerConfig(ack_policy=AckPolicy.EXPLICIT, ack_wait=600, max_deliver=-1)
        replica = await jetstream.pull_subscribe(EVENTS, durable=CONSUMER, stream=EVENT_STREAM, config=config)
        messages: list[Msg] = []
        while len(messages) < len(PUBLISHED):
            messages += await replica.fetch(len(PUBLISHED) - len(messages), timeout=20)
        events = [Envelope.parse(message.headers, message.data) for message in messages]
        assert sorted(event.action for event in events) == PUBLISHED
        held = next(number for number, event in enumerate(events) if event.action == action)
        for number, message in enumerate(messages):
            if number != held:
                await message.nak()
        others = frozenset(event.event_id for number, event in enumerate(events) if number != held)
        return Held(events[held], others, messages[held])

    return take


@pytest.fixture
async def told(prompts: Service, exports: Service, replica, connect, token_for) -> str:
    """A claim with a prompt, a workflow whose stage was done anew, and a packet that failed, while audit is away."""
    async with replica(attempts=1) as service, connect(service, "ann", "claimant") as ann:
        claim = await ann.open_claim()
        document_id = (await ann.upload(claim.claim_id, b"28 units received")).evidence_id
        await answered_prompt(prompts, token_for, claim.claim_id)
        begun = await recorded_workflow(exports, claim.claim_id, document_id)
        await recorded_workflow(exports, claim.claim_id, document_id, workflow_id=begun.workflow_id, new_revision=True)
        assert (await made(ann, claim.claim_id)).state == packets_pb2.PACKET_STATE_FAILED
    return claim.claim_id


@pytest.fixture
def making(audit_settings: AuditSettings, certificates, replica, connect):
    """Brings up audit, in place of the replica that fell silent, and a packets service that is soon impatient."""

    @asynccontextmanager
    async def start(attempts: int):
        async with (
            serving(audit_application, audit_settings, [LOG], certificates) as audit,
            replica(audit_target=audit.running.address, log_patience=SOON, attempts=attempts) as packets,
            connect(packets, "ann", "claimant") as ann,
        ):
            yield ann, audit

    return start


@pytest.mark.parametrize("action", ["prompt.created", "workflow.summarized", "packet.requested"])
async def test_an_event_that_comes_late_is_waited_for(told, hold, making, action) -> None:
    held = await hold(action)
    waited = False
    async with making(attempts=10) as (ann, _):
        packet = await asked(ann, told)
        async for message in ann.packets.WatchPacket(contract.WatchPacketRequest(packet_id=packet.packet_id)):
            last = message.packet
            if last.state == packets_pb2.PACKET_STATE_PENDING and held.event.event_id in last.failure_reason:
                waited = True
                await held.release()
        assert (last.state, last.failure_reason) == (packets_pb2.PACKET_STATE_COMPLETED, "")
        content = unzipped(await fetched(ann, packet.packet_id))

    leaves = [json.loads(json.loads(line)["leaf"]) for line in content["data/audit/entries.jsonl"].splitlines()]
    published = {held.event.event_id, *held.others, packet.last_event_id}
    assert {leaf["entry_id"] for leaf in leaves} == {*published, packet.packet_id}
    assert leaves[-1]["entry_id"] == packet.packet_id
    assert len(json.loads(content["data/packet.json"])["timeline"]) == len(published)
    assert waited


async def test_an_event_that_never_comes_is_named(told, hold, making) -> None:
    held = await hold("prompt.created")
    async with making(attempts=1) as (ann, _):
        packet = await made(ann, told)
    assert packet.state == packets_pb2.PACKET_STATE_FAILED
    assert packet.failure_reason == f"the audit log does not hold event {held.event.event_id} yet"


async def test_an_entry_of_another_claim_is_not_taken_for_the_event(told, hold, making) -> None:
    held = await hold("prompt.created")
    draft = log_pb2.EntryDraft(
        actor={"type": log_pb2.ACTOR_TYPE_SERVICE, "id": "prompts"},
        action=held.event.action,
        outcome=log_pb2.OUTCOME_SUCCESS,
        entity_type=held.event.entity_type,
        entity_id=held.event.entity_id,
        claim_id=request_id(),
    )
    async with making(attempts=1) as (ann, audit):
        async with audit.channel() as channel:
            append = log_service_pb2.AppendEntryRequest(request_id=held.event.event_id, draft=draft)
            await LogServiceStub(channel).AppendEntry(append)
        packet = await made(ann, told)
    assert packet.state == packets_pb2.PACKET_STATE_FAILED
    assert packet.failure_reason == f"the audit log does not hold event {held.event.event_id} as one of the claim"
