"""The demo is one trace across four services and NATS, and every span of it hangs where it belongs."""

import pytest
from proofloop_local.spans import Kind
from proofloop_runtime import telemetry

pytestmark = pytest.mark.asyncio(loop_scope="session")

EVENTS = {
    ("packets", "claim.created"): 1,
    ("packets", "evidence.uploaded"): 6,
    ("packets", "packet.requested"): 1,
    ("packets", "packet.generated"): 1,
    ("prompts", "prompt.created"): 1,
    ("prompts", "prompt.delivered"): 1,
    ("prompts", "prompt.answered"): 1,
    ("exports", "workflow.summarized"): 1,
    ("exports", "workflow.reviewed"): 1,
    ("exports", "workflow.completed"): 1,
}
"""What the demo makes happen, and how often."""

CALLED_BY_THE_DEMO = {
    ("packets", "proofloop.packets.v1.ClaimService/CreateClaim"): 1,
    ("packets", "proofloop.packets.v1.EvidenceService/UploadEvidence"): 6,
    ("packets", "proofloop.packets.v1.PacketService/GeneratePacket"): 1,
    ("packets", "proofloop.packets.v1.PacketService/WatchPacket"): 1,
    ("packets", "proofloop.packets.v1.PacketService/GetPacketUrl"): 1,
    ("prompts", "proofloop.prompts.v1.PromptService/WatchPrompts"): 1,
    ("prompts", "proofloop.prompts.v1.PromptService/CreatePrompt"): 1,
    ("prompts", "proofloop.prompts.v1.PromptService/AnswerPrompt"): 1,
    ("exports", "proofloop.exports.v1.WorkflowService/RecordInitialSummary"): 1,
    ("exports", "proofloop.exports.v1.WorkflowService/RecordUserModifications"): 1,
    ("exports", "proofloop.exports.v1.WorkflowService/GenerateDeliverable"): 1,
    ("audit", "proofloop.audit.v1.LogService/GetCheckpoint"): 1,
    ("audit", "proofloop.audit.v1.LogService/ListEntries"): 1,
}

CALLED_BY_PACKETS = {
    ("packets.step.snapshot", "prompts", "proofloop.prompts.v1.PromptService/ListPrompts"),
    ("packets.step.snapshot", "exports", "proofloop.exports.v1.WorkflowService/ListWorkflows"),
    ("packets.step.snapshot", "exports", "proofloop.exports.v1.WorkflowService/GetWorkflow"),
    ("packets.step.snapshot", "audit", "proofloop.audit.v1.LogService/GetEntry"),
    ("packets.step.snapshot", "audit", "proofloop.audit.v1.LogService/ListEntries"),
    ("packets.step.cut_off", "audit", "proofloop.audit.v1.LogService/AppendEntry"),
    ("packets.step.cut_off", "audit", "proofloop.audit.v1.LogService/GetCheckpoint"),
    ("packets.step.proofs", "audit", "proofloop.audit.v1.LogService/ListEntries"),
    ("packets.step.proofs", "audit", "proofloop.audit.v1.LogService/GetInclusionProof"),
}
"""The step, the service, the method."""

STEPS = ("snapshot", "cut_off", "proofs", "summary", "seal")


async def test_it_has_one_root_and_no_span_without_its_parent(demo):
    (root,) = demo.trace.roots
    assert (root.service, root.kind, root.name) == ("demo", Kind.INTERNAL, "evidence loop")
    assert demo.trace.orphans == []
    assert len({span.trace_id for span in demo.trace}) == 1


async def test_the_demo_and_all_four_services_take_part(demo):
    assert {span.service for span in demo.trace} == {"demo", "audit", "prompts", "packets", "exports"}


async def test_nothing_in_it_failed(demo):
    assert [(span.service, span.name) for span in demo.trace if span.failed] == []
    assert [span.name for span in demo.trace if telemetry.ERROR_TYPE in span.attributes] == []


async def test_every_call_of_the_demo_is_one_client_span_over_one_server_span(demo):
    made = {}
    for call in demo.trace.children(demo.trace.roots[0]):
        assert (call.service, call.kind) == ("demo", Kind.CLIENT)
        (taken,) = demo.trace.children(call)
        assert (taken.kind, taken.name) == (Kind.SERVER, call.name)
        assert call.attributes[telemetry.DEPENDENCY] == taken.service
        made[taken.service, taken.name] = made.get((taken.service, taken.name), 0) + 1
    assert made == CALLED_BY_THE_DEMO


