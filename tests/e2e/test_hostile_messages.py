"""Every RPC of every service, found by reflection, with messages that nobody should send."""

import random
from collections.abc import Iterator
from uuid import UUID

import grpc
import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.rpc import error_details_pb2, status_pb2
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from proofloop_local.state import StackState
from proofloop_local.token import ROLES, make_token

SERVICES = ("audit", "prompts", "packets", "exports")
OURS = "proofloop."
ROUNDS = 12
SECONDS = 5.0

HOSTILE_TEXTS = (
    "\0",
    "a\0b",
    "' OR 1=1; DROP TABLE log_entry; --",
    "../../../../etc/passwd",
    "{{7*7}} ${jndi:ldap://x} <script>alert(1)</script>",
    "\u202egnp.exe",
    "\U0001f4a3" * 40,
    "\ufeff\u200b\u0301",
    "[" * 5000,
    '{"a":1,"a":2}',
    '{"a":1e999999,"b":"\\ud800"}',
    "00000000-0000-0000-0000-000000000000",
    "NaN",
)
LEAKS = ("Traceback", 'File "', "sqlalchemy", "asyncpg", "psycopg", "site-packages", "proofloop_", "SELECT ", "INSERT ")


@pytest.fixture(params=SERVICES)
def channel(request: pytest.FixtureRequest, stack: StackState) -> Iterator[grpc.Channel]:
    client = stack.client
    credentials = grpc.ssl_channel_credentials(
        client.authority.read_bytes(), client.key.read_bytes(), client.certificate.read_bytes()
    )
    with grpc.secure_channel(stack.services[request.param], credentials) as channel:
        yield channel


def test_no_message_makes_a_service_fail(channel: grpc.Channel, stack: StackState) -> None:
    token = make_token(stack.keys, user="mallory@example.com", tenant="acme", roles=ROLES)
    metadata = (("authorization", f"Bearer {token}"),)
    chance = random.Random(20260102)  # noqa: S311 (the same messages in every run)
    failures = []
    for method in _methods(channel):
        for kind, payload in _payloads(method.input_type, chance):
            error = _call(channel, method, payload, metadata)
            if error is not None and (problem := _problem(error)):
                failures.append(f"{method.full_name}, {kind}: {problem}")
    assert failures == []


def test_bytes_that_are_no_message_are_an_invalid_argument(channel: grpc.Channel, stack: StackState) -> None:
    token = make_token(stack.keys, user="mallory@example.com", tenant="acme", roles=ROLES)
    metadata = (("authorization", f"Bearer {token}"),)
    for method in _methods(channel):
        error = _call(channel, method, b"\xff\xff\xff\xff", metadata)
        assert error is not None
        assert _reason(error) in {"ERROR_REASON_MALFORMED_MESSAGE", "ERROR_REASON_ROLE_MISSING"}, method.full_name


def test_nobody_gets_in_without_a_token(channel: grpc.Channel) -> None:
    for method in _methods(channel):
        for metadata in ((), (("authorization", "Bearer no.such.token"),), (("authorization", "Basic eDp5"),)):
            error = _call(channel, method, b"", metadata)
            assert error is not None
            assert error.code() is grpc.StatusCode.UNAUTHENTICATED, method.full_name


def _methods(channel: grpc.Channel) -> list[MethodDescriptor]:
    database = ProtoReflectionDescriptorDatabase(channel)
    pool = DescriptorPool(database)
    services = [pool.FindServiceByName(name) for name in database.get_services() if name.startswith(OURS)]
    methods = [method for service in services for method in service.methods]
    assert methods
    return methods


def _call(
    channel: grpc.Channel, method: MethodDescriptor, payload: bytes, metadata: tuple[tuple[str, str], ...]
) -> grpc.RpcError | None:
    path = f"/{method.containing_service.full_name}/{method.name}"
    try:
        if method.client_streaming and method.server_streaming:
            list(channel.stream_stream(path)(iter([payload, payload]), timeout=SECONDS, metadata=metadata))
        elif method.client_streaming:
            channel.stream_unary(path)(iter([payload, payload]), timeout=SECONDS, metadata=metadata)
        elif method.server_streaming:
            next(channel.unary_stream(path)(payload, timeout=1.0, metadata=metadata), None)
        else:
            channel.unary_unary(path)(payload, timeout=SECONDS, metadata=metadata)
    except grpc.RpcError as error:
        return error
    return None


def _problem(error: grpc.RpcError) -> str:
    """Return what is wrong with an error that a caller sees; empty if nothing."""
    code, text = error.code(), f"{error.details()} {_status(error)}"
    if code in (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.UNIMPLEMENTED):
        return f"{code.name}: {text}"
    if leak := next((leak for leak in LEAKS if leak in text), None):
        return f"leaks {leak!r}: {text}"
    if code is not grpc.StatusCode.DEADLINE_EXCEEDED and not _reason(error).startswith("ERROR_REASON_"):
        # gRPC itself answers what is too large before any of our code runs.
        return "" if code is grpc.StatusCode.RESOURCE_EXHAUSTED else f"{code.name} without a reason: {text}"
    return ""


