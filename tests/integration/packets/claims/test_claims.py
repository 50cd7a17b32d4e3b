"""ClaimService."""

import asyncio
from uuid import uuid4

import pytest
from google.type.date_pb2 import Date
from google.type.money_pb2 import Money
from proofloop.packets.v1 import claims_pb2
from proofloop.packets.v1 import claims_service_pb2 as contract


def create(**fields) -> contract.CreateClaimRequest:
    defaults = {"request_id": str(uuid4()), "title": "Lost inbound", "kind": "fba_lost_inbound"}
    return contract.CreateClaimRequest(**defaults | fields)


async def test_a_claim_comes_back_as_it_was_opened(ann) -> None:
    facts = claims_pb2.ClaimFacts(
        narrative="40 units billed, 28 received",
        identifiers=[claims_pb2.Identifier(kind="shipment_id", value="FBA17Z")],
        amounts=[claims_pb2.NamedAmount(name="claimed", amount=Money(currency_code="USD", units=-1, nanos=-5))],
        dates=[claims_pb2.NamedDate(name="shipped", date=Date(year=2024, month=2, day=29))],
        parties=[claims_pb2.Party(role="carrier", name="Zürich Cargo 株式会社")],
    )
    opened = (await ann.claims.CreateClaim(create(facts=facts))).claim
    got = (await ann.claims.GetClaim(contract.GetClaimRequest(claim_id=opened.claim_id))).claim
    assert got == opened
    assert got.facts == facts
    assert (got.owner_id, got.state) == ("ann", claims_pb2.CLAIM_STATE_EVIDENCE_PENDING)
    assert got.last_event_id
    assert got.etag
    assert got.create_time == got.update_time


async def test_a_claim_without_facts_is_a_draft(ann) -> None:
    claim = (await ann.claims.CreateClaim(create())).claim
    assert claim.state == claims_pb2.CLAIM_STATE_DRAFT


async def test_a_claimant_opens_claims_of_their_own_only(ann, refused) -> None:
    with refused("PERMISSION_DENIED", "NOT_OWNER"):
        await ann.claims.CreateClaim(create(owner_id="ben"))


async def test_a_reviewer_and_a_service_open_claims_for_others(rita, service) -> None:
    assert (await rita.claims.CreateClaim(create(owner_id="ben"))).claim.owner_id == "ben"
    assert (await service.claims.CreateClaim(create(owner_id="ben"))).claim.owner_id == "ben"


async def test_a_service_that_calls_for_nobody_must_name_the_owner(service, refused) -> None:
    with refused("INVALID_ARGUMENT", "INVALID_FIELD") as seen:
        await service.claims.CreateClaim(create())
    assert seen[0].fields == ("owner_id",)


async def test_an_auditor_opens_no_claim(audrey, refused) -> None:
    with refused("PERMISSION_DENIED", "ROLE_MISSING"):
        await audrey.claims.CreateClaim(create())


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"request_id": "1"}, "request_id"),
        ({"title": ""}, "title"),
        ({"title": "a\nb"}, "title"),
        ({"title": "x" * 201}, "title"),
        ({"kind": "Lost"}, "kind"),
        ({"owner_id": "x" * 257}, "owner_id"),
        ({"facts": {"narrative": "x" * 4001}}, "facts.narrative"),
        ({"facts": {"identifiers": [{"kind": "k", "value": ""}]}}, "facts.identifiers[0].value"),
        ({"facts": {"amounts": [{"name": "a", "amount": {"currency_code": "usd"}}]}}, "facts.amounts[0].amount"),
        (
            {"facts": {"amounts": [{"name": "a", "amount": {"currency_code": "USD", "units": 1, "nanos": -1}}]}},
            "facts.amounts[0].amount",
        ),
        ({"facts": {"amounts": [{"name": "a"}]}}, "facts.amounts[0].amount"),
        ({"facts": {"dates": [{"name": "a", "date": {"year": 2023, "month": 2, "day": 29}}]}}, "facts.dates[0].date"),
        ({"facts": {"parties": [{"role": "seller"}] * 51}}, "facts.parties"),
    ],
)
async def test_a_wrong_field_is_named(ann, refused, fields, named) -> None:
    with refused("INVALID_ARGUMENT", "INVALID_FIELD") as seen:
        await ann.claims.CreateClaim(create(**fields))
    assert named in seen[0].fields


