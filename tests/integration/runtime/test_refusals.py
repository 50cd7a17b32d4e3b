"""Refusals of known callers reach the audit log, and cannot flood it."""

import asyncio
import json
from datetime import timedelta

import grpc.aio
import nats as nats_client
import pytest
from proofloop_echo.contract import EchoStub, SayRequest
from proofloop_echo.refusal import refused
from proofloop_echo.service import REASONS
from proofloop_runtime.application import Ports
from proofloop_runtime.breaker import Breakers
from proofloop_runtime.database import Database
from proofloop_runtime.errors import ErrorCatalog
from proofloop_runtime.messaging import EVENT_STREAM
from proofloop_runtime.refusals import Refusals
from proofloop_runtime.testing import FakeClock


async def test_a_flood_of_refusals_of_one_minute_becomes_one_event_with_their_count(
    serve, echo_database, nats, token_for, eventually
) -> None:
    clock = FakeClock()
    async with serve(ports=Ports(clock=clock), consumers=[]) as (service, _):
        token = token_for("user-1", "claimant")
        async with service.channel("cli", None, token) as channel:
            stub = EchoStub(channel)
            refusals = await asyncio.gather(*(refused(stub.Operate(SayRequest())) for _ in range(30)))
            assert {refusal.reason for refusal in refusals} == {"ERROR_REASON_ROLE_MISSING"}
            await refused(stub.Say(SayRequest(command="deny")))
        async with service.channel("cli", None, "no token") as channel:
            with pytest.raises(grpc.aio.AioRpcError):
                await EchoStub(channel).Operate(SayRequest())
        clock.advance(timedelta(minutes=2))
        database = Database(echo_database.application_url, "echo", clock, Breakers(clock))
        catalog = ErrorCatalog("echo.proofloop", REASONS)
        await asyncio.gather(*(Refusals(database, ("acme",), catalog, clock).publish("acme") for _ in range(3)))
        await database.close()
        client = await nats_client.connect(nats.url)
        try:
            stream = client.jetstream()

            async def both() -> bool:
                return (await stream.stream_info(EVENT_STREAM)).state.messages == 2

            await eventually(both)
            events = [await stream.get_msg(EVENT_STREAM, seq=number) for number in (1, 2)]
        finally:
            await client.close()
    told = {json.loads(event.data)["reason"]: event for event in events}
    assert json.loads(told["ERROR_REASON_ROLE_MISSING"].data)["count"] == "30"
    assert json.loads(told["ERROR_REASON_NOT_OWNER"].data)["count"] == "1"
    headers = told["ERROR_REASON_ROLE_MISSING"].headers
    assert (headers["ce-actorid"], headers["ce-outcome"]) == ("user-1", "denied")
    assert headers["ce-action"] == "caller.refused"
