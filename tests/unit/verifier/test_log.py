"""Copies of a log, sound and tampered with."""

import gzip
import shutil
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from log_copies import KEY, ORIGIN, OTHER_KEY, bundle_of, leaves, note_of, write_copy
from proofloop_verifier.leaf import ClaimLink
from proofloop_verifier.log_copy import FolderCopy, WebCopy, open_copy
from proofloop_verifier.log_report import LogReport, verify_log
from proofloop_verifier.log_tree import TreeCheck
from proofloop_verifier.merkle import leaf_hash, root_of
from proofloop_verifier.report import MAX_FINDINGS, LogCheck, Verdict

ENTRIES = [leaf.to_bytes() for leaf in leaves(700)]
FILES = (
    *("tile/entries/000", "tile/entries/001", "tile/entries/002.p/188"),
    *("tile/0/000", "tile/0/001", "tile/0/002.p/188", "tile/1/000.p/2"),
)
MANY = [b"%d" % number for number in range(66_000)]
FILES_OF_MANY = (
    *("tile/entries/100", "tile/entries/257.p/208", "tile/0/100", "tile/0/257.p/208"),
    *("tile/1/000", "tile/1/001.p/1", "tile/2/000.p/1"),
)


@pytest.fixture(scope="session")
def sound(tmp_path_factory) -> Path:
    return write_copy(tmp_path_factory.mktemp("sound"), ENTRIES)


@pytest.fixture(scope="session")
def sound_many(tmp_path_factory) -> Path:
    return write_copy(tmp_path_factory.mktemp("many"), MANY)


@pytest.fixture
def copy(sound: Path, tmp_path: Path) -> Path:
    """A sound copy of 700 entries, to be tampered with."""
    return shutil.copytree(sound, tmp_path / "copy")


def verify(folder: Path) -> LogReport:
    return verify_log(FolderCopy(folder), [KEY])


def wrong(folder: Path) -> list[tuple[LogCheck, str]]:
    """What is wrong, and with what."""
    report = verify(folder)
    assert (report.verdict is Verdict.FAILED) == bool(report.findings)
    return [(finding.check, finding.subject) for finding in report.findings]


def flip(file: Path, at: int) -> None:
    data = bytearray(file.read_bytes())
    data[at] ^= 1
    file.write_bytes(data)


class TestASoundCopy:
    @pytest.mark.parametrize("size", [0, 1, 2, 255, 256, 257, 511, 512, 513])
    def test_is_verified_at_any_size(self, tmp_path, size):
        report = verify(write_copy(tmp_path, ENTRIES[:size]))
        assert (report.verdict, report.findings) == (Verdict.VERIFIED, ())
        assert (report.entries_checked, report.signed.checkpoint.size) == (size, size)

    def test_of_three_levels_is_verified(self, sound_many):
        tree = TreeCheck(FolderCopy(sound_many), len(MANY), root_of([leaf_hash(entry) for entry in MANY]))
        assert list(tree.findings()) == []
        assert tree.entries_checked == len(MANY)

    def test_has_exactly_the_files_that_the_tests_tamper_with(self, sound):
        assert {str(file.relative_to(sound)) for file in sound.rglob("*") if file.is_file()} == {*FILES, "checkpoint"}

    def test_may_have_full_tiles_in_place_of_partial_ones(self, tmp_path):
        grown = [leaf.to_bytes() for leaf in leaves(800)]
        copy, before = write_copy(tmp_path / "grown", grown), write_copy(tmp_path / "before", grown[:700])
        for file in ("checkpoint", "tile/1/000.p/2"):
            (copy / file).write_bytes((before / file).read_bytes())
        assert verify(copy).verdict is Verdict.VERIFIED

    def test_is_no_more_than_consistent_without_a_trusted_key(self, sound):
        for keys in ([], [OTHER_KEY]):
            report = verify_log(FolderCopy(sound), keys)
            assert report.verdict is Verdict.CONSISTENT_UNKNOWN_KEY
            assert report.unknown_signers == [f"{ORIGIN}+{KEY.key_id.hex()}"]


