"""The commands `proofloop audit`."""

import json
import shutil
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
import typer
from log_copies import KEY, OTHER_KEY, leaves, note_of, write_copy
from proofloop_verifier import cli, log_cli
from proofloop_verifier.merkle import inclusion_proof, inclusion_subtrees, leaf_hash, root_of
from proofloop_verifier.note import Note
from proofloop_verifier.tlog_proof import TlogProof
from typer.testing import CliRunner

ENTRIES = [leaf.to_bytes() for leaf in leaves(300)]


@pytest.fixture
def run(monkeypatch):
    """Run `proofloop audit` as a shell would, with these plugins installed; gives exit code and output."""

    def invoke(*arguments, plugins=()):
        entries = [EntryPoint(name, value, cli.COMMANDS) for name, value in plugins]
        monkeypatch.setattr(cli, "entry_points", lambda group: {cli.COMMANDS: entries}[group])
        words = ["audit", *map(str, arguments)]
        result = CliRunner().invoke(cli.application(words), words)
        assert result.exception is None or isinstance(result.exception, SystemExit)
        return result

    return invoke


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return write_copy(tmp_path / "copy", ENTRIES)


def plain(result):
    return " ".join(result.output.split())


class TestVerify:
    def test_of_a_sound_copy_with_its_key_exits_0(self, run, copy):
        result = run("verify", copy, "--trust", KEY)
        assert result.exit_code == 0
        assert f"verified: the log proofloop.local/acme, 300 entries, signed by key {KEY.fingerprint}" in plain(result)

    def test_of_an_altered_copy_exits_1_and_says_what_is_wrong_first(self, run, copy):
        (copy / "tile/entries/000").unlink()
        result = run("verify", copy, "--trust", KEY)
        assert result.exit_code == 1
        assert "failed: The entries in tile/entries/000 cannot be read: it is missing." in plain(result)

    def test_without_a_trusted_key_exits_3_and_names_the_unknown_one(self, run, copy):
        result = run("verify", copy)
        assert result.exit_code == 3
        assert f"consistent, signed by unknown key proofloop.local/acme+{KEY.key_id.hex()}" in plain(result)

    @pytest.mark.parametrize("arguments", [("/no/such/folder",), (), (".", "--trust", "no key")])
    def test_used_wrongly_exits_2(self, run, arguments):
        assert run("verify", *arguments).exit_code == 2

    def test_prints_the_report_as_json(self, run, copy):
        report = json.loads(run("verify", copy, "--trust", KEY, "--json").stdout)
        assert report == {
            "verdict": "verified",
            "origin": "proofloop.local/acme",
            "size": 300,
            "root": root_of([leaf_hash(entry) for entry in ENTRIES]).hex(),
            "key_fingerprint": KEY.fingerprint,
            "key_trusted": True,
            "signatures": [f"proofloop.local/acme+{KEY.key_id.hex()}"],
            "entries_checked": 300,
            "findings": [],
        }
        (copy / "checkpoint").unlink()
        report = json.loads(run("verify", copy, "--json").stdout)
        assert (report["verdict"], report["findings"][0]["check"]) == ("failed", "checkpoint")


class TestWatch:
    def test_keeps_what_it_saw_and_exits_0_as_long_as_the_log_grows(self, run, copy, tmp_path):
        watch = ("watch", copy, "--trust", KEY, "--state", tmp_path / "state")
        for entries, sight in ((ENTRIES, "first"), (ENTRIES, "same"), ([*ENTRIES, b"one more"], "grew")):
            write_copy(copy, entries)
            result = run(*watch)
            assert (result.exit_code, result.output.partition(":")[0]) == (0, sight)
            assert (tmp_path / "state").read_bytes() == note_of(entries)

    def test_exits_4_when_the_log_forked_or_shrank_and_keeps_the_evidence(self, run, copy, tmp_path):
        (tmp_path / "state").write_bytes(note_of(ENTRIES))
        for entries, sight in (([b"forged", *ENTRIES], "forked"), (ENTRIES[:299], "shrank")):
            shutil.rmtree(copy)
            write_copy(copy, entries)
            result = run("watch", copy, "--trust", KEY, "--state", tmp_path / "state", "--json")
            assert result.exit_code == 4
            seen = json.loads(result.stdout)
            assert (seen["sight"], seen["seen"].encode(), seen["kept"].encode()) == (
                sight,
                note_of(entries),
                note_of(ENTRIES),
            )
            assert (tmp_path / "state").read_bytes() == note_of(ENTRIES)

    def test_of_a_log_that_cannot_be_read_exits_1_and_keeps_what_it_had(self, run, copy, tmp_path):
        (tmp_path / "state").write_bytes(note_of(ENTRIES))
        (copy / "checkpoint").unlink()
        assert run("watch", copy, "--trust", KEY, "--state", tmp_path / "state").exit_code == 1
        assert (tmp_path / "state").read_bytes() == note_of(ENTRIES)

    def test_with_a_state_that_is_none_exits_2(self, run, copy, tmp_path):
        (tmp_path / "state").write_bytes(b"no note")
        assert run("watch", copy, "--trust", KEY, "--state", tmp_path / "state").exit_code == 2

    def test_with_every_looks_again_through_outages_until_the_log_forks(self, run, copy, tmp_path, monkeypatch):
        waits: list[float] = []

        def next_day(seconds):
            waits.append(seconds)
            (copy / "checkpoint").unlink(missing_ok=True)
            if len(waits) == 2:
                write_copy(copy, [b"forged", *ENTRIES])

        monkeypatch.setattr(log_cli.time, "sleep", next_day)
        result = run("watch", copy, "--trust", KEY, "--state", tmp_path / "state", "--every", 60)
        assert result.exit_code == 4
        assert [line.partition(":")[0] for line in result.output.splitlines()] == ["first", "unproven", "forked"]
        assert waits == [60, 60]


