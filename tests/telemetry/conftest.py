"""What the whole stack records of the demo, and of single calls."""

import asyncio
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

import pytest_asyncio
from demos import EXAMPLE, PlayedDemo
from proofloop_local.demo.example import Example
from proofloop_local.span_store import SpanStore
from proofloop_local.spans import Kind, Span
from proofloop_local.stack import Stack

LAST_LINE = re.compile(
    r"demo: packet (?P<packet>\S+) verified, \d+ audit entries proven, trace (?P<trace>[0-9a-f]{32})"
)
CONSUMERS = ("audit", "prompts")


@dataclass(frozen=True, slots=True)
class Trace:
    """The spans of one trace and who is whose parent.

    Attributes:
        spans: By span id.
    """

    spans: dict[str, Span]

    @classmethod
    def of(cls, spans: Iterable[Span]) -> "Trace":
        return cls({span.span_id: span for span in spans})

    def __iter__(self):
        return iter(self.spans.values())

    @property
    def roots(self) -> list[Span]:
        return [span for span in self if not span.parent_id]

    @property
    def orphans(self) -> list[Span]:
        return [span for span in self if span.parent_id and span.parent_id not in self.spans]

    def parent(self, span: Span) -> Span:
        return self.spans[span.parent_id]

    def children(self, span: Span) -> list[Span]:
        return [other for other in self if other.parent_id == span.span_id]

    def select(self, service: str, kind: Kind, name: str) -> list[Span]:
        return [span for span in self if (span.service, span.kind, span.name) == (service, kind, name)]

    def one(self, service: str, kind: Kind, name: str) -> Span:
        (span,) = self.select(service, kind, name)
        return span

    def edges(self) -> Counter[tuple[str, str, str, str]]:
        """Parent's service and name, child's service and name, and how often."""
        return Counter(
            (parent.service, parent.name, span.service, span.name)
            for span in self
            if (parent := self.spans.get(span.parent_id)) is not None
        )


TraceOf = Callable[[str, Callable[[Trace], bool]], Awaitable[Trace]]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def trace_of(running_stack: Stack) -> TraceOf:
    """Waits until a trace is all there, as the caller judges: services hand their spans in late, in batches."""
    store = SpanStore(running_stack.data / "traces")

    async def wait(trace_id: str, complete: Callable[[Trace], bool]) -> Trace:
        async with asyncio.timeout(60):
            while True:
                trace = Trace.of(await asyncio.to_thread(store.trace, trace_id))
                if complete(trace):
                    return trace
                await asyncio.sleep(0.1)

    return wait


@dataclass(frozen=True, slots=True)
class Demo:
    """A played demo.

    Attributes:
        example: What was played.
        packet_id: The packet.
        trace: Its trace.
    """

    example: Example
    packet_id: str
    trace: Trace


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def demo(played_demo: PlayedDemo, trace_of: TraceOf) -> Demo:
    """The demo, played once by the command itself on the session's stack."""
    last = LAST_LINE.fullmatch(played_demo.lines[-1])
    assert last is not None, played_demo.lines
    return Demo(Example.read(EXAMPLE), last["packet"], await trace_of(last["trace"], is_complete))


def is_complete(trace: Trace) -> bool:
    """Whether every message was taken up by every consumer that takes it, and every span's parent is there."""
    sent = {span.span_id: span.name.removeprefix("send ") for span in trace if span.kind is Kind.PRODUCER}
    taken = {(span.service, span.parent_id) for span in trace if span.kind is Kind.CONSUMER}
    expected = {
        (service, span_id)
        for span_id, action in sent.items()
        for service in CONSUMERS
        # The prompts service writes its own prompts' feed itself.
        if not (service == "prompts" and action.startswith("prompt."))
    }
    return "packet.generated" in sent.values() and expected <= taken and bool(trace.roots) and not trace.orphans