class TestAFileThat:
    @pytest.mark.parametrize("file", FILES)
    @pytest.mark.parametrize("place", [0.4, 0.9999])
    def test_has_a_bit_flipped_is_named_and_no_other(self, copy, file, place):
        flip(copy / file, int((copy / file).stat().st_size * place))
        assert {subject for _, subject in wrong(copy)} == {file}

    @pytest.mark.parametrize("file", FILES)
    def test_is_missing_is_named_and_no_other(self, copy, file):
        (copy / file).unlink()
        found = [finding for finding in verify(copy).findings if not finding.not_checked]
        assert [finding.subject for finding in found] == [file]
        assert "it is missing" in found[0].sentence

    @pytest.mark.parametrize("file", FILES)
    @pytest.mark.parametrize("change", [lambda data: data[:-1], lambda data: data + b"\0"])
    def test_is_cut_or_goes_on_is_named_and_no_other(self, copy, file, change):
        (copy / file).write_bytes(change((copy / file).read_bytes()))
        assert {finding.subject for finding in verify(copy).findings if not finding.not_checked} == {file}

    @pytest.mark.parametrize("file", FILES_OF_MANY)
    def test_is_tampered_with_at_any_of_three_levels_is_named_and_no_other(self, sound_many, file):
        class Tampered(FolderCopy):
            def read(self, path: str, limit: int) -> bytes:
                data = super().read(path, limit)
                return data[:-1] + bytes([data[-1] ^ 1]) if path == file else data

        tree = TreeCheck(Tampered(sound_many), len(MANY), root_of([leaf_hash(entry) for entry in MANY]))
        assert [finding.subject for finding in tree.findings()] == [file]

    def test_stands_above_a_missing_one_is_named_beside_it(self, copy):
        flip(copy / "tile/1/000.p/2", 0)
        (copy / "tile/0/001").unlink()
        assert wrong(copy) == [(LogCheck.TREE, "tile/0/001"), (LogCheck.TREE, "tile/1/000.p/2")]

    def test_cannot_be_opened_is_named(self, copy):
        (copy / "tile/0/000").unlink()
        (copy / "tile/0/000").mkdir()
        assert wrong(copy) == [(LogCheck.TREE, "tile/0/000")]


class TestEntriesThat:
    def test_are_swapped_are_both_named(self, copy):
        swapped = list(ENTRIES[:256])
        swapped[7], swapped[9] = swapped[9], swapped[7]
        (copy / "tile/entries/000").write_bytes(bundle_of(swapped))
        assert [finding.sentence for finding in verify(copy).findings] == [
            f"Entry {index} in tile/entries/000 is not the one that the signed tree holds." for index in (7, 9)
        ]

    def test_changed_together_with_their_tile_are_found(self, copy):
        changed = [*ENTRIES[:255], ENTRIES[0]]
        (copy / "tile/entries/000").write_bytes(bundle_of(changed))
        (copy / "tile/0/000").write_bytes(b"".join(leaf_hash(entry) for entry in changed))
        assert wrong(copy) == [(LogCheck.TREE, "tile/0/000"), (LogCheck.ENTRY, "tile/entries/000")]

    def test_changed_together_with_every_tile_are_found_by_the_checkpoint(self, copy):
        note = (copy / "checkpoint").read_bytes()
        changed = [leaf.to_bytes() for leaf in leaves(700, action="evidence.forged")]
        write_copy(copy, changed)
        (copy / "checkpoint").write_bytes(note)
        [finding] = verify(copy).findings
        assert (finding.check, finding.subject) == (LogCheck.TREE, "checkpoint")
        assert root_of([leaf_hash(entry) for entry in changed]).hex() in finding.sentence

    def test_are_too_many_to_list_are_not_all_listed(self, copy):
        for file, count in (("000", 256), ("001", 256), ("002.p/188", 188)):
            (copy / "tile/entries" / file).write_bytes(bundle_of([b"forged"] * count))
        assert len(wrong(copy)) == 700
        write_copy(copy, [b"no leaf"] * (MAX_FINDINGS + 5))
        findings = verify(copy).findings
        assert len(findings) == MAX_FINDINGS + 1
        assert findings[-1].not_checked

    @pytest.mark.parametrize(
        ("index", "change", "check", "sentence"),
        [
            (9, {"tenant": "globex"}, LogCheck.LEAF, "Entry 9 belongs to 'globex'"),
            (9, {"append_time": leaves(1)[0].append_time}, LogCheck.LEAF, "Entry 9 was appended before"),
            (9, {"claim": ClaimLink("claim-0", 7, bytes(32))}, LogCheck.CHAIN, "Entry 9 is number 7 of its claim"),
            (3, {"claim": ClaimLink("claim-0", 1, bytes(32))}, LogCheck.CHAIN, "Entry 3 is number 1 of its claim"),
            (9, {"claim": ClaimLink("claim-0", 2, bytes(32))}, LogCheck.CHAIN, "Entry 9 does not hold the hash"),
        ],
    )
    def test_the_log_should_never_have_signed_are_named(self, tmp_path, index, change, check, sentence):
        signed = leaves(index + 1)
        signed[index] = signed[index]._replace(**change)
        [finding] = verify(write_copy(tmp_path, [leaf.to_bytes() for leaf in signed])).findings
        assert (finding.check, finding.subject) == (check, f"entry {index}")
        assert finding.sentence.startswith(sentence)

    def test_are_no_leaves_are_named(self, tmp_path):
        assert wrong(write_copy(tmp_path, [*ENTRIES[:5], b"{}"])) == [(LogCheck.LEAF, "entry 5")]

    def test_cannot_be_read_are_not_held_against_the_chains_they_belong_to(self, copy):
        (copy / "tile/entries/001").unlink()
        assert wrong(copy) == [(LogCheck.ENTRY, "tile/entries/001")]


