"""Who may do what beyond the roles that the contract lists: claimants record and see their own workflows only."""

from proofloop.access.v1.access_pb2 import ROLE_AUDITOR, ROLE_COMPLIANCE, ROLE_REVIEWER, ROLE_SERVICE
from proofloop_runtime.call import Caller, CallerType
from proofloop_runtime.errors import InvalidField

_READERS = (ROLE_AUDITOR, ROLE_COMPLIANCE, ROLE_REVIEWER, ROLE_SERVICE)
_WRITERS = (ROLE_REVIEWER, ROLE_SERVICE)


def must_see(caller: Caller, owner_id: str) -> None:
    """Check that the caller may see what belongs to a person.

    Raises:
        NotOwner: they may not.
    """
    caller.must_own(owner_id, *_READERS)


def must_record(caller: Caller, owner_id: str) -> None:
    """Check that the caller may record a stage of what belongs to a person.

    Raises:
        NotOwner: they may not.
    """
    caller.must_own(owner_id, *_WRITERS)


def owner_of_new(caller: Caller, asked: str) -> str:
    """Return the owner of what the caller begins: the one asked for, else the calling person.

    Raises:
        InvalidField: a service that calls for nobody names no owner.
        NotOwner: a claimant names somebody else.
    """
    owner = asked or (caller.id if caller.type is CallerType.USER else "")
    if not owner:
        raise InvalidField("owner_id: is required of a service that calls for nobody", field="owner_id")
    must_record(caller, owner)
    return owner


def owner_to_list(caller: Caller, asked: str | None) -> str | None:
    """Return the one owner whose workflows a list may show: the one asked for, or a claimant; None for everybody's.

    Raises:
        NotOwner: a claimant asks for somebody else's.
    """
    if asked is not None:
        must_see(caller, asked)
        return asked
    return None if caller.roles.intersection(_READERS) else caller.id
