"""An export of a whole log against its checkpoint."""

import io
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from proofloop_verifier import export
from proofloop_verifier.entries import EntryError
from proofloop_verifier.export import check_export
from proofloop_verifier.leaf import Leaf, Outcome, SubjectCommitment, commitment
from proofloop_verifier.merkle import leaf_hash, root_of
from proofloop_verifier.note import Checkpoint

ORIGIN = "proofloop.local/acme"
SALT = bytes(range(32))
PART = b'{"actor_id":"ann"}'
PSEUDONYM = "0" * 32


def entry(index: int, **changes: Any) -> dict[str, Any]:
    time = datetime(2026, 1, 2, tzinfo=UTC) + timedelta(seconds=index)
    fields = {
        "entry_id": f"entry-{index}",
        "event_time": time,
        "append_time": time,
        "tenant": "acme",
        "service": "packets",
        "action": "prompt.answered",
        "outcome": Outcome.SUCCESS,
        "entity_type": "prompt",
        "entity_id": "prompt-1",
        "subjects": (SubjectCommitment(PSEUDONYM, commitment(SALT, PART)),),
    }
    leaf = Leaf(**fields | changes).to_bytes()
    return {
        "index": index,
        "leaf": leaf.decode(),
        "leaf_hash": leaf_hash(leaf).hex(),
        "proof": [],
        "personal": [{"pseudonym": PSEUDONYM, "salt": SALT.hex(), "part": PART.decode()}],
    }


def written(entries: list[dict[str, Any]]) -> list[bytes]:
    return [json.dumps(line).encode() for line in entries]


def checkpoint_of(entries: list[dict[str, Any]]) -> Checkpoint:
    return Checkpoint(ORIGIN, len(entries), root_of([leaf_hash(line["leaf"].encode()) for line in entries]))


LOG = [entry(index) for index in range(2500)]
LINES = written(LOG)


@pytest.mark.parametrize("size", [0, 1, 1023, 1024, 1025, 2500])
def test_an_export_is_the_log_of_its_checkpoint(size) -> None:
    report = check_export(LINES[:size], checkpoint_of(LOG[:size]))
    assert (report.entries, report.findings) == (size, ())


def test_an_erased_person_changes_nothing() -> None:
    assert check_export(written([LOG[0] | {"personal": []}]), checkpoint_of(LOG[:1])).findings == ()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (entry(1) | {"leaf_hash": "0" * 64}, "Line 2 of the export is no audit entry: leaf_hash is not the hash"),
        (entry(1) | {"index": True}, "Line 2 of the export is no audit entry: an entry has the members index"),
        (entry(2), "Where audit entry 1 should stand, audit entry 2 (prompt.answered) does."),
        (entry(1, tenant="globex"), "belongs to 'globex', and the log to 'acme'"),
        (entry(1, entity_id="other"), "they lead to the root"),
        (
            entry(1) | {"personal": [{"pseudonym": PSEUDONYM, "salt": SALT.hex(), "part": "{}"}]},
            f"What audit entry 1 (prompt.answered) discloses of subject '{PSEUDONYM}' is not what was logged.",
        ),
    ],
)
def test_what_is_wrong_is_said(wrong, said) -> None:
    [finding] = check_export(written([LOG[0], wrong, LOG[2]]), checkpoint_of(LOG[:3])).findings
    assert said in finding.sentence


def test_a_line_that_says_something_twice_is_no_entry_for_others_may_read_the_first() -> None:
    line = LINES[1].replace(b"{", b'{"leaf": "another", ', 1)
    [finding] = check_export([LINES[0], line], checkpoint_of(LOG[:2])).findings
    assert finding.sentence == "Line 2 of the export is no audit entry: an object has two members of one name."


def test_what_follows_the_checkpoint_is_said_to_be_unchecked() -> None:
    report = check_export(LINES[:5], checkpoint_of(LOG[:4]))
    assert report.entries == 4
    assert [finding.not_checked for finding in report.findings] == [True]


def test_what_precedes_an_end_that_comes_too_early_was_read() -> None:
    [finding] = check_export(LINES[:3], checkpoint_of(LOG[:4])).findings
    assert finding.sentence == "The export has 3 entries; the checkpoint covers 4."


def test_a_file_is_read_by_lines_none_of_which_is_endless(monkeypatch) -> None:
    assert list(export.read_lines(io.BytesIO(b"one\ntwo"))) == [b"one", b"two"]
    monkeypatch.setattr(export, "MAX_LINE_BYTES", 100)
    with pytest.raises(EntryError):
        list(export.read_lines(io.BytesIO(b"x" * 101)))
    [finding] = check_export(export.read_lines(io.BytesIO(b"x" * 101)), checkpoint_of(LOG[:4])).findings
    assert "Line 1 of the export cannot be read" in finding.sentence