class TestACheckpointThat:
    def test_has_any_bit_flipped_is_never_verified(self, copy):
        note = (copy / "checkpoint").read_bytes()
        for at in range(len(note)):
            flip(copy / "checkpoint", at)
            assert verify(copy).verdict is not Verdict.VERIFIED
            (copy / "checkpoint").write_bytes(note)

    @pytest.mark.parametrize(
        ("note", "sentence"),
        [
            (None, "it is missing"),
            (b"", "lacks a text"),
            (note_of(ENTRIES).replace(b"\n700\n", b"\n701\n"), "does not hold"),
            (
                note_of(ENTRIES, signer=Ed25519PrivateKey.generate()).replace(
                    b"\n\n\xe2\x80\x94 ", b"\n\n\xe2\x80\x94 x"
                ),
                "has not",
            ),
        ],
        ids=["missing", "empty", "another size", "another name"],
    )
    def test_cannot_be_relied_on_is_named_and_nothing_else_is_looked_at(self, copy, note, sentence):
        (copy / "checkpoint").unlink()
        if note is not None:
            (copy / "checkpoint").write_bytes(note)
        report = verify(copy)
        assert [(finding.check, finding.subject) for finding in report.findings] == [
            (LogCheck.CHECKPOINT, "checkpoint")
        ]
        assert sentence in report.findings[0].sentence
        assert (report.verdict, report.signed, report.entries_checked) == (Verdict.FAILED, None, 0)


class Files(SimpleHTTPRequestHandler):
    """Serves files compressed where it may, as a web server in front of a log does."""

    def send_head(self):
        if self.path.endswith("/broken"):
            self.send_error(500)
            return None
        return super().send_head()

    def do_GET(self):
        path = Path(self.translate_path(self.path))
        if "gzip" not in self.headers["Accept-Encoding"] or "/entries/" not in self.path or not path.is_file():
            super().do_GET()
            return
        body = gzip.compress(path.read_bytes())
        self.send_response(200)
        self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments):
        """Say nothing."""


@pytest.fixture
def served(copy: Path):
    """The URL of the copy, below a path."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Files, directory=copy.parent)) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/copy/"
        server.shutdown()
        thread.join()


class TestACopyOnTheWeb:
    def test_is_verified_as_one_in_a_folder(self, served):
        assert verify_log(open_copy(served), [KEY]).verdict is Verdict.VERIFIED

    def test_names_what_is_missing(self, served, copy):
        (copy / "tile/entries/001").unlink()
        assert [finding.subject for finding in verify_log(WebCopy(served), [KEY]).findings] == ["tile/entries/001"]

    def test_that_answers_with_an_error_or_not_at_all_is_not_verified(self, served, closed_port):
        for url, sentence in ((f"{served}broken", "missing"), (f"http://127.0.0.1:{closed_port}", "refused")):
            report = verify_log(WebCopy(url), [KEY])
            assert report.verdict is Verdict.FAILED
            assert sentence in report.findings[0].sentence

    def test_that_sends_more_than_a_file_can_hold_is_cut_off(self, served, copy):
        (copy / "tile/0/000").write_bytes(bytes(8193))
        [finding] = verify_log(WebCopy(served), [KEY]).findings
        assert finding.sentence == "The tile tile/0/000 cannot be read: it is longer than 8192 bytes."


def test_a_place_that_is_neither_a_folder_nor_a_url_is_refused(tmp_path):
    with pytest.raises(ValueError, match="neither a folder"):
        open_copy(str(tmp_path / "none"))
