"""What spans say is written down, and is nobody's secret and nobody's data."""

import importlib
import pkgutil
import re
from types import ModuleType
from urllib.parse import urlsplit

import opentelemetry.semconv.attributes
import proofloop_audit.telemetry
import proofloop_exports.telemetry
import proofloop_packets.telemetry
import proofloop_prompts.telemetry
import proofloop_runtime.telemetry
import pytest
from proofloop_local.span_store import SpanStore
from proofloop_local.spans import Kind

pytestmark = pytest.mark.asyncio(loop_scope="session")

RUNTIME = proofloop_runtime.telemetry
REGISTRIES = {
    "audit": proofloop_audit.telemetry,
    "prompts": proofloop_prompts.telemetry,
    "packets": proofloop_packets.telemetry,
    "exports": proofloop_exports.telemetry,
}
ALWAYS = {
    Kind.SERVER: {RUNTIME.RPC_SYSTEM, RUNTIME.RPC_METHOD, RUNTIME.RPC_STATUS},
    Kind.PRODUCER: {
        RUNTIME.MESSAGING_SYSTEM,
        RUNTIME.MESSAGING_OPERATION,
        RUNTIME.MESSAGING_DESTINATION,
        RUNTIME.MESSAGING_ID,
        RUNTIME.TENANT,
    },
    Kind.CONSUMER: {
        RUNTIME.MESSAGING_SYSTEM,
        RUNTIME.MESSAGING_OPERATION,
        RUNTIME.MESSAGING_DESTINATION,
        RUNTIME.MESSAGING_ID,
        RUNTIME.MESSAGING_CONSUMER,
        RUNTIME.TENANT,
    },
}
"""What every span of a kind says."""

ADDRESS = re.compile(r"\S@\S|\b\d{1,3}(\.\d{1,3}){3}\b")
"""An e-mail address or a network's. (PostgreSQL's operator @> stands between spaces.)"""

SIGNATURE = re.compile(r"[?&](X-Amz-|token=|signature=)", re.IGNORECASE)
TOKEN = re.compile(r"\beyJ[\w-]{8,}\.|\bBearer\b", re.IGNORECASE)
TELLING_LENGTH = 12
"""A text of the example that is shorter may well stand in a span by chance."""


def texts_of(module: ModuleType) -> set[str]:
    """The module's constants."""
    return {value for name, value in vars(module).items() if name.isupper() and isinstance(value, str)}


def conventional() -> set[str]:
    """The attributes of OpenTelemetry's stable semantic conventions."""
    package = opentelemetry.semconv.attributes
    modules = [
        importlib.import_module(f"{package.__name__}.{found.name}") for found in pkgutil.iter_modules(package.__path__)
    ]
    return set().union(*(texts_of(module) for module in modules))


async def test_every_attribute_is_in_a_registry_or_in_the_semantic_conventions(demo):
    shared = conventional() | texts_of(RUNTIME)
    unknown = {
        (span.service, name)
        for span in demo.trace
        for name in span.attributes
        if name not in shared | (texts_of(REGISTRIES[span.service]) if span.service in REGISTRIES else set())
    }
    assert unknown == set()


async def test_every_span_of_own_work_is_named_in_its_services_registry(demo):
    strange = [
        (span.service, span.name)
        for span in demo.trace
        if span.kind is Kind.INTERNAL
        and span.parent_id
        and not any(
            span.name == name or span.name.startswith(f"{name}.") for name in texts_of(REGISTRIES[span.service])
        )
    ]
    assert strange == []


async def test_every_span_towards_others_is_named_after_its_method_statement_message_or_object(demo):
    for span in demo.trace:
        said = span.attributes
        match span.kind:
            case Kind.SERVER:
                assert span.name == said[RUNTIME.RPC_METHOD]
            case Kind.PRODUCER:
                assert span.name.startswith(f"{RUNTIME.SEND_SPAN} ")
                assert said[RUNTIME.MESSAGING_OPERATION] == "send"
            case Kind.CONSUMER:
                assert span.name.startswith(f"{RUNTIME.PROCESS_SPAN} ")
                assert said[RUNTIME.MESSAGING_OPERATION] == "process"
            case Kind.CLIENT:
                name = said.get(RUNTIME.RPC_METHOD) or said.get(RUNTIME.DB_OPERATION)
                assert span.name == name or span.name.startswith(f"{RUNTIME.OBJECTS_SPAN}.")
            case Kind.INTERNAL:
                assert RUNTIME.RPC_METHOD not in said


@pytest.mark.parametrize("kind", ALWAYS)
async def test_every_span_towards_others_says_what_it_must(demo, kind):
    spans = [span for span in demo.trace if span.kind is kind]
    assert spans
    for span in spans:
        assert ALWAYS[kind] <= span.attributes.keys(), span.name


async def test_calls_say_who_called_for_whom_and_in_which_connection(demo):
    for span in demo.trace:
        if span.kind is Kind.SERVER:
            assert span.attributes[RUNTIME.TENANT] == "acme"
            assert span.attributes[RUNTIME.CORRELATION_ID]
            people = demo.trace.parent(span).service == "demo"
            assert span.attributes[RUNTIME.CALLER_TYPE] == ("user" if people else "service")


async def test_no_span_tells_what_the_example_claim_is_about(running_stack, demo):
    example = demo.example
    telling = {
        text for text in _leaves([example.claim, example.prompt, example.workflow]) if len(text) >= TELLING_LENGTH
    }
    telling |= {file.name for file in example.evidence}
    telling |= {
        line for file in example.evidence if file.suffix in {".csv", ".eml"} for line in _lines(file.read_text())
    }
    assert len(telling) > 50
    assert _found(running_stack, telling) == []


async def test_no_span_tells_of_a_person(running_stack, demo):
    wrong = [
        (span.service, span.name, text)
        for span in SpanStore(running_stack.data / "traces")
        for text in _said(span)
        if ADDRESS.search(text) or "claimant" in text.replace("claimant_", "")
    ]
    assert wrong == []


async def test_no_span_tells_a_secret(running_stack, demo):
    state = running_stack.state
    secrets = {urlsplit(url).password for url in (*state.databases.values(), state.nats)}
    secrets.add(state.objects.secret_key)
    assert None not in secrets
    assert _found(running_stack, secrets) == []
    spans = SpanStore(running_stack.data / "traces")
    assert [text for span in spans for text in _said(span) if SIGNATURE.search(text) or TOKEN.search(text)] == []


def _said(span) -> list[str]:
    """Every text of a span."""
    return [span.name, span.message, *(str(value) for value in span.attributes.values())]


def _found(stack, texts: set[str]) -> list[tuple[str, str, str]]:
    """Where one of the texts stands in a span, of whatever trace."""
    whole = [(span, "\n".join(_said(span))) for span in SpanStore(stack.data / "traces")]
    assert whole
    return [(span.service, span.name, text) for span, said in whole for text in texts if text in said]


def _leaves(value) -> list[str]:
    """Every text in JSON, keys left out."""
    if isinstance(value, str):
        # An identifier of the contract is no data.
        return [] if re.fullmatch(r"[a-zA-Z_]+", value) else [value]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [leaf for each in inner for leaf in _leaves(each)]


def _lines(text: str) -> set[str]:
    return {line.strip() for line in text.splitlines() if len(line.strip()) >= TELLING_LENGTH}
