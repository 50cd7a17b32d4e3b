"""ClaimService: the edge between the contract and claims."""

from proofloop.packets.v1 import claims_service_pb2 as contract
from proofloop.packets.v1.claims_service_pb2_grpc import ClaimServiceServicer
from proofloop_runtime import paging
from proofloop_runtime.database import Database, UnitOfWork
from proofloop_runtime.grpc_types import ServicerContext
from proofloop_runtime.ports import Ids

from proofloop_packets.claims import conversion, handlers


class ClaimServicer(ClaimServiceServicer):
    """Serves claims."""

    def __init__(self, database: Database, ids: Ids) -> None:
        self._database = database
        self._ids = ids

    async def CreateClaim(
        self, request: contract.CreateClaimRequest, context: ServicerContext
    ) -> contract.CreateClaimResponse:
        """See the contract."""

        async def effect(unit: UnitOfWork) -> contract.CreateClaimResponse:
            claim = await handlers.create_claim(
                unit,
                self._ids,
                title=request.title,
                kind=request.kind,
                owner_id=request.owner_id,
                facts=conversion.to_facts(request.facts),
            )
            return contract.CreateClaimResponse(claim=conversion.from_claim(claim))

        return await self._database.once(request, contract.CreateClaimResponse, effect)

    async def GetClaim(self, request: contract.GetClaimRequest, context: ServicerContext) -> contract.GetClaimResponse:
        """See the contract."""
        async with self._database.transaction() as unit:
            claim = await handlers.get_claim(unit, claim_id=request.claim_id)
        return contract.GetClaimResponse(claim=conversion.from_claim(claim))

    async def ListClaims(
        self, request: contract.ListClaimsRequest, context: ServicerContext
    ) -> contract.ListClaimsResponse:
        """See the contract."""
        position = paging.decode(request)
        limit = paging.size(request)
        async with self._database.transaction() as unit:
            claims = await handlers.list_claims(
                unit,
                owner_id=request.owner_id or None,
                state=conversion.to_state(request.state),
                kind=request.kind or None,
                before=None if position is None else paging.identifier(position),
                limit=limit + 1,
            )
        response = contract.ListClaimsResponse(claims=map(conversion.from_claim, claims[:limit]))
        if len(claims) > limit:
            response.next_page_token = paging.encode(request, [claims[limit - 1].claim_id])
        return response
