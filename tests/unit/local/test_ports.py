"""Ports are remembered, and never held by two at once."""

import asyncio
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from proofloop_local.errors import ServerError
from proofloop_local.servers import ports
from proofloop_local.servers.ports import Ports

NAMES = ("a", "b")


@pytest.fixture
def held() -> Iterator[Callable[[Path], Ports]]:
    with ExitStack() as stack:

        def hold(file: Path) -> Ports:
            ports = Ports(file, NAMES)
            ports.hold()
            stack.callback(ports.release)
            return ports

        yield hold


def numbers(held: Ports) -> list[int]:
    return [held[name] for name in NAMES]


async def test_they_are_different_and_free(held, tmp_path: Path) -> None:
    ports = numbers(held(tmp_path / "ports.json"))
    assert len(set(ports)) == len(NAMES)
    for port in ports:
        server = await asyncio.start_server(lambda *_: None, "127.0.0.1", port)
        server.close()


def test_they_are_remembered_after_a_release(held, tmp_path: Path) -> None:
    first = held(tmp_path / "ports.json")
    first.release()
    assert numbers(held(tmp_path / "ports.json")) == numbers(first)


def test_they_stay_while_they_are_held(held, tmp_path: Path) -> None:
    first = held(tmp_path / "ports.json")
    before = numbers(first)
    with socket.socket() as server:
        server.bind(("127.0.0.1", first["a"]))
        first.hold()
    assert numbers(first) == before


def test_a_port_that_another_program_took_meanwhile_is_replaced(held, tmp_path: Path) -> None:
    first = held(tmp_path / "ports.json")
    first.release()
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", first["a"]))
        assert first["a"] not in numbers(held(tmp_path / "ports.json"))


def test_what_one_stack_holds_no_other_gets(held, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also before anything listens there."""
    first = held(tmp_path / "ports.json")
    assert not set(numbers(first)) & set(numbers(held(tmp_path / "ports.json")))
    monkeypatch.setattr(ports, "CANDIDATES", range(first["a"], first["a"] + 1))
    monkeypatch.setattr(ports, "ATTEMPTS", 1)
    with pytest.raises(ServerError, match="No free TCP port"):
        held(tmp_path / "others.json")
