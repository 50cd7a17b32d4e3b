import json
import subprocess
import sys
from importlib.metadata import EntryPoint

import pytest
import typer
from proofloop_verifier import cli
from typer.testing import CliRunner


@pytest.fixture
def run(monkeypatch):
    """Run the command line as a shell would, with these plugins installed; gives exit code and output."""

    def invoke(*arguments, plugins=()):
        entries = [EntryPoint(name, value, cli.COMMANDS) for name, value in plugins]
        monkeypatch.setattr(cli, "entry_points", lambda group: {cli.COMMANDS: entries}[group])
        return CliRunner().invoke(cli.application(arguments), arguments)

    return invoke


def plain(result):
    return " ".join(result.output.split())


def say_hello():
    typer.echo("hello")


def bye():
    typer.echo("bye")


group = typer.Typer()
group.command("hello")(say_hello)


def test_needs_neither_the_extra_nor_any_server_code():
    loaded = "import sys, proofloop_verifier.cli; print(*{'pyhanko', 'grpc', 'proofloop'} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", loaded], check=True, capture_output=True)  # noqa: S603 -- no outside input
    assert run.stdout == b"\n"


class TestVerify:
    def test_of_a_sound_packet_with_its_key_exits_0(self, run, packet, written):
        result = run("verify", str(written(packet)), "--trust", str(packet.log_key))
        assert result.exit_code == 0
        assert f"verified: packet {packet.top}, 6 audit entries proven, 3 evidence files" in plain(result)

    def test_reads_a_key_from_a_file(self, run, packet, written, tmp_path):
        (tmp_path / "log.vkey").write_text(f"{packet.log_key}\n")
        assert run("verify", str(written(packet)), "--trust", str(tmp_path / "log.vkey")).exit_code == 0

    def test_of_an_altered_packet_exits_1_and_says_what_is_wrong_first(self, run, packet, written):
        packet.files["data/evidence/empty.txt"] = b"no longer"
        result = run("verify", str(written(packet)), "--trust", str(packet.log_key))
        assert result.exit_code == 1
        assert "failed: The evidence file 'data/evidence/empty.txt' is not the one" in plain(result)

    def test_of_a_file_that_is_no_packet_exits_1(self, run, tmp_path):
        (tmp_path / "packet.zip").write_bytes(b"no packet")
        assert run("verify", str(tmp_path / "packet.zip")).exit_code == 1

    def test_without_a_trusted_key_exits_3_and_names_the_unknown_one(self, run, packet, written):
        result = run("verify", str(written(packet)))
        assert result.exit_code == 3
        assert f"consistent, signed by unknown key {packet.log_key.fingerprint}" in plain(result)

    @pytest.mark.parametrize("key", ["neither key nor file", "\0", "a" * 5000])
    def test_with_a_malformed_key_exits_2(self, run, packet, written, key):
        assert run("verify", str(written(packet)), "--trust", key).exit_code == 2

    def test_with_a_file_that_holds_no_key_exits_2(self, run, packet, written):
        path = str(written(packet))
        assert run("verify", path, "--trust", path).exit_code == 2

    def test_of_no_file_exits_2(self, run, tmp_path):
        assert run("verify", str(tmp_path / "none.zip")).exit_code == 2

    def test_prints_the_report_as_json(self, run, packet, written):
        result = run("verify", str(written(packet)), "--json")
        assert json.loads(result.stdout)["verdict"] == "consistent_unknown_key"
        assert result.exit_code == 3

    def test_prints_names_that_look_like_markup_as_they_are(self, run, packet, written):
        packet.files["data/[bold]a[/].txt"] = b""
        assert "The file 'data/[bold]a[/].txt' is not part of a packet." in plain(run("verify", str(written(packet))))

    def test_tells_its_exit_codes(self, run):
        assert "0 verified; 1 something is wrong or could not be checked; 2 wrong usage; 3 consistent" in plain(
            run("verify", "--help")
        )


class TestPlugins:
    def test_that_are_functions_become_commands(self, run, module):
        result = run("greet", plugins=[("greet", f"{module}:say_hello"), ("other", "no_such_module:app")])
        assert (result.exit_code, result.output) == (0, "hello\n")

    def test_that_are_typer_apps_become_groups(self, run, module):
        result = run("team", "hello", plugins=[("team", f"{module}:group")])
        assert (result.exit_code, result.output) == (0, "hello\n")

    def test_with_a_dot_become_subcommands_beside_those_that_are_there(self, run, module):
        plugins = [("audit.hello", f"{module}:say_hello"), ("team", f"{module}:group"), ("team.bye", f"{module}:bye")]
        assert run("audit", "hello", plugins=plugins).output == "hello\n"
        assert run("team", "hello", plugins=plugins).output == "hello\n"
        assert run("team", "bye", plugins=plugins).output == "bye\n"
        assert {"hello", "verify", "watch", "proof"} <= set(run("audit", "--help", plugins=plugins).output.split())

    def test_with_a_dot_make_the_group_that_nobody_else_has(self, run, module):
        plugins = [("crew.bye", f"{module}:bye"), ("crew.hello", f"{module}:say_hello")]
        assert run("crew", "bye", plugins=plugins).output == "bye\n"

    def test_with_a_dot_that_do_not_load_say_so_and_break_nothing_else(self, run, module):
        plugins = [("audit.broken", "no_such_module:app"), ("audit.hello", f"{module}:say_hello")]
        listed = run("audit", "--help", plugins=plugins)
        assert (listed.exit_code, "no_such_module:app does not load" in plain(listed)) == (0, True)
        assert run("audit", "hello", plugins=plugins).exit_code == 0
        assert run("audit", "verify", "--help", plugins=plugins).exit_code == 0
        broken = run("audit", "broken", plugins=plugins)
        assert (broken.exit_code, "does not load" in broken.output) == (1, True)

    def test_that_do_not_load_say_so_and_break_nothing_else(self, run, module, packet, written):
        plugins = [("broken", "no_such_module:app"), ("greet", f"{module}:say_hello")]
        listed = run("--help", plugins=plugins)
        assert listed.exit_code == 0
        assert "no_such_module:app does not load" in plain(listed)
        assert "greet" in plain(listed)
        assert run("greet", plugins=plugins).exit_code == 0
        assert run("broken", plugins=plugins).exit_code == 1
        assert run("verify", str(written(packet)), plugins=plugins).exit_code == 3

    def test_are_not_even_loaded_for_verify(self, run, packet, written, monkeypatch):
        def load(self):
            raise AssertionError("loaded")

        monkeypatch.setattr(EntryPoint, "load", load)
        assert "loaded" in plain(run("--help", plugins=[("other", "a:b")]))
        assert "loaded" not in plain(run("audit", "proof", "--help", plugins=[("audit.other", "a:b")]))
        assert "loaded" not in plain(run("verify", str(written(packet)), plugins=[("other", "a:b")]))


@pytest.fixture
def module(monkeypatch):
    """An importable name for this file's plugins."""
    monkeypatch.setitem(sys.modules, "plugins_of_a_test", sys.modules[__name__])
    return "plugins_of_a_test"
