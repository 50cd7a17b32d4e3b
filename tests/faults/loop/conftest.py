"""Callers who play the evidence loop and do not give up, on a whole stack whose servers are killed."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import grpc
import grpc.aio
import httpx
import pytest
import pytest_asyncio
from google.api.httpbody_pb2 import HttpBody
from google.protobuf.json_format import ParseDict
from google.protobuf.message import Message
from proofloop.audit.v1 import log_pb2
from proofloop.audit.v1 import log_service_pb2 as audit
from proofloop.exports.v1 import workflows_service_pb2 as exports
from proofloop.packets.v1 import claims_service_pb2 as claims
from proofloop.packets.v1 import evidence_service_pb2 as evidence
from proofloop.packets.v1 import packets_pb2
from proofloop.packets.v1 import packets_service_pb2 as packets
from proofloop.prompts.v1 import prompts_pb2
from proofloop.prompts.v1 import prompts_service_pb2 as prompts
from proofloop_local.demo.cast import Person, person
from proofloop_local.demo.example import Example
from proofloop_local.services import SERVICES, Service, Surroundings
from proofloop_local.stack import Stack
from proofloop_runtime.errors import DomainError

RETRYABLE = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED}
EXAMPLE = Example.read(Path(__file__).parents[3] / "examples" / "fba-lost-inbound")
ORIGINAL, EDITED = '{"qty": 40}', '{"qty": 28}'
FINAL_STATES = {packets_pb2.PACKET_STATE_COMPLETED, packets_pb2.PACKET_STATE_FAILED}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    services = [_impatient(service) if service.name == "packets" else service for service in SERVICES]
    async with Stack(tmp_path_factory.mktemp("stack"), services=services) as running:
        yield running


def _impatient(service: Service) -> Service:
    """The service, taking over soon what a dead process held."""

    def settings(around: Surroundings) -> Mapping[str, str]:
        return {**service.settings(around), "LEASE": "PT3S"}

    return replace(service, settings=settings)


@dataclass(slots=True)
class Progress:
    """How far the callers have come, together.

    Attributes:
        reached: By step, set once any caller has it acknowledged.
        refusals: What they met on the way, by status.
    """

    reached: defaultdict[str, asyncio.Event] = field(default_factory=lambda: defaultdict(asyncio.Event))
    refusals: Counter[grpc.StatusCode] = field(default_factory=Counter)

    async def persist(self, operation: Callable[[], Awaitable[Any]]) -> Any:
        """Repeat an operation until it is acknowledged; what it may be refused with is documented as passing."""
        while True:
            try:
                return await operation()
            except (DomainError, grpc.aio.AioRpcError) as error:
                status = error.status if isinstance(error, DomainError) else error.code()
                if status not in RETRYABLE:
                    raise
                self.refusals[status] += 1
            await asyncio.sleep(0.1)


@pytest.fixture
def progress() -> Progress:
    return Progress()


@dataclass(slots=True)
class Loop:
    """One caller's loop: every operation under one request id until it is acknowledged.

    Attributes:
        acknowledged: Every change: how to ask for it again, and how it was answered.
        files: The evidence, by id.
    """

    claimant: Person
    reviewer: Person
    auditor: Person
    progress: Progress
    acknowledged: list[tuple[Callable[[], Awaitable[Message]], Message]] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)
    claim_id: str = ""
    prompt_id: str = ""
    workflow_id: str = ""
    packet_id: str = ""

    async def play(self) -> None:
        """From the claim to the finished packet."""
        await self.gather()
        await self.seal()

    async def gather(self) -> None:
        """All that goes before the packet."""
        created = await self._change(
            "claim",
            self.claimant.claims.CreateClaim,
            claims.CreateClaimRequest(request_id=str(uuid4()), title="A pallet came short", kind="lost_inbound"),
        )
        self.claim_id = created.claim.claim_id
        for name in ("ledger.csv", "note.txt", "count.csv"):
            await self._upload(name)
        await self._ask_and_answer()
        await self._export()

    async def seal(self) -> None:
        """The packet."""
        requested = await self._change(
            "packet",
            self.reviewer.packets.GeneratePacket,
            packets.GeneratePacketRequest(request_id=str(uuid4()), claim_id=self.claim_id),
        )
        self.packet_id = requested.packet.packet_id
        packet = await self._persist(self._follow)
        assert packet.state == packets_pb2.PACKET_STATE_COMPLETED, packet.failure_reason

    async def repeat(self) -> None:
        """Ask for everything again under the same request ids; the answers must be the same."""
        for ask, answer in self.acknowledged:
            assert await self._persist(ask) == answer

    async def download(self, folder: Path) -> Path:
        """Fetch the packet by its signed URL."""
        request = packets.GetPacketUrlRequest(packet_id=self.packet_id)
        answer = await self._persist(lambda: self.reviewer.packets.GetPacketUrl(request))
        async with httpx.AsyncClient() as client:
            response = await client.get(answer.url)
        response.raise_for_status()
        file = folder / f"{self.packet_id}.zip"
        file.write_bytes(response.content)
        return file

    async def stored(self, evidence_id: str) -> bytes:
        """The bytes of evidence."""

        async def read() -> bytes:
            request = evidence.DownloadEvidenceRequest(evidence_id=evidence_id)
            return b"".join([part.body.data async for part in self.claimant.evidence.DownloadEvidence(request)])

        return await self._persist(read)

    async def entries(self) -> list[log_pb2.Entry]:
        """The claim's audit entries."""
        request = audit.ListEntriesRequest(claim_id=self.claim_id, page_size=1000)
        return list((await self._persist(lambda: self.auditor.log.ListEntries(request))).entries)

    async def ask(self, method: Callable[[Message], Awaitable[Message]], request: Message) -> Any:
        """Ask for something that changes nothing."""
        return await self._persist(lambda: method(request))

    async def _persist(self, operation: Callable[[], Awaitable[Any]]) -> Any:
        return await self.progress.persist(operation)

    async def _change(self, step: str, method: Callable[[Any], Awaitable[Message]], request: Message) -> Any:
        return await self._acknowledge(step, lambda: method(request))

    async def _acknowledge(self, step: str, operation: Callable[[], Awaitable[Message]]) -> Any:
        answer = await self._persist(operation)
        self.acknowledged.append((operation, answer))
        self.progress.reached[step].set()
        return answer

    async def _upload(self, name: str) -> None:
        request_id = str(uuid4())
        content = f"carton,units,{request_id}\n4,0\n8,0\n".encode()

        async def pieces() -> AsyncIterator[evidence.UploadEvidenceRequest]:
            yield evidence.UploadEvidenceRequest(claim_id=self.claim_id, file_name=name, request_id=request_id)
            yield evidence.UploadEvidenceRequest(body=HttpBody(data=content[:20]))
            yield evidence.UploadEvidenceRequest(body=HttpBody(data=content[20:]))

        async def upload() -> Message:
            return await self.claimant.evidence.UploadEvidence(pieces())

        uploaded = await self._acknowledge("evidence", upload)
        self.files[uploaded.evidence.evidence_id] = content

    async def _ask_and_answer(self) -> None:
        question = prompts.CreatePromptRequest(
            request_id=str(uuid4()),
            claim_id=self.claim_id,
            assignee_id=self.claimant.id,
            question="How many units came?",
            options=[prompts_pb2.Option(id="few", label="28"), prompts_pb2.Option(id="all", label="40")],
            channel=prompts_pb2.CHANNEL_IN_APP,
        )
        question.expire_time.FromDatetime(datetime.now(UTC) + timedelta(days=1))
        asked = (await self._change("prompt", self.reviewer.prompts.CreatePrompt, question)).prompt
        self.prompt_id = asked.prompt_id
        answer = prompts.AnswerPromptRequest(
            request_id=str(uuid4()), prompt_id=asked.prompt_id, shown_sha256=asked.shown_sha256, option_id="few"
        )
        await self._change("answer", self.claimant.prompts.AnswerPrompt, answer)

    async def _export(self) -> None:
        service = self.reviewer.workflows
        stages = EXAMPLE.workflow
        initial = {
            "request_id": str(uuid4()),
            "claim_id": self.claim_id,
            "document_id": next(iter(self.files)),
            "document_name": "ledger.csv",
            "extracted_data_json": ORIGINAL,
            "source": stages["initial"]["source"],
            "ai_summary": stages["initial"]["ai_summary"],
        }
        recorded = await self._change(
            "summary", service.RecordInitialSummary, ParseDict(initial, exports.RecordInitialSummaryRequest())
        )
        self.workflow_id = recorded.workflow.workflow_id
        edited = {
            "request_id": str(uuid4()),
            "workflow_id": self.workflow_id,
            "original_data_json": ORIGINAL,
            "modified_data_json": EDITED,
            "preferences": stages["modifications"]["preferences"],
            "user_actions": stages["modifications"]["user_actions"],
        }
        await self._change(
            "changes", service.RecordUserModifications, ParseDict(edited, exports.RecordUserModificationsRequest())
        )
        final = {
            "request_id": str(uuid4()),
            "workflow_id": self.workflow_id,
            "final_summary": stages["final"]["final_summary"],
            "format": "FORMAT_JSON",
        }
        await self._change(
            "deliverable", service.GenerateDeliverable, ParseDict(final, exports.GenerateDeliverableRequest())
        )

    async def _follow(self) -> packets_pb2.Packet:
        """Follow the packet until it is done; a stream that ends before is opened again."""
        while True:
            request = packets.WatchPacketRequest(packet_id=self.packet_id)
            async for item in self.reviewer.packets.WatchPacket(request):
                self.progress.reached[packets_pb2.PacketStep.Name(item.packet.step)].set()
                if item.packet.state in FINAL_STATES:
                    return item.packet


@pytest_asyncio.fixture(loop_scope="module")
async def new_loop(stack: Stack) -> AsyncIterator[Callable[[Progress], Loop]]:
    """Makes loops of one cast, whose claimant is in no other test."""
    async with AsyncExitStack() as exits:
        claimant = await exits.enter_async_context(person(stack.state, f"{uuid4()}@example.com", "claimant"))
        reviewer = await exits.enter_async_context(person(stack.state, "reviewer@example.com", "reviewer"))
        auditor = await exits.enter_async_context(person(stack.state, "auditor@example.com", "auditor"))

        def make(progress: Progress) -> Loop:
            return Loop(claimant, reviewer, auditor, progress)

        yield make
