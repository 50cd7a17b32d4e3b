"""Options that several commands share, each set of them written once, as a dataclass."""

import inspect
from collections.abc import Callable
from dataclasses import Field, dataclass, fields, is_dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import wraps
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import typer
from google.protobuf.timestamp_pb2 import Timestamp
from proofloop.audit.v1 import log_pb2

from proofloop_audit.cli.words import Exit, fail

_NAMED = inspect.Parameter.KEYWORD_ONLY
_ENVIRONMENT = 'eval "$(proofloop env)" sets them all but TOKEN, which is yours.'


class Outcome(StrEnum):
    """What became of an action."""

    SUCCESS = "success"
    FAILURE = "failure"
    DENIED = "denied"


def parse_time(text: str) -> datetime:
    """Read a day or a time of ISO 8601; without an offset it is in UTC."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is no time: write 2026-01-31, or 2026-01-31T09:30:00Z") from error
    return time if time.tzinfo else time.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Connection:
    """Where the service is, and who asks."""

    server: Annotated[
        str,
        typer.Option("--server", envvar="AUDIT", metavar="HOST:PORT", help="The audit service.", show_default=False),
    ] = ""
    authority: Annotated[
        str,
        typer.Option("--cacert", envvar="CACERT", metavar="FILE", help="Whose servers to trust.", show_default=False),
    ] = ""
    certificate: Annotated[
        str, typer.Option("--cert", envvar="CERT", metavar="FILE", help="Your client certificate.", show_default=False)
    ] = ""
    key: Annotated[
        str, typer.Option("--key", envvar="KEY", metavar="FILE", help="Its private key.", show_default=False)
    ] = ""
    token: Annotated[
        str,
        typer.Option(
            envvar="TOKEN",
            help="Your token. Other users of the machine see options, not variables.",
            show_default=False,
        ),
    ] = ""
    timeout: Annotated[
        float, typer.Option(min=0.1, metavar="SECONDS", help="How long to wait for an answer, or its next piece.")
    ] = 30

    def require(self) -> None:
        """Refuse, as wrong usage, what is not given."""
        given = {
            "--server (AUDIT)": self.server,
            "--cacert (CACERT)": self.authority,
            "--cert (CERT)": self.certificate,
            "--key (KEY)": self.key,
            "--token (TOKEN)": self.token,
        }
        missing = [name for name, value in given.items() if not value]
        if missing:
            fail(Exit.USAGE, f"not given: {', '.join(missing)}", _ENVIRONMENT)
        if not (self.token.isascii() and self.token.isprintable()):
            fail(Exit.USAGE, "--token (TOKEN) is no token", "It has characters that no token has, such as line ends.")

    def read(self, option: str, file: str) -> bytes:
        """Return a file's contents."""
        try:
            return Path(file).read_bytes()
        except OSError as error:
            raise typer.BadParameter(f"{file} cannot be read: {error.strerror}", param_hint=option) from error


@dataclass(frozen=True, slots=True)
class Filters:
    """Which entries; all that are given must fit."""

    claim: Annotated[UUID | None, typer.Option(help="Only entries of this claim.")] = None
    entity_type: Annotated[str | None, typer.Option(help="Only on entities of this type, such as prompt.")] = None
    entity_id: Annotated[str | None, typer.Option(help="Only on this entity.")] = None
    actor: Annotated[str | None, typer.Option(help="Only of the actor with this id.")] = None
    action: Annotated[str | None, typer.Option(help="Only this action, such as prompt.answered.")] = None
    outcome: Annotated[Outcome | None, typer.Option(help="Only with this outcome.")] = None
    session: Annotated[str | None, typer.Option(help="Only of this session.")] = None
    since: Annotated[
        datetime | None, typer.Option(parser=parse_time, metavar="TIME", help="Only appended at or after this time.")
    ] = None
    before: Annotated[
        datetime | None, typer.Option(parser=parse_time, metavar="TIME", help="Only appended before this time.")
    ] = None

    def given(self) -> dict[str, Any]:
        """Return the filters as fields of a request.

        Raises:
            BadParameter: one is empty, which would be none: what was to be a part would be the whole log.
        """
        wanted: dict[str, Any] = {}
        for name, option, text in (
            ("entity_type", "--entity-type", self.entity_type),
            ("entity_id", "--entity-id", self.entity_id),
            ("actor_id", "--actor", self.actor),
            ("action", "--action", self.action),
            ("session_id", "--session", self.session),
        ):
            if text == "":
                raise typer.BadParameter("is empty", param_hint=option)
            if text is not None:
                wanted[name] = text
        if self.claim is not None:
            wanted["claim_id"] = str(self.claim)
        if self.outcome is not None:
            wanted["outcome"] = log_pb2.Outcome.Value(f"OUTCOME_{self.outcome.name}")
        for name, time in (("start_time", self.since), ("end_time", self.before)):
            if time is not None:
                wanted[name] = Timestamp()
                wanted[name].FromDatetime(time)
        return wanted


def spread(command: Callable[..., None]) -> Callable[..., None]:
    """Make every parameter of a command that is a dataclass into an option for each of its fields.

    The fields carry their options as annotations do, and have defaults.
    """
    parameters = inspect.signature(command).parameters.values()
    sets: dict[str, type[Any]] = {
        parameter.name: parameter.annotation
        for parameter in parameters
        if isinstance(parameter.annotation, type) and is_dataclass(parameter.annotation)
    }

    @wraps(command)
    def spread_out(**options: Any) -> None:
        for name, made in sets.items():
            options[name] = made(**{field.name: options.pop(field.name) for field in fields(made)})
        command(**options)

    own = [parameter.replace(kind=_NAMED) for parameter in parameters if parameter.name not in sets]
    shared = [_parameter(field) for made in sets.values() for field in fields(made)]
    # What typer reads; it would follow __wrapped__ to the command as it was written.
    spread_out.__signature__ = inspect.Signature([*own, *shared])  # type: ignore[attr-defined] # functions may have it (PEP 362)
    del spread_out.__wrapped__
    return spread_out


def _parameter(field: "Field[Any]") -> inspect.Parameter:
    return inspect.Parameter(field.name, _NAMED, default=field.default, annotation=field.type)
