"""Who may do what beyond the roles that the contract lists: claimants see and change their own claims only."""

from proofloop.access.v1.access_pb2 import (
    ROLE_AUDITOR,
    ROLE_COMPLIANCE,
    ROLE_REVIEWER,
    ROLE_SERVICE,
)
from proofloop_runtime.call import current

_READERS = (ROLE_AUDITOR, ROLE_COMPLIANCE, ROLE_REVIEWER, ROLE_SERVICE)
_WRITERS = (ROLE_REVIEWER, ROLE_SERVICE)


def must_see(owner_id: str) -> None:
    """Check that the caller may see what belongs to a claimant.

    Raises:
        NotOwner: they may not.
    """
    current().caller.must_own(owner_id, *_READERS)


def must_change(owner_id: str) -> None:
    """Check that the caller may add to what belongs to a claimant.

    Raises:
        NotOwner: they may not.
    """
    current().caller.must_own(owner_id, *_WRITERS)


def only_owner() -> str | None:
    """Return the one claimant whose claims the caller sees; None when they see everybody's."""
    caller = current().caller
    return None if caller.roles.intersection(_READERS) else caller.id