@pytest.fixture
def proof(tmp_path: Path):
    """Writes the proof of entry 7, as the log would give it; returns its file."""

    def write(extra: bytes) -> Path:
        hashes = [leaf_hash(entry) for entry in ENTRIES]
        needed = inclusion_subtrees(7, 300)
        roots = {tree: root_of(hashes[tree.position << tree.level :][: 1 << tree.level]) for tree in needed}
        text = TlogProof(7, tuple(inclusion_proof(7, 300, roots)), Note.parse(note_of(ENTRIES)), extra).to_bytes()
        (tmp_path / "entry.tlog-proof").write_bytes(text)
        return tmp_path / "entry.tlog-proof"

    return write


class TestProof:
    def test_of_an_entry_that_it_holds_exits_0(self, run, proof):
        result = run("proof", proof(ENTRIES[7]), "--trust", KEY)
        assert result.exit_code == 0
        assert "verified: entry 7 of 300 of the log proofloop.local/acme" in plain(result)

    def test_of_an_entry_in_a_file_exits_0_and_prints_json(self, run, proof, tmp_path):
        (tmp_path / "leaf").write_bytes(ENTRIES[7])
        outcome = json.loads(run("proof", proof(b""), "--trust", KEY, "--leaf", tmp_path / "leaf", "--json").stdout)
        assert outcome == {
            "verdict": "verified",
            "origin": "proofloop.local/acme",
            "index": 7,
            "size": 300,
            "leaf_hash": leaf_hash(ENTRIES[7]).hex(),
            "key_fingerprint": KEY.fingerprint,
        }

    @pytest.mark.parametrize(
        ("extra", "key", "sentence"),
        [
            (ENTRIES[8], KEY, "leads to the root"),
            (b"", KEY, "name its file with --leaf"),
            (ENTRIES[7], OTHER_KEY, "no trusted key"),
        ],
    )
    def test_that_proves_nothing_exits_1(self, run, proof, extra, key, sentence):
        result = run("proof", proof(extra), "--trust", key)
        assert result.exit_code == 1
        assert sentence in plain(result)
        assert json.loads(run("proof", proof(extra), "--trust", key, "--json").stdout)["verdict"] == "failed"

    def test_without_a_key_to_trust_exits_2(self, run, proof):
        assert run("proof", proof(ENTRIES[7])).exit_code == 2


more = typer.Typer()
more.command("list")(lambda: typer.echo("listed"))
more.command("show")(lambda: typer.echo("shown"))


class TestPlugins:
    def test_of_the_name_add_their_commands_to_ours(self, run, copy, module):
        plugins = [("audit", f"{module}:more")]
        assert run("list", plugins=plugins).output == "listed\n"
        assert run("verify", copy, "--trust", KEY, plugins=plugins).exit_code == 0
        listed = plain(run("--help", plugins=plugins))
        assert all(command in listed for command in ("list", "show", "verify", "watch", "proof"))

    def test_of_the_name_that_do_not_load_leave_ours_alone(self, run, copy):
        plugins = [("audit", "no_such_module:app"), ("up", "no_such_module:app")]
        assert "no_such_module:app does not load" in plain(run("--help", plugins=plugins))
        assert run("verify", copy, "--trust", KEY, plugins=plugins).exit_code == 0


@pytest.fixture
def module(monkeypatch):
    """An importable name for this file's plugins."""
    monkeypatch.setitem(sys.modules, "audit_plugins_of_a_test", sys.modules[__name__])
    return "audit_plugins_of_a_test"
