"""Feeds: whom they are for, where a reader stands in one, and which events it wants.

A feed is a sequence of events numbered from 1 without a gap. A reader that names the number it has reached
therefore continues without a gap or a repeat, and notices when what follows is no longer kept.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Self

from proofloop_prompts.errors import ResumeTokenInvalid

_TOKEN: Final = re.compile(r"(?P<recipient>[a-z]+-[0-9a-f-]+):(?P<sequence>0|[1-9][0-9]{0,17})", re.ASCII)


@dataclass(frozen=True, slots=True, order=True)
class Recipient:
    """Whom a feed is for. The key stands in the feed table and in wake-up subjects, and tells no e-mail."""

    key: str

    @classmethod
    def person(cls, person_id: str) -> Self:
        """The feed of a person's own prompts; `person_id` is the `sub` of their token."""
        return cls(f"user-{hashlib.sha256(person_id.encode()).hexdigest()}")

    @classmethod
    def claim(cls, claim_id: str) -> Self:
        """The feed of a claim; `claim_id` is a UUID in lower case."""
        return cls(f"claim-{claim_id}")


@dataclass(frozen=True, slots=True)
class Position:
    """Up to which event of a feed a reader has come; 0 is before the first."""

    recipient: Recipient
    sequence: int

    def token(self) -> str:
        """The position as an opaque resume token."""
        text = f"{self.recipient.key}:{self.sequence}"
        return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()

    @classmethod
    def from_token(cls, token: str, *, recipient: Recipient) -> Self:
        """The position that `token` names; ResumeTokenInvalid unless it is one in the feed of `recipient`."""
        try:
            text = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True).decode()
        except (binascii.Error, ValueError) as error:
            raise _invalid("this is no resume token") from error
        parts = _TOKEN.fullmatch(text)
        if parts is None:
            raise _invalid("this is no resume token")
        if parts["recipient"] != recipient.key:
            raise _invalid("the resume token is of another feed")
        return cls(recipient=recipient, sequence=int(parts["sequence"]))


@dataclass(frozen=True, slots=True)
class EventTypes:
    """The event types a reader asked for: `prompt.created`, or `prompt.*` for a noun. None means all."""

    wanted: frozenset[str]

    @classmethod
    def of(cls, types: Iterable[str]) -> Self:
        """The choice of these types."""
        return cls(frozenset(types))

    def admit(self, event_type: str) -> bool:
        """Whether the reader wants an event of this type."""
        noun, _, _ = event_type.partition(".")
        return not self.wanted or event_type in self.wanted or f"{noun}.*" in self.wanted


def _invalid(message: str) -> ResumeTokenInvalid:
    return ResumeTokenInvalid(message, field="resume_token")