async def test_a_repeated_request_opens_one_claim(ann) -> None:
    request = create()
    answers = await asyncio.gather(*(ann.claims.CreateClaim(request) for _ in range(4)))
    assert len({answer.claim.claim_id for answer in answers}) == 1
    listed = (await ann.claims.ListClaims(contract.ListClaimsRequest())).claims
    assert len(listed) == 1


async def test_another_claim_under_the_same_request_id_is_refused(ann, refused) -> None:
    request = create()
    await ann.claims.CreateClaim(request)
    request.title = "Another"
    with refused("FAILED_PRECONDITION", "REQUEST_ID_REUSED"):
        await ann.claims.CreateClaim(request)


async def test_an_unknown_claim_is_not_found(ann, refused) -> None:
    with refused("NOT_FOUND", "CLAIM_NOT_FOUND"):
        await ann.claims.GetClaim(contract.GetClaimRequest(claim_id=str(uuid4())))


async def test_another_tenants_claim_is_not_found(ann, stranger, refused) -> None:
    claim = await ann.open_claim()
    with refused("NOT_FOUND", "CLAIM_NOT_FOUND"):
        await stranger.claims.GetClaim(contract.GetClaimRequest(claim_id=claim.claim_id))
    assert not (await stranger.claims.ListClaims(contract.ListClaimsRequest())).claims


async def test_another_claimants_claim_is_refused(ann, ben, refused) -> None:
    claim = await ann.open_claim()
    with refused("PERMISSION_DENIED", "NOT_OWNER"):
        await ben.claims.GetClaim(contract.GetClaimRequest(claim_id=claim.claim_id))
    with refused("PERMISSION_DENIED", "NOT_OWNER"):
        await ben.claims.ListClaims(contract.ListClaimsRequest(owner_id="ann"))


async def test_claimants_list_their_own_and_reviewers_everybodys(ann, ben, rita, audrey) -> None:
    of_ann = await ann.open_claim()
    of_ben = await ben.open_claim()

    async def listed(client, **filters) -> list[str]:
        found = await client.claims.ListClaims(contract.ListClaimsRequest(**filters))
        return [claim.claim_id for claim in found.claims]

    assert await listed(ann) == [of_ann.claim_id]
    assert await listed(rita) == await listed(audrey) == [of_ben.claim_id, of_ann.claim_id]
    assert await listed(rita, owner_id="ann") == [of_ann.claim_id]


async def test_filters_hold_together(rita) -> None:
    draft = await rita.open_claim(kind="other", facts=None)
    await rita.open_claim(kind="other")
    await rita.open_claim(facts=None)
    request = contract.ListClaimsRequest(kind="other", state=claims_pb2.CLAIM_STATE_DRAFT)
    assert [claim.claim_id for claim in (await rita.claims.ListClaims(request)).claims] == [draft.claim_id]


async def test_pages_hold_every_claim_once_newest_first(ann) -> None:
    opened = [(await ann.open_claim()).claim_id for _ in range(5)]
    seen: list[str] = []
    request = contract.ListClaimsRequest(page_size=2)
    while True:
        page = await ann.claims.ListClaims(request)
        assert len(page.claims) <= 2
        seen += [claim.claim_id for claim in page.claims]
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
    assert seen == opened[::-1]


async def test_a_page_token_of_another_list_is_refused(ann, refused) -> None:
    for _ in range(2):
        await ann.open_claim()
    token = (await ann.claims.ListClaims(contract.ListClaimsRequest(page_size=1))).next_page_token
    for request in (
        contract.ListClaimsRequest(page_token=token, kind="other"),
        contract.ListClaimsRequest(page_token="nonsense"),
    ):
        with refused("INVALID_ARGUMENT", "PAGE_TOKEN_INVALID"):
            await ann.claims.ListClaims(request)


async def test_two_replicas_answer_for_one_database(replica, connect) -> None:
    async with (
        replica() as one,
        replica() as two,
        connect(one, "ann", "claimant") as ann,
        connect(two, "ann", "claimant") as again,
    ):
        request = create()
        answers = await asyncio.gather(ann.claims.CreateClaim(request), again.claims.CreateClaim(request))
        assert len({answer.claim.claim_id for answer in answers}) == 1
