"""The service checks its own logs: a damage is told once, and seen in health until it is mended."""

import json
from contextlib import asynccontextmanager
from datetime import timedelta

import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from proofloop.audit.v1 import log_pb2
from proofloop.audit.v1 import log_service_pb2 as contract
from proofloop.audit.v1.log_service_pb2_grpc import LogServiceStub
from proofloop_runtime.testing import Service


async def health_of(service: Service, name: str) -> bool:
    async with grpc.aio.insecure_channel(service.running.health_address) as channel:
        answer = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service=name))
    return answer.status == health_pb2.HealthCheckResponse.SERVING


@pytest.fixture
def checking(replica, eventually):
    """Starts a replica that checks itself all the time, and waits for what it says of itself."""

    @asynccontextmanager
    async def start():
        async with replica(
            self_check_every=timedelta(milliseconds=50), self_check_pause=timedelta(milliseconds=50)
        ) as service:

            async def becomes(*, healthy: bool) -> None:
                async def so() -> bool:
                    states = [await health_of(service, name) for name in ("integrity", "readiness")]
                    return states == [healthy, healthy]

                await eventually(so)

            yield service, becomes

    return start


@pytest.fixture
def alarms(eventually):
    """Waits until a tenant's log says of so many damages, and returns what it says, sorted."""

    async def wait(service: Service, tenant: str, count: int) -> list[dict[str, str]]:
        async with service.channel(tenant=tenant) as channel:

            async def told() -> list[log_pb2.Entry]:
                page = await LogServiceStub(channel).ListEntries(contract.ListEntriesRequest(action="log.damaged"))
                return page.entries if len(page.entries) >= count else []

            entries = await eventually(told)
        assert {(entry.entity_type, entry.entity_id, entry.outcome) for entry in entries} == {
            ("log", tenant, log_pb2.OUTCOME_FAILURE)
        }
        return sorted((json.loads(entry.details_json) for entry in entries), key=str)

    return wait


async def test_the_service_finds_a_damage_by_itself_and_says_so_once_until_it_is_mended(
    checking, superuser, new_request, alarms
) -> None:
    changed = "UPDATE log_entry SET action = $1 WHERE tenant = 'acme' AND index = 299"
    stored = "INSERT INTO log_subtree VALUES ($1, 3, 0, '')"
    action = {
        "check": "search",
        "subject": "entry 299, action",
        "sentence": "The column action of entry 299 says prompt.asked, and the entry prompt.answered.",
    }
    hash_of_none = {
        "check": "tree",
        "subject": "subtree 3/0",
        "sentence": "A hash is stored at level 3, position 0, where the log has none.",
    }
    async with checking() as (service, becomes), service.channel() as channel:
        entries = [new_request() for _ in range(300)]
        await LogServiceStub(channel).AppendEntries(contract.AppendEntriesRequest(entries=entries))
        await becomes(healthy=True)
        await superuser.execute(changed, "prompt.asked")
        await becomes(healthy=False)
        assert await alarms(service, "acme", 1) == [action]
        # The other log is checked as before.
        await superuser.execute(stored, "globex")
        assert await alarms(service, "globex", 1) == [hash_of_none]
    async with checking() as (service, becomes):
        await becomes(healthy=False)
        await superuser.execute(stored, "acme")
        # What was told before is not told again.
        assert await alarms(service, "acme", 2) == [action, hash_of_none]
        await superuser.execute(changed, "prompt.answered")
        await superuser.execute("DELETE FROM log_subtree WHERE level = 3")
        await becomes(healthy=True)


async def test_the_service_stores_what_replicas_of_an_earlier_release_left_out_and_tells_nobody(
    checking, superuser, new_request, eventually
) -> None:
    rows = "SELECT * FROM log_subtree ORDER BY tenant, level, position"
    async with checking() as (service, _), service.channel() as channel:
        stub = LogServiceStub(channel)
        entries = [new_request() for _ in range(600)]
        await stub.AppendEntries(contract.AppendEntriesRequest(entries=entries))
        stored = await superuser.fetch(rows)
        # Of a complete page and of the last one.
        await superuser.execute("DELETE FROM log_subtree WHERE level = 4 AND position IN (3, 4, 36)")

        async def complete() -> bool:
            return await superuser.fetch(rows) == stored

        await eventually(complete)
        # What is stored and wrong, or missing from a page with another damage, is a damage.
        await superuser.execute("UPDATE log_entry SET action = 'a.b' WHERE index = 300")
        await superuser.execute("DELETE FROM log_subtree WHERE level = 4 AND position = 17")
        await superuser.execute("UPDATE log_subtree SET root = '\\x00' WHERE level = 4 AND position = 3")

        async def told() -> set[str]:
            page = await stub.ListEntries(contract.ListEntriesRequest(action="log.damaged"))
            subjects = {json.loads(entry.details_json)["subject"] for entry in page.entries}
            return subjects if len(subjects) > 2 else set()

        assert await eventually(told) == {"entry 300, action", "subtree 4/3", "subtree 4/17"}
