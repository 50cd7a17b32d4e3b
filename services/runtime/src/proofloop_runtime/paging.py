"""Opaque page tokens: a position, bound to the filters that the list was asked for."""

import base64
import hashlib
import json
from typing import Any
from uuid import UUID

from google.protobuf.message import Message

from proofloop_runtime.errors import PageTokenInvalid

DEFAULT_PAGE_SIZE = 100


def encode(request: Message, position: list[Any]) -> str:
    """Return the token of the page after `position`, a list of JSON values."""
    return base64.urlsafe_b64encode(json.dumps([_fingerprint(request), position]).encode()).decode().rstrip("=")


def decode(request: Any) -> list[Any] | None:
    """Return the position that `request.page_token` names; None for the first page.

    Raises:
        PageTokenInvalid: it is not a token of this list with these filters.
    """
    token: str = request.page_token
    if not token:
        return None
    try:
        fingerprint, position = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    except (ValueError, TypeError, RecursionError) as error:
        raise PageTokenInvalid("this is not a page token", field="page_token") from error
    if fingerprint != _fingerprint(request) or not isinstance(position, list):
        raise PageTokenInvalid("the page token belongs to a list with other filters", field="page_token")
    return position


def integer(position: list[Any]) -> int:
    """Return a position that is one integer.

    Raises:
        PageTokenInvalid: it is something else.
    """
    match position:
        case [int(value)] if abs(value) < 1 << 63:
            return value
    raise PageTokenInvalid("this is not a page token", field="page_token")


def size(request: Any) -> int:
    """Return the number of items wanted on a page."""
    return request.page_size or DEFAULT_PAGE_SIZE


def identifier(position: list[Any]) -> str:
    """Return a position that is one id.

    Raises:
        PageTokenInvalid: it is something else.
    """
    try:
        (value,) = position
        return str(UUID(value))
    except (ValueError, TypeError, AttributeError) as error:
        raise PageTokenInvalid("this is not a page token", field="page_token") from error


def _fingerprint(request: Message) -> str:
    filters = type(request)()
    filters.CopyFrom(request)
    for name in ("page_token", "page_size"):
        filters.ClearField(name)
    digest = hashlib.sha256(filters.SerializeToString(deterministic=True)).digest()
    return base64.urlsafe_b64encode(digest[:12]).decode()
