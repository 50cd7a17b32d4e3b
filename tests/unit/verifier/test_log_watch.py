"""Watching a log: what it shows must begin with what it showed before."""

import shutil
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from log_copies import KEY, OTHER_KEY, SIGNER, note_of, write_copy
from proofloop_verifier.log_copy import FolderCopy
from proofloop_verifier.log_watch import Look, Sight, look, read_state, write_state
from proofloop_verifier.note import Note, NoteError

ENTRIES = [b"%d" % number for number in range(700)]
FORGED = [b"forged", *ENTRIES[1:]]


def kept(size: int, entries=ENTRIES) -> Note:
    return Note.parse(note_of(entries[:size]))


def sight(folder: Path, before: Note | None) -> Look:
    return look(FolderCopy(folder), [KEY], before)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return write_copy(tmp_path / "copy", ENTRIES)


def test_the_first_checkpoint_is_taken_as_it_is(copy):
    seen = sight(copy, None)
    assert (seen.sight, seen.seen.to_bytes()) == (Sight.FIRST, note_of(ENTRIES))


def test_the_same_tree_is_the_same(copy):
    assert sight(copy, kept(700)).sight is Sight.SAME


@pytest.mark.parametrize("size", [0, 1, 2, 255, 256, 257, 511, 512, 513, 699])
def test_a_log_that_grew_from_any_size_begins_with_what_it_was(copy, size):
    assert sight(copy, kept(size)).sight is Sight.GREW


@pytest.mark.parametrize("size", [1, 2, 255, 256, 257, 512, 699, 700])
def test_a_log_that_was_rewritten_forked_whatever_its_size_was(copy, size):
    seen = sight(copy, kept(size, FORGED))
    assert seen.sight is Sight.FORKED
    assert (seen.seen.to_bytes(), seen.kept.to_bytes()) == (note_of(ENTRIES), note_of(FORGED[:size]))


def test_a_log_that_is_shorter_than_before_shrank(copy):
    assert sight(copy, Note.parse(note_of([*ENTRIES, b"one more"]))).sight is Sight.SHRANK


@pytest.mark.parametrize("size", [1, 255, 256, 512, 600])
def test_damaged_tiles_prove_nothing_and_are_no_fork(copy, size):
    shutil.rmtree(copy / "tile" / "entries")
    for file in (copy / "tile").rglob("*"):
        if file.is_file():
            file.write_bytes(bytes(file.stat().st_size))
    assert sight(copy, kept(size)).sight is Sight.UNPROVEN


def test_missing_tiles_prove_nothing(copy):
    shutil.rmtree(copy / "tile")
    seen = sight(copy, kept(300))
    assert (seen.sight, seen.seen, seen.kept) == (Sight.UNPROVEN, None, kept(300))
    assert "missing" in seen.sentence


@pytest.mark.parametrize(
    ("note", "sentence"),
    [
        (note_of(ENTRIES, signer=Ed25519PrivateKey.generate()), "no trusted key"),
        (note_of(ENTRIES, origin="proofloop.local/globex"), "no trusted key"),
        (b"hello", "lacks"),
    ],
    ids=["another key", "another log", "no note"],
)
def test_a_checkpoint_that_nobody_trusted_signed_proves_nothing(copy, note, sentence):
    (copy / "checkpoint").write_bytes(note)
    seen = sight(copy, kept(300))
    assert seen.sight is Sight.UNPROVEN
    assert sentence in seen.sentence


def test_a_kept_checkpoint_that_nobody_trusted_signed_is_refused(copy):
    with pytest.raises(NoteError, match="no trusted key"):
        look(FolderCopy(copy), [OTHER_KEY], kept(300))


def test_another_log_than_the_one_that_was_kept_proves_nothing(copy):
    other = "proofloop.local/globex"
    keys = [KEY, type(KEY).of(other, SIGNER.public_key())]
    seen = look(FolderCopy(copy), keys, Note.parse(note_of(ENTRIES[:300], origin=other)))
    assert seen.sight is Sight.UNPROVEN
    assert "'proofloop.local/acme'" in seen.sentence


def test_what_is_kept_reads_back(tmp_path):
    file = tmp_path / "state"
    assert read_state(file) is None
    for size in (300, 400):
        write_state(file, kept(size))
        assert read_state(file) == kept(size)
    assert list(tmp_path.iterdir()) == [file]
