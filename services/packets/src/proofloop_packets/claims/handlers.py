"""Use cases of claims."""

from collections.abc import Sequence

from proofloop_runtime.call import CallerType, current
from proofloop_runtime.database import UnitOfWork
from proofloop_runtime.errors import InvalidField
from proofloop_runtime.ports import Ids

from proofloop_packets import access, events
from proofloop_packets.claims import store
from proofloop_packets.claims.domain import Claim, ClaimFacts, ClaimState, open_claim


async def create_claim(unit: UnitOfWork, ids: Ids, *, title: str, kind: str, owner_id: str, facts: ClaimFacts) -> Claim:
    """Open a claim for `owner_id`, or for the person who calls.

    Raises:
        InvalidField: a service that calls for nobody names no owner.
        NotOwner: a claimant names somebody else.
    """
    claim = open_claim(
        claim_id=ids.uuid7(),
        title=title,
        kind=kind,
        owner_id=_owner(owner_id),
        facts=facts,
        event_id=ids.uuid7(),
        now=unit.clock.now(),
    )
    await store.insert(unit, claim)
    await unit.publish(events.claim_created(claim))
    return claim


async def get_claim(unit: UnitOfWork, *, claim_id: str) -> Claim:
    """Return a claim that the caller may see.

    Raises:
        ClaimNotFound: there is none of this id.
        NotOwner: it is another claimant's.
    """
    claim = await store.get(unit, claim_id)
    access.must_see(claim.owner_id)
    return claim


async def get_claim_to_change(unit: UnitOfWork, *, claim_id: str, lock: bool = False) -> Claim:
    """Return a claim that the caller may add to; with `lock`, others who would do so wait.

    Raises:
        ClaimNotFound: there is none of this id.
        NotOwner: it is another claimant's.
    """
    claim = await store.get(unit, claim_id, lock=lock)
    access.must_change(claim.owner_id)
    return claim


async def list_claims(
    unit: UnitOfWork,
    *,
    owner_id: str | None,
    state: ClaimState | None,
    kind: str | None,
    before: str | None,
    limit: int,
) -> Sequence[Claim]:
    """Return claims that the caller may see, newest first, older than the claim `before`.

    Raises:
        NotOwner: a claimant asks for somebody else's.
    """
    if owner_id is not None:
        access.must_see(owner_id)
    return await store.newest_first(
        unit,
        owner_id=owner_id or access.only_owner(),
        state=state,
        kind=kind,
        before=before,
        limit=limit,
    )


def _owner(asked: str) -> str:
    caller = current().caller
    if asked:
        access.must_change(asked)
        return asked
    if caller.type is CallerType.USER:
        return caller.id
    raise InvalidField("owner_id is required from a service that calls for nobody", field="owner_id")
