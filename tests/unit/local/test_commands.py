"""The commands speak to people in words and to programs in JSON and exit codes."""

import json
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from proofloop_local.env import env
from proofloop_local.errors import ServerError
from proofloop_local.guide import guide
from proofloop_local.keys import make_keys
from proofloop_local.span_store import SpanStore
from proofloop_local.spans import Kind, Span
from proofloop_local.state import ObjectStore, StackState, find_stack, sole_stack
from proofloop_local.token import token
from proofloop_local.trace import FOUND_NOTHING, trace
from rich.console import Console
from typer.testing import CliRunner, Result

TRACE = "ab" * 16


def run(command: Callable[..., None], *arguments: str | Path) -> Result:
    app = typer.Typer()
    app.command()(command)
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def state(data: Path) -> StackState:
    return StackState(
        pid=1,
        data=data,
        edge="http://127.0.0.1:20000",
        services={"audit": "127.0.0.1:20001"},
        tenants=("acme",),
        databases={"audit": "postgresql://x"},
        nats="nats://x",
        objects=ObjectStore("http://127.0.0.1:20002", "us-east-1", "key", "secret"),
        otlp="http://127.0.0.1:20003",
    )


def record(data: Path, service: str, kind: Kind, name: str, trace_id: str = TRACE) -> None:
    span = Span(trace_id, "1" * 16, "", name, kind, service, 0, 1_000_000, False, "", {}, ())
    SpanStore(data / "traces").append([span])


def test_token_prints_a_token_and_nothing_else(tmp_path: Path) -> None:
    make_keys(tmp_path / "keys")
    result = run(token, "--user", "reviewer@example.com", "--tenant", "acme", "--role", "auditor", "--data", tmp_path)
    assert result.exit_code == 0
    assert result.stdout.count(".") == 2
    assert result.stdout.endswith("\n")


def test_token_without_keys_says_what_to_do(tmp_path: Path) -> None:
    result = run(token, "--user", "reviewer@example.com", "--tenant", "acme", "--role", "auditor", "--data", tmp_path)
    assert result.exit_code == 1
    assert "proofloop up" in result.stderr


def test_trace_finds_a_trace_by_the_beginning_of_its_id(tmp_path: Path) -> None:
    record(tmp_path, "audit", Kind.SERVER, "proofloop.audit.v1.LogService/GetEntry")
    result = run(trace, "abab", "--data", tmp_path)
    assert result.exit_code == 0
    assert TRACE in result.stdout
    assert "LogService/GetEntry" in result.stdout


def test_trace_gives_programs_json(tmp_path: Path) -> None:
    record(tmp_path, "audit", Kind.SERVER, "GetEntry")
    result = run(trace, TRACE, "--json", "--data", tmp_path)
    assert json.loads(result.stdout)["trace_id"] == TRACE


def test_an_unknown_trace_has_an_exit_code_of_its_own(tmp_path: Path) -> None:
    assert run(trace, TRACE, "--data", tmp_path).exit_code == FOUND_NOTHING


def test_the_recent_traces_leave_out_what_services_do_for_themselves(tmp_path: Path) -> None:
    record(tmp_path, "audit", Kind.CLIENT, "SELECT", "1" * 32)
    record(tmp_path, "audit", Kind.SERVER, "grpc.health.v1.Health/Check", "2" * 32)
    record(tmp_path, "audit", Kind.SERVER, "proofloop.audit.v1.LogService/GetEntry", "3" * 32)
    shown = run(trace, "--data", tmp_path).stdout
    assert "3" * 32 in shown
    assert "1" * 32 not in shown
    assert "2" * 32 not in shown


def test_a_stack_is_found_while_it_holds_the_folder_and_not_after(tmp_path: Path) -> None:
    assert find_stack(tmp_path / "nowhere") is None
    with sole_stack(tmp_path):
        assert find_stack(tmp_path) is None  # not up yet
        state(tmp_path).write()
        assert find_stack(tmp_path) == state(tmp_path)
    assert find_stack(tmp_path) is None


def test_a_state_left_by_a_killed_stack_is_not_believed(tmp_path: Path) -> None:
    (tmp_path / "lock").touch()
    state(tmp_path).write()
    assert find_stack(tmp_path) is None


def test_a_second_stack_is_told_who_holds_the_folder(tmp_path: Path) -> None:
    with sole_stack(tmp_path), pytest.raises(ServerError, match=r"already \(process \d+\)"), sole_stack(tmp_path):
        pass


def test_the_folder_and_the_state_are_closed_to_others(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with sole_stack(data):
        state(data).write()
        assert data.stat().st_mode & 0o077 == 0
        assert (data / "stack.json").stat().st_mode & 0o077 == 0


def test_the_guides_commands_name_files_and_addresses_from_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    console = Console(width=60)
    with console.capture() as captured:
        console.print(guide(state(tmp_path / ".proofloop"), tmp_path / ".venv/bin/proofloop"), soft_wrap=True)
    commands = [shlex.split(line) for line in captured.get().splitlines() if line.startswith("  ")]
    assert commands[0][0].startswith("TOKEN=$(.venv/bin/proofloop")
    assert commands[1][-1] == "http://127.0.0.1:20000/api/v1/audit/checkpoint"
    assert commands[3][0] == ".venv/bin/buf"
    assert ".proofloop/authority/cli/tls.crt" in commands[3]
    assert commands[3][-1] == "https://127.0.0.1:20001/proofloop.audit.v1.LogService/GetCheckpoint"


def test_env_says_where_a_running_stack_is_in_words_that_a_shell_takes(tmp_path: Path) -> None:
    data = tmp_path / "its data"
    with sole_stack(data):
        state(data).write()
        result = run(env, "--data", data)
    assert result.exit_code == 0
    told = dict(word.split("=", 1) for word in shlex.split(result.stdout) if word != "export")
    assert told["EDGE"] == "http://127.0.0.1:20000"
    assert told["AUDIT"] == "127.0.0.1:20001"
    assert told["CACERT"] == str(data / "authority" / "ca.crt")


def test_env_without_a_stack_says_what_to_do(tmp_path: Path) -> None:
    result = run(env, "--data", tmp_path)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "proofloop up" in result.stderr
