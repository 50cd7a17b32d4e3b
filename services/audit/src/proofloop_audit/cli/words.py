"""What went wrong, in plain words, and the exit code that says so."""

from enum import IntEnum
from typing import Any, NoReturn, cast

import grpc
import typer
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

_DETAILS = "grpc-status-details-bin"
_PREFIX = "ERROR_REASON_"


class Exit(IntEnum):
    """Exit codes other than 0."""

    WRONG = 1
    """The service refused, or something does not hold."""
    USAGE = 2
    """The command was used wrongly."""
    NO_ANSWER = 5
    """The service could not be reached or did not answer: try again."""


def plain(text: str) -> str:
    """Return a text from somebody else so that it cannot command a terminal: what cannot be printed as an escape."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def fail(code: Exit, sentence: str, advice: str = "") -> NoReturn:
    """End the command with a sentence on stderr."""
    typer.echo(f"proofloop audit: {sentence}", err=True)
    if advice:
        typer.echo(f"  {advice}", err=True)
    raise typer.Exit(code)


def refuse(error: grpc.RpcError, server: str, timeout: float) -> NoReturn:
    """End the command with what the service, or the way to it, said."""
    answer = _Answer(error)
    status, message = answer.status, plain(answer.message)
    if answer.info.reason:
        names = dict.fromkeys((status.name, plain(answer.info.reason.removeprefix(_PREFIX))))
        code = Exit.NO_ANSWER if status in _AGAIN else Exit.WRONG
        fail(code, f"{message} ({', '.join(names)})", answer.advice())
    if status in (grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED):
        fail(Exit.NO_ANSWER, f"{server} sent nothing for {timeout:g} s", "Try again, or wait longer with --timeout.")
    if status is grpc.StatusCode.UNAVAILABLE:
        advice = "Does it run there, and do --cacert, --cert and --key belong to it?"
        fail(Exit.NO_ANSWER, f"{server} cannot be reached: {message}", advice)
    fail(Exit.WRONG, f"{server} answered {status.name}: {message}")


_AGAIN = (
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
)


class _Answer:
    """An error with its details."""

    def __init__(self, error: grpc.RpcError) -> None:
        # What a call raises is the call itself, which has these; the base class of errors does not say so.
        call = cast("grpc.Call", error)
        self.status: grpc.StatusCode = call.code()
        self.message: str = call.details() or ""
        self.info: Any = error_details_pb2.ErrorInfo()
        self.retry: Any = error_details_pb2.RetryInfo()
        packed = dict(call.trailing_metadata() or ()).get(_DETAILS, b"")
        try:
            details = status_pb2.Status.FromString(packed if isinstance(packed, bytes) else b"").details
        except DecodeError:
            return
        for detail in details:
            for message in (self.info, self.retry):
                detail.Unpack(message)

    def advice(self) -> str:
        """Return what to do about it; empty where nobody knows."""
        if self.status is grpc.StatusCode.UNAUTHENTICATED:
            return "Get a valid token, and export it as TOKEN. Of a local stack: proofloop token"
        if self.status is grpc.StatusCode.PERMISSION_DENIED:
            return "Your token does not allow it: use one that does."
        if self.status is grpc.StatusCode.NOT_FOUND:
            return "Only what belongs to your token's tenant is found."
        if self.retry.HasField("retry_delay"):
            return f"Try again in {self.retry.retry_delay.ToTimedelta().total_seconds():g} s."
        return ""
