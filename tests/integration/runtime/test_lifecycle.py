"""A service as a process: it starts when it can, drains when told, and says how it is."""

import asyncio
import json
import os
import signal
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from proofloop_echo.contract import EchoStub, SayRequest
from proofloop_echo.service import SECRET
from proofloop_runtime.breaker import OPEN
from proofloop_runtime.health import Health
from proofloop_runtime.identity import TENANT
from proofloop_runtime.migrate import is_recent_enough
from proofloop_runtime.testing import Refusal

ACME = ((TENANT, "acme"),)
SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING


class Process:
    """The echo service as one of its own."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: list[dict] = []

    async def said(self, message: str) -> dict:
        """Read the log up to a line; the test fails at its end."""
        while line := await self.process.stdout.readline():
            self.lines.append(json.loads(line))
            if self.lines[-1]["message"] == message:
                return self.lines[-1]
        pytest.fail(f"the service ended before it said {message!r}: {self.lines}")

    async def ended(self) -> tuple[int, str]:
        """Wait for the end; return the exit status and what was said on standard error."""
        out, errors = await self.process.communicate()
        self.lines += [json.loads(line) for line in out.splitlines()]
        return self.process.returncode, errors.decode()


@pytest.fixture
def launch(echo_settings):
    @asynccontextmanager
    async def start(*arguments: str, **changed: str):
        values = echo_settings.model_dump()
        values |= {name: values[name].get_secret_value() for name in ("database_url", "nats_url")}
        environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ} | {
            f"ECHO_{name.upper()}": str(values[name])
            for name in ("database_url", "nats_url", "tls_certificate", "tls_key", "tls_authority", "token_keys")
        }
        environment |= {
            "ECHO_TOKEN_ISSUER": values["token_issuer"],
            "ECHO_TENANTS": '["acme"]',
            "PYTHONPATH": str(Path(__file__).parent),
            **changed,
        }
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "proofloop_echo",
            *arguments,
            env=environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            yield Process(process)
        finally:
            if process.returncode is None:
                process.kill()
                await process.communicate()

    return start


async def test_at_sigterm_calls_finish_streams_are_told_and_the_process_exits_with_zero(launch, certificates) -> None:
    async with launch() as service:
        address = (await service.said("serving"))["address"]
        credentials = certificates("packets").read().channel_credentials()
        async with grpc.aio.secure_channel(address, credentials) as channel:
            stub = EchoStub(channel)
            stream = stub.Repeat(SayRequest(count=1, command="watch"), metadata=ACME)
            await stream.read()
            call = stub.Say(SayRequest(command="nap", text="done"), metadata=ACME)
            await service.said("napping")
            service.process.send_signal(signal.SIGTERM)
            with pytest.raises(grpc.aio.AioRpcError) as told:
                await stream.read()
            refusal = Refusal.of(told.value)
            assert (refusal.status, refusal.reason) == (grpc.StatusCode.UNAVAILABLE, "ERROR_REASON_DRAINING")
            assert refusal.retry_after
            assert (await call).text == "done"
        assert await service.ended() == (0, "")


async def test_a_worker_that_fails_ends_the_process_with_one_and_shows_no_values(launch) -> None:
    async with launch("failing") as service:
        status, errors = await service.ended()
    assert (status, errors) == (1, "")
    [failed] = [line for line in service.lines if line["message"] == "the service failed"]
    assert failed["error_type"] == "RuntimeError"
    assert any("fail" in frame for frame in failed["stack"])
    assert SECRET not in json.dumps(service.lines)


async def test_it_waits_for_nats_and_can_be_stopped_meanwhile(launch, nats) -> None:
    await nats.stop()
    async with launch() as service:
        await service.said("broker connection failed")
        service.process.send_signal(signal.SIGTERM)
        status, errors = await service.ended()
    assert (status, errors) == (0, "")


async def test_it_starts_when_nats_comes(launch, nats) -> None:
    await nats.stop()
    async with launch() as service:
        await service.said("broker connection failed")
        await nats.start()
        await service.said("serving")


async def test_wrong_settings_stop_the_start_with_their_names_and_without_their_values(launch) -> None:
    url = f"postgresql://app:{SECRET}@db.example.org/echo"
    async with launch(ECHO_DATABASE_URL=url, ECHO_TENANTS='["Not A Tenant"]') as service:
        status, errors = await service.ended()
    assert status == 1
    assert "tenants" in errors
    assert "Traceback" not in errors
    assert SECRET not in errors


async def health_of(service, name: str) -> int:
    async with grpc.aio.insecure_channel(service.running.health_address) as channel:
        request = health_pb2.HealthCheckRequest(service=name)
        return (await health_pb2_grpc.HealthStub(channel).Check(request)).status


async def test_readiness_follows_every_dependency_and_liveness_does_not(serve, nats, eventually) -> None:
    async with serve() as (service, _):
        assert [await health_of(service, name) for name in ("", "readiness", "nats", "postgresql")] == [SERVING] * 4
        await nats.kill()

        async def nats_is_missed() -> bool:
            return await health_of(service, "nats") == NOT_SERVING

        await eventually(nats_is_missed)
        assert await health_of(service, "readiness") == NOT_SERVING
        assert [await health_of(service, name) for name in ("", "postgresql")] == [SERVING] * 2
        await nats.start()

        async def ready() -> bool:
            return await health_of(service, "readiness") == SERVING

        await eventually(ready)


async def test_the_plain_port_serves_health_and_nothing_else(serve) -> None:
    async with serve() as (service, _), grpc.aio.insecure_channel(service.running.health_address) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await EchoStub(channel).Say(SayRequest(), metadata=ACME)
    assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_a_draining_replica_is_not_ready_and_stays_so() -> None:
    async def there() -> bool:
        return True

    health = Health({"postgresql": there})
    assert await health.probe()
    await health.drain()
    assert not await health.probe()


async def test_a_probe_that_fails_or_hangs_says_no() -> None:
    async def fail() -> bool:
        raise ConnectionRefusedError

    async def hang() -> bool:
        raise TimeoutError

    assert not await Health({"objects": fail}).probe()
    assert not await Health({"objects": hang}).probe()


async def test_an_open_breaker_shows_in_health_and_leaves_readiness_alone(serve) -> None:
    async def there() -> bool:
        return True

    health = Health({"postgresql": there}, lambda: {"postgresql": OPEN, "audit": OPEN})
    assert await health.probe()
    async with serve() as (service, _):
        assert await health_of(service, "readiness") == SERVING
    known = health.servicer._server_status
    assert (known["postgresql"], known["audit"]) == (SERVING, NOT_SERVING)


def test_a_schema_is_recent_enough_when_it_is_the_codes_or_later() -> None:
    assert is_recent_enough("proofloop_echo", "0001")
    assert is_recent_enough("proofloop_echo", "0002_of_the_next_release")
    assert not is_recent_enough("proofloop_echo", None)
