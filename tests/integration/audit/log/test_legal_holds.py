"""Legal holds: whom they cover, what they refuse, and what is kept of the people they speak of."""

import asyncio
from uuid import uuid4

from google.protobuf.duration_pb2 import Duration
from leftovers import tables_that_say
from proofloop.audit.v1 import log_pb2
from proofloop.audit.v1 import log_service_pb2 as contract

CLAIM = str(uuid4())
ANN = "ann@example.com"


def user(name: str) -> log_pb2.Actor:
    return log_pb2.Actor(type=log_pb2.ACTOR_TYPE_USER, id=name)


def releasing(hold: log_pb2.LegalHold, **fields) -> contract.ReleaseLegalHoldRequest:
    defaults = {"request_id": str(uuid4()), "hold_id": hold.hold_id, "reason": "settled"}
    return contract.ReleaseLegalHoldRequest(**defaults | fields)


async def listed(stub, **fields) -> list[log_pb2.LegalHold]:
    return list((await stub.ListLegalHolds(contract.ListLegalHoldsRequest(**fields))).holds)


async def test_whom_an_active_hold_covers_cannot_be_erased(officer, place, erase, append, refused, read_log) -> None:
    await append(actor=user(ANN), claim_id=CLAIM)
    holds = [
        await place(subject=user(ANN)),
        await place(claim_id=CLAIM.upper()),
        await place(whole_tenant=True),
    ]
    for released in range(len(holds)):
        with refused("FAILED_PRECONDITION", "LEGAL_HOLD_ACTIVE") as refusals:
            await erase(ANN)
        active = [hold.hold_id for hold in holds[released:]]
        assert refusals[0].conditions == tuple(f"holds/{hold_id}" for hold_id in active)
        assert refusals[0].metadata["hold_ids"] == ",".join(active)
        assert len(await read_log(actor_id=ANN)) == 1
        await officer.ReleaseLegalHold(releasing(holds[released]))
    assert (await erase(ANN)).entry_count == 1
    assert await read_log(actor_id=ANN) == []


async def test_a_hold_covers_nobody_else(place, erase, append) -> None:
    await append(actor=user("ann"), claim_id=CLAIM)
    await append(actor=user("bob"), claim_id=str(uuid4()))
    await place(subject=user("ann"))
    await place(claim_id=CLAIM)
    assert (await erase("bob")).entry_count == 1


async def test_a_hold_covers_whoever_acts_in_its_claim_later_and_whom_the_log_does_not_know_yet(
    place, erase, append, refused
) -> None:
    await place(claim_id=CLAIM)
    await place(subject=user("not yet"))
    await append(actor=user("ann"), claim_id=CLAIM)
    for name in ("ann", "not yet"):
        with refused("FAILED_PRECONDITION", "LEGAL_HOLD_ACTIVE"):
            await erase(name)


async def test_a_hold_that_is_placed_while_its_subject_is_erased_holds(place, erase, append, refused) -> None:
    for number in range(8):
        name = f"ann-{number}"
        await append(actor=user(name))
        _, hold = await asyncio.gather(erase(name), place(subject=user(name)), return_exceptions=True)
        assert hold.scope.subject == user(name)
        # Whichever was first: if the erasure was, the hold is on the person who may come back.
        with refused("FAILED_PRECONDITION", "LEGAL_HOLD_ACTIVE"):
            await erase(name)


async def test_holds_are_listed_to_compliance_and_auditors(officer, place, as_person, log, refused, erase) -> None:
    first, second, third = [await place(claim_id=str(uuid4())) for _ in range(3)]
    released = (await officer.ReleaseLegalHold(releasing(second))).hold
    assert (released.release_reason, released.released_by) == ("settled", user("cora"))
    assert (first.reason, first.placed_by, first.HasField("release_time")) == ("case 17", user("cora"), False)
    async with as_person("otto", "auditor") as auditor:
        assert await listed(auditor) == [first, third]
        page = await auditor.ListLegalHolds(contract.ListLegalHoldsRequest(include_released=True, page_size=2))
        assert list(page.holds) == [first, released]
        rest = {"include_released": True, "page_size": 2, "page_token": page.next_page_token}
        assert await listed(auditor, **rest) == [third]
        with refused("INVALID_ARGUMENT", "PAGE_TOKEN_INVALID"):
            await listed(auditor, page_token=page.next_page_token)
        with refused("PERMISSION_DENIED", "ROLE_MISSING"):
            await auditor.ReleaseLegalHold(releasing(first))
    async with as_person("rita", "claimant", "reviewer", "operator") as others:
        for stub in (others, log):
            with refused("PERMISSION_DENIED", "ROLE_MISSING"):
                await listed(stub)
    async with as_person("olga", "compliance", tenant="globex") as elsewhere:
        assert await listed(elsewhere, include_released=True) == []
        with refused("NOT_FOUND", "LEGAL_HOLD_NOT_FOUND"):
            await elsewhere.ReleaseLegalHold(releasing(first))