async def test_every_server_span_hangs_on_the_client_span_of_its_call(demo):
    for span in demo.trace:
        if span.kind is Kind.SERVER:
            call = demo.trace.parent(span)
            assert (call.kind, call.name) == (Kind.CLIENT, span.name)
            assert call.service != span.service


async def test_every_call_ended_well(demo):
    ends = {span.attributes[telemetry.RPC_STATUS] for span in demo.trace if span.kind is Kind.SERVER}
    # Who has heard enough of a live stream leaves it.
    left = [span.name for span in demo.trace if span.attributes.get(telemetry.RPC_STATUS) == "CANCELLED"]
    assert ends == {"OK", "CANCELLED"}
    assert {name.rpartition("/")[2] for name in left} <= {"WatchPrompts", "WatchPacket"}


@pytest.mark.parametrize(("service", "action"), EVENTS)
async def test_every_event_goes_from_the_call_that_made_it_over_nats_to_its_consumers(demo, service, action):
    sent = demo.trace.select(service, Kind.PRODUCER, f"send {action}")
    assert len(sent) == EVENTS[service, action]
    consumers = {"audit"} if service == "prompts" else {"audit", "prompts"}
    for message in sent:
        origin = demo.trace.parent(message)
        assert origin.service == service
        assert origin.kind is Kind.SERVER or origin.name == "packets.make"
        statements = [span.attributes.get(telemetry.DB_QUERY, "") for span in demo.trace.children(origin)]
        assert any(statement.startswith("INSERT INTO outbox") for statement in statements)
        taken = demo.trace.children(message)
        assert {span.service for span in taken} == consumers
        for span in taken:
            assert (span.kind, span.name) == (Kind.CONSUMER, f"process {action}")
            assert span.attributes[telemetry.MESSAGING_ID] == message.attributes[telemetry.MESSAGING_ID]
            assert span.attributes[telemetry.MESSAGING_DESTINATION].endswith(f".{service}.{action}")


async def test_no_other_messages_are_in_it(demo):
    sent = {}
    for span in demo.trace:
        if span.kind is Kind.PRODUCER:
            key = (span.service, span.name.removeprefix("send "))
            sent[key] = sent.get(key, 0) + 1
    assert sent == EVENTS


async def test_the_packet_is_made_in_the_trace_of_the_call_that_asked_for_it(demo):
    making = demo.trace.one("packets", Kind.INTERNAL, "packets.make")
    assert demo.trace.parent(making) == demo.trace.one(
        "packets", Kind.SERVER, "proofloop.packets.v1.PacketService/GeneratePacket"
    )
    assert making.attributes["packets.packet.id"] == demo.packet_id
    steps = [span for span in demo.trace.children(making) if span.name.startswith("packets.step.")]
    assert [span.name.rpartition(".")[2] for span in sorted(steps, key=lambda span: span.start)] == list(STEPS)


async def test_each_step_of_the_packet_calls_the_services_it_needs(demo):
    calls = {
        (demo.trace.parent(call).name, span.service, span.name)
        for span in demo.trace
        if span.kind is Kind.SERVER and (call := demo.trace.parent(span)).service == "packets"
    }
    assert calls == CALLED_BY_PACKETS


async def test_objects_are_stored_and_read_where_the_loop_needs_them(demo):
    edges = demo.trace.edges()
    upload = "proofloop.packets.v1.EvidenceService/UploadEvidence"
    assert edges["packets", upload, "packets", "objects.put"] == 6
    assert edges["packets", "packets.step.seal", "packets", "objects.put"] == 1
    assert edges["packets", "proofloop.packets.v1.PacketService/GetPacketUrl", "packets", "objects.sign"] == 1
    generate = "proofloop.exports.v1.WorkflowService/GenerateDeliverable"
    assert edges["exports", generate, "exports", "objects.put"] == 1


async def test_statements_stand_under_what_executes_them(demo):
    for span in demo.trace:
        if telemetry.DB_QUERY in span.attributes:
            assert demo.trace.parent(span).service == span.service
            assert demo.trace.parent(span).kind is not Kind.CLIENT
