"""The contract of the echo service, compiled when it is imported."""

import tempfile
from pathlib import Path

import grpc.aio
from buf.validate import validate_pb2  # noqa: F401  # the contract imports it: its file must be in the pool
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, struct_pb2  # noqa: F401  # likewise
from grpc_tools import protoc
from proofloop.access.v1 import access_pb2  # noqa: F401  # likewise

_HERE = Path(__file__).parent
_PROTOS = _HERE.parents[3] / "protos"
_NAME = "echo.proto"


def _compile() -> bytes:
    with tempfile.NamedTemporaryFile() as output:
        includes = (_HERE, _PROTOS, _PROTOS / "third_party", Path(protoc.__file__).parent / "_proto")
        arguments = ["protoc", *(f"-I{folder}" for folder in includes), f"--descriptor_set_out={output.name}", _NAME]
        if protoc.main(arguments):
            raise RuntimeError(f"{_NAME} does not compile")
        return descriptor_pb2.FileDescriptorSet.FromString(output.read()).file[0].SerializeToString()


_pool = descriptor_pool.Default()
_pool.AddSerializedFile(_compile())
FILE = _pool.FindFileByName(_NAME)
SERVICE = FILE.services_by_name["EchoService"]
REASONS = FILE.enum_types_by_name["ErrorReason"]
SayRequest, SayResponse, NoteWritten = (
    message_factory.GetMessageClass(FILE.message_types_by_name[name])
    for name in ("SayRequest", "SayResponse", "NoteWritten")
)


class EchoStub:
    """Calls the service, as generated stubs do."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        for method in SERVICE.methods:
            kind = (
                f"{'stream' if method.client_streaming else 'unary'}_{'stream' if method.server_streaming else 'unary'}"
            )
            call = getattr(channel, kind)(
                f"/{SERVICE.full_name}/{method.name}", SayRequest.SerializeToString, SayResponse.FromString
            )
            setattr(self, method.name, call)


def register(servicer: object, server: grpc.aio.Server) -> None:
    """Add a servicer to a server, as generated stubs do."""
    handlers = {}
    for method in SERVICE.methods:
        kind = f"{'stream' if method.client_streaming else 'unary'}_{'stream' if method.server_streaming else 'unary'}"
        make = getattr(grpc, f"{kind}_rpc_method_handler")
        handlers[method.name] = make(
            getattr(servicer, method.name.lower()), SayRequest.FromString, SayResponse.SerializeToString
        )
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE.full_name, handlers),))