async def test_a_hold_is_placed_and_released_once(officer, place, refused, log) -> None:
    request = contract.PlaceLegalHoldRequest(
        request_id=str(uuid4()), scope=log_pb2.HoldScope(whole_tenant=True), reason="case 17"
    )
    first, again = [await officer.PlaceLegalHold(request) for _ in range(2)]
    assert first == again
    release = releasing(first.hold)
    released, again = [await officer.ReleaseLegalHold(release) for _ in range(2)]
    assert released == again
    with refused("FAILED_PRECONDITION", "LEGAL_HOLD_RELEASED") as refusals:
        await officer.ReleaseLegalHold(releasing(first.hold))
    assert refusals[0].conditions == (f"holds/{first.hold.hold_id}",)
    for action, hold, reason in (("placed", first.hold, "case 17"), ("released", released.hold, "settled")):
        get = contract.GetEntryRequest(entry_id=hold.last_event_id, max_wait=Duration(seconds=25))
        entry = (await log.GetEntry(get, timeout=30)).entry
        assert (entry.action, entry.entity_type, entry.entity_id) == (
            f"legal_hold.{action}",
            "legal_hold",
            hold.hold_id,
        )
        assert (entry.actor, entry.reason) == (user("cora"), reason)


async def test_a_wrong_hold_is_refused(officer, refused) -> None:
    service = log_pb2.Actor(type=log_pb2.ACTOR_TYPE_SERVICE, id="packets")
    for scope, reason in (
        (None, "r"),
        (log_pb2.HoldScope(), "r"),
        (log_pb2.HoldScope(claim_id="17"), "r"),
        (log_pb2.HoldScope(whole_tenant=False), "r"),
        (log_pb2.HoldScope(subject=user("")), "r"),
        (log_pb2.HoldScope(subject=service), "r"),
        (log_pb2.HoldScope(whole_tenant=True), ""),
    ):
        with refused("INVALID_ARGUMENT", "INVALID_FIELD"):
            await officer.PlaceLegalHold(
                contract.PlaceLegalHoldRequest(request_id=str(uuid4()), scope=scope, reason=reason)
            )
    assert await listed(officer) == []


async def test_no_table_says_anything_of_an_erased_person(
    officer, place, erase, append, superuser, eventually, as_person
) -> None:
    """Holds on them and by them, first answers and events included, once everybody was told."""

    await append(actor=user(ANN), details_json=f'{{"by": "{ANN}"}}')
    hold = await place(subject=user(ANN))
    async with as_person(ANN, "compliance") as theirs:
        request = contract.PlaceLegalHoldRequest(
            request_id=str(uuid4()), scope=log_pb2.HoldScope(claim_id=CLAIM), reason="case 18"
        )
        other = (await theirs.PlaceLegalHold(request)).hold
        await theirs.ReleaseLegalHold(releasing(hold))
    assert {"idempotency", "outbox"} == set(await tables_that_say(superuser, ANN))
    await erase(ANN)

    async def nothing_is_left() -> bool:
        return not await tables_that_say(superuser, ANN)

    await eventually(nothing_is_left)
    first, second = await listed(officer, include_released=True)
    assert (first.scope, first.reason) == (log_pb2.HoldScope(subject=log_pb2.Actor()), "case 17")
    assert (first.HasField("released_by"), second.HasField("placed_by")) == (False, False)
    assert (second.hold_id, second.scope.claim_id) == (other.hold_id, CLAIM)
