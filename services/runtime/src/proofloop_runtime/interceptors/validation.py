"""No request reaches a servicer that breaks a rule of its contract."""

from typing import Any

import protovalidate
from google.protobuf.message import Message

from proofloop_runtime.errors import FieldViolation, InvalidField, MalformedMessage
from proofloop_runtime.interceptors import wellformed
from proofloop_runtime.interceptors.call import Call, Unparseable

_validator = protovalidate.Validator()


def validation(call: Call) -> None:
    """Let the call in if its requests are what the contract says.

    Raises:
        MalformedMessage: the bytes are not the message.
        InvalidField: a field breaks a rule; names every such field.
    """
    call.each_request(check)


def check(request: Any) -> None:
    """Check one message against the rules of its contract, and against those that hold for all."""
    if isinstance(request, Unparseable):
        raise MalformedMessage("the bytes are not the message that this method takes")
    if not isinstance(request, Message):
        return
    violations = [
        FieldViolation(_path(violation.proto.field), violation.proto.message or violation.proto.rule_id)
        for violation in _validator.collect_violations(request)
    ]
    if violations := violations or wellformed.violations(request):
        first = violations[0]
        raise InvalidField(
            f"{first.field or 'the request'}: {first.description}",
            violations=violations,
        )


def _path(path: Any) -> str:
    """Return a field path as `a.b[0].c`."""
    parts = []
    for element in path.elements if path is not None else ():
        subscript = element.subscript
        suffix = "" if subscript is None else f"[{subscript.value}]"
        parts.append(f"{element.field_name}{suffix}")
    return ".".join(parts)
