"""Who may call what, and what becomes of a refusal."""

from datetime import timedelta

from google.protobuf import json_format
from google.protobuf.duration_pb2 import Duration
from proofloop.access.v1.events_pb2 import CallerRefused
from proofloop.audit.v1 import log_pb2
from proofloop.audit.v1 import log_service_pb2 as contract
from proofloop.audit.v1.log_service_pb2_grpc import LogServiceStub
from proofloop_runtime.application import Ports
from proofloop_runtime.testing import FakeClock


async def test_nobody_but_a_service_appends(as_person, new_request, refused) -> None:
    async with as_person("ann", "claimant", "reviewer", "compliance", "auditor", "operator") as log:
        with refused("PERMISSION_DENIED", "ROLE_MISSING"):
            await log.AppendEntry(new_request())
        with refused("PERMISSION_DENIED", "ROLE_MISSING"):
            await log.AppendEntries(contract.AppendEntriesRequest(entries=[new_request()]))
        with refused("PERMISSION_DENIED", "ROLE_MISSING"):
            await anext(aiter(log.ImportEntries(iter([contract.ImportEntriesRequest(entries=[new_request()])]))))


async def test_auditors_compliance_and_reviewers_read_and_prove(as_person, append) -> None:
    receipt = await append()
    for role in ("auditor", "compliance", "reviewer"):
        async with as_person("ann", role) as log:
            assert (await log.ListEntries(contract.ListEntriesRequest())).entries[0].entry_id == receipt.entry_id
            await log.GetEntry(contract.GetEntryRequest(entry_id=receipt.entry_id))
            await log.GetCheckpoint(contract.GetCheckpointRequest())
            await log.GetInclusionProof(contract.GetInclusionProofRequest(entry_id=receipt.entry_id))
            await log.GetConsistencyProof(contract.GetConsistencyProofRequest(from_size=1))


async def test_claimants_and_operators_do_not_read_the_log(as_person, append, refused) -> None:
    receipt = await append()
    async with as_person("ann", "claimant", "operator") as log:
        for call in (
            lambda: log.GetEntry(contract.GetEntryRequest(entry_id=receipt.entry_id)),
            lambda: log.ListEntries(contract.ListEntriesRequest()),
            lambda: log.GetCheckpoint(contract.GetCheckpointRequest()),
            lambda: log.GetInclusionProof(contract.GetInclusionProofRequest(entry_id=receipt.entry_id)),
            lambda: log.GetConsistencyProof(contract.GetConsistencyProofRequest(from_size=1)),
        ):
            with refused("PERMISSION_DENIED", "ROLE_MISSING"):
                await call()


async def test_nobody_calls_without_a_token_or_a_known_tenant(audit, new_request, refused) -> None:
    for channel in (audit.channel(peer="cli"), audit.channel(peer="cli", token="forged"), audit.channel(tenant="none")):
        async with channel as opened:
            with refused("UNAUTHENTICATED", "UNAUTHENTICATED"):
                await LogServiceStub(opened).AppendEntry(new_request())


async def test_refusals_of_a_minute_become_one_entry(
    replica, nats_client, new_request, token_for, refused, spans
) -> None:
    clock = FakeClock()
    published = await nats_client.subscribe("proofloop.event.acme.audit.caller.refused")
    async with replica(Ports(clock=clock)) as service:
        async with service.channel(peer="cli", token=token_for("ann", "auditor")) as channel:
            for _ in range(3):
                with refused("PERMISSION_DENIED", "ROLE_MISSING"):
                    await LogServiceStub(channel).AppendEntry(new_request())
        clock.advance(timedelta(minutes=1))
        # A replica that starts looks at once for minutes that are over; those that run look now and then.
        async with replica(Ports(clock=clock)), service.channel() as channel:
            message = await published.next_msg(timeout=30)
            log = LogServiceStub(channel)
            request = contract.GetEntryRequest(entry_id=message.headers["Nats-Msg-Id"], max_wait=Duration(seconds=25))
            entry = (await log.GetEntry(request, timeout=30)).entry
            assert len((await log.ListEntries(contract.ListEntriesRequest())).entries) == 1
    assert (entry.action, entry.outcome, entry.service) == ("caller.refused", log_pb2.OUTCOME_DENIED, "audit")
    assert (entry.actor.type, entry.actor.id) == (log_pb2.ACTOR_TYPE_USER, "ann")
    assert entry.entity_id == "proofloop.audit.v1.LogService/AppendEntry"
    assert entry.event_time.ToJsonString() == "2026-01-02T03:04:00Z"
    refusal = json_format.Parse(entry.details_json, CallerRefused())
    assert (refusal.count, refusal.reason) == (3, "ERROR_REASON_ROLE_MISSING")
    [process] = spans.named("process caller.refused")
    assert spans.parent_of(process).name == "send caller.refused"
