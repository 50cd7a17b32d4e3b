"""What a legal hold is: it forbids to erase whom it covers, until it is released."""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from proofloop_runtime.events import Actor

from proofloop_audit.errors import LegalHoldReleased


class ScopeKind(StrEnum):
    """What kind of thing a hold covers."""

    SUBJECT = "subject"
    CLAIM = "claim"
    TENANT = "tenant"


@dataclass(frozen=True, slots=True)
class HoldScope:
    """What a hold covers.

    Attributes:
        kind: What kind of thing.
        subject: The person, of a hold on one; None also once they were erased.
        claim_id: The claim, of a hold on one: everybody who has entries in it.
    """

    kind: ScopeKind
    subject: Actor | None = None
    claim_id: str | None = None


@dataclass(frozen=True, slots=True)
class HoldAct:
    """Somebody places or releases a hold; who is None once they were erased."""

    time: datetime
    actor: Actor | None
    reason: str


@dataclass(frozen=True, slots=True)
class Hold:
    """A legal hold; active until `released` is there."""

    hold_id: str
    scope: HoldScope
    placed: HoldAct
    last_event_id: str
    released: HoldAct | None = None

    def release(self, act: HoldAct, event_id: str) -> "Hold":
        """Return the hold as released.

        Raises:
            LegalHoldReleased: it was before.
        """
        if self.released is not None:
            raise LegalHoldReleased(self.hold_id)
        return replace(self, released=act, last_event_id=event_id)