def _status(error: grpc.RpcError) -> status_pb2.Status:
    details = dict(error.trailing_metadata() or ()).get("grpc-status-details-bin", b"")
    return status_pb2.Status.FromString(details)


def _reason(error: grpc.RpcError) -> str:
    info = error_details_pb2.ErrorInfo()
    return next((info.reason for detail in _status(error).details if detail.Unpack(info)), "")


def _payloads(descriptor: Descriptor, chance: random.Random) -> Iterator[tuple[str, bytes]]:
    yield "empty", b""
    yield "maximal", _filled(descriptor, _Maximal(chance), 3).SerializeToString()
    for text in HOSTILE_TEXTS:
        yield f"hostile {text[:20]!r}", _filled(descriptor, _Hostile(chance, text), 3).SerializeToString()
    for number in range(ROUNDS):
        yield f"random {number}", _filled(descriptor, _Plausible(chance), 3).SerializeToString()
        yield f"noise {number}", chance.randbytes(chance.randrange(1, 200))


class _Plausible:
    """Values that may well pass a rule, so that what lies behind is reached."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance

    def text(self, field: FieldDescriptor) -> str:
        if field.name.endswith("_json"):
            return self.chance.choice(['{"a": 1}', "{}", "[1, 2.50]", '"text"', "not json"])
        if field.name.endswith("sha256"):
            return self.chance.randbytes(32).hex()
        if field.name.endswith("_id"):
            return str(UUID(int=self.chance.getrandbits(128), version=4))
        return self.chance.choice(["a", "noun.verb", "some_name", "Some text.", "x" * 200, ""])

    def number(self, _field: FieldDescriptor) -> int:
        return self.chance.choice([0, 1, 2, 100])

    def count(self) -> int:
        return self.chance.randrange(3)

    def present(self) -> bool:
        return self.chance.random() < 0.8


class _Hostile(_Plausible):
    """One hostile text in every place, beside numbers out of every range."""

    def __init__(self, chance: random.Random, hostile: str) -> None:
        super().__init__(chance)
        self._hostile = hostile

    def text(self, field: FieldDescriptor) -> str:
        return self._hostile if self.chance.random() < 0.7 else super().text(field)

    def number(self, field: FieldDescriptor) -> int:
        unsigned = field.type in (FieldDescriptor.TYPE_UINT32, FieldDescriptor.TYPE_UINT64)
        if field.type == FieldDescriptor.TYPE_INT64:
            return self.chance.choice([-1, -(1 << 63), (1 << 63) - 1, 253_402_300_800])
        return self.chance.choice([0, (1 << 31) - 1] if unsigned else [-1, -(1 << 31), (1 << 31) - 1])


class _Maximal(_Plausible):
    """Long texts and lists everywhere."""

    def text(self, _field: FieldDescriptor) -> str:
        return "x" * 20_000

    def number(self, field: FieldDescriptor) -> int:
        return (1 << 63) - 1 if field.type == FieldDescriptor.TYPE_INT64 else (1 << 31) - 1

    def count(self) -> int:
        return 12

    def present(self) -> bool:
        return True


def _filled(descriptor: Descriptor, values: _Plausible, depth: int) -> Message:
    message = GetMessageClass(descriptor)()
    for field in descriptor.fields:
        if values.present() and (depth or field.message_type is None):
            _fill(message, field, values, depth)
    return message


def _fill(message: Message, field: FieldDescriptor, values: _Plausible, depth: int) -> None:
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        return
    if field.is_repeated:
        items = [_value(field, values, depth) for _ in range(values.count())]
        getattr(message, field.name).extend(items)
    elif field.message_type is not None:
        getattr(message, field.name).CopyFrom(_value(field, values, depth))
    else:
        setattr(message, field.name, _value(field, values, depth))


def _value(field: FieldDescriptor, values: _Plausible, depth: int) -> object:
    if field.message_type is not None:
        return _filled(field.message_type, values, depth - 1)
    if field.type == FieldDescriptor.TYPE_STRING:
        return values.text(field)
    if field.type == FieldDescriptor.TYPE_BYTES:
        return values.text(field).encode()
    if field.type == FieldDescriptor.TYPE_BOOL:
        return bool(values.number(field) % 2)
    if field.type in (FieldDescriptor.TYPE_DOUBLE, FieldDescriptor.TYPE_FLOAT):
        return float(values.number(field) % 1000)
    return values.number(field)
