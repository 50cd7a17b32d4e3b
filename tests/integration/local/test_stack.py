"""The whole stack comes up, answers, keeps what it acknowledged, and leaves nothing behind."""

import asyncio
import signal
import sys
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc.aio
import httpx
import pytest
import pytest_asyncio
from google.protobuf.timestamp_pb2 import Timestamp
from proofloop.audit.v1 import log_pb2, log_service_pb2, log_service_pb2_grpc
from proofloop_local.authority import Authority, Credentials
from proofloop_local.errors import ServerError
from proofloop_local.process import ended, is_running
from proofloop_local.stack import Stack
from proofloop_local.state import StackState, find_stack
from proofloop_local.token import make_token

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("local")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    async with Stack(tmp_path_factory.mktemp("stack")) as running:
        yield running


@asynccontextmanager
async def audit(state: StackState, credentials: Credentials) -> AsyncIterator[Any]:
    files = (credentials.authority, credentials.key, credentials.certificate)
    tls = grpc.ssl_channel_credentials(*(file.read_bytes() for file in files))
    async with grpc.aio.secure_channel(state.services["audit"], tls) as channel:
        yield log_service_pb2_grpc.LogServiceStub(channel)


async def append(state: StackState) -> str:
    """Append an entry as the packets service would; its id."""
    when = Timestamp()
    when.GetCurrentTime()
    draft = log_pb2.EntryDraft(
        event_time=when,
        actor=log_pb2.Actor(type=log_pb2.ACTOR_TYPE_SERVICE, id="packets"),
        action="claim.created",
        outcome=log_pb2.OUTCOME_SUCCESS,
        entity_type="claim",
        entity_id="1",
    )
    request = log_service_pb2.AppendEntryRequest(request_id=str(uuid.uuid4()), draft=draft)
    async with audit(state, Authority(state.data / "authority").credentials("packets")) as log:
        response = await log.AppendEntry(request, metadata=(("x-proofloop-tenant", "acme"),))
    return response.receipt.entry_id


def headers(state: StackState) -> dict[str, str]:
    token = make_token(state.keys, user="reviewer@example.com", tenant="acme", roles=["auditor"])
    return {"authorization": f"Bearer {token}"}


async def test_every_service_answers_over_rest_and_grpc(stack: Stack) -> None:
    entry = await append(stack.state)
    async with httpx.AsyncClient(base_url=stack.state.edge, headers=headers(stack.state)) as client:
        response = await client.get(f"/api/v1/audit/entries/{entry}")
    assert response.status_code == 200, response.text
    assert response.json()["entry"]["entryId"] == entry


async def test_a_person_needs_a_token_even_with_the_command_lines_certificate(stack: Stack) -> None:
    async with audit(stack.state, stack.state.client) as log:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await log.GetCheckpoint(log_service_pb2.GetCheckpointRequest())
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_a_second_stack_is_kept_out_of_the_folder_and_told_who_is_there(stack: Stack) -> None:
    second = Stack(stack.data)
    with pytest.raises(ServerError, match=r"A stack runs in .* already"):
        await second.start()
    assert find_stack(stack.data) == stack.state


async def test_what_was_acknowledged_survives_kill_9_of_every_part(stack: Stack) -> None:
    entry = await append(stack.state)
    for server in stack.servers:
        await server.kill()
    for together in ([stack.postgres, stack.nats, stack.objects], [*stack.services.values(), stack.edge]):
        await asyncio.gather(*(server.start() for server in together))
    async with httpx.AsyncClient(base_url=stack.state.edge, headers=headers(stack.state)) as client:
        assert (await client.get(f"/api/v1/audit/entries/{entry}")).status_code == 200


async def test_spans_of_a_call_are_kept(stack: Stack) -> None:
    trace_id = uuid.uuid4().hex
    parent = {"traceparent": f"00-{trace_id}-{'1' * 16}-01"}
    async with httpx.AsyncClient(base_url=stack.state.edge, headers=headers(stack.state) | parent) as client:
        assert (await client.get("/api/v1/audit/checkpoint")).status_code == 200
    await stack.services["audit"].restart()  # flushes its spans
    names = [span.name for span in stack.receiver.store.trace(trace_id)]
    assert "proofloop.audit.v1.LogService/GetCheckpoint" in names


@asynccontextmanager
async def command(data: Path) -> AsyncIterator[tuple[asyncio.subprocess.Process, list[int]]]:
    """`proofloop up` in a folder, once it is up, and the processes it started."""
    code = "import sys, typer; from proofloop_local.up import up; typer.run(up)"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, "--data", data, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        said = b""
        async with asyncio.timeout(120):
            while b"is up" not in (line := await process.stdout.readline()):
                said += line
                assert line, f"it ended before it was up: {said.decode()}"
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()  # noqa: ASYNC240 - not a disk
        yield process, [int(child) for child in children.split()]
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGKILL])
async def test_up_leaves_no_process_behind_however_it_ends(tmp_path: Path, end: signal.Signals) -> None:
    async with command(tmp_path) as (process, children):
        assert len(children) >= 5
        assert find_stack(tmp_path) is not None
        process.send_signal(end)
        await process.communicate()
        async with asyncio.timeout(30):
            for child in children:
                await ended(child)
        assert not any(is_running(child) for child in children)
        assert process.returncode == (-signal.SIGKILL if end is signal.SIGKILL else 0)
    assert find_stack(tmp_path) is None


async def test_a_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ServerError, match=r"file cannot be used \(File exists\)"):
        await Stack(tmp_path / "file").start()


def is_empty(folder: Path) -> bool:
    return not any(folder.iterdir())


async def test_a_name_that_is_no_tenants_is_refused_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(ServerError, match="'A B' is no name for a tenant"):
        await Stack(tmp_path / "new", tenants=["A B"]).start()
    assert is_empty(tmp_path)


async def test_a_start_that_is_given_up_leaves_nothing_running(tmp_path: Path) -> None:
    far_enough = asyncio.Event()
    stack = Stack(tmp_path, report=lambda step: far_enough.set() if step == "starting audit" else None)
    starting = asyncio.create_task(stack.start())
    await far_enough.wait()
    pids = [stack.postgres.pid, stack.nats.pid]
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert not any(is_running(pid) for pid in pids)
    assert find_stack(tmp_path) is None
