"""What is taken in, and where it stops."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from proofloop_packets.errors import ClaimFull, FileEmpty, FileTooLarge
from proofloop_packets.evidence.domain import Holdings, Intake, UploadLimits, object_key
from proofloop_runtime.errors import FieldViolation

LIMITS = UploadLimits(file_bytes=100, claim_files=3, claim_bytes=150)


@given(st.lists(st.binary(max_size=40), min_size=1).filter(any))
def test_a_file_in_pieces_has_the_hashes_of_the_whole(pieces: list[bytes]):
    whole = b"".join(pieces)
    intake = Intake(len(whole))
    for piece in pieces:
        intake.take(piece)
    found = intake.finish()
    assert (found.size, found.sha256) == (len(whole), hashlib.sha256(whole).hexdigest())
    assert found.md5 == hashlib.md5(whole, usedforsecurity=False).hexdigest()


def test_a_file_of_exactly_the_limit_is_taken():
    intake = Intake(4)
    intake.take(b"1234")
    assert intake.finish().size == 4


def test_the_first_byte_past_the_limit_is_refused_with_the_limit():
    intake = Intake(4)
    intake.take(b"1234")
    with pytest.raises(FileTooLarge) as refused:
        intake.take(b"5")
    assert refused.value.metadata["limit_bytes"] == "4"
    assert refused.value.violations == (FieldViolation("body", refused.value.message),)


def test_a_file_without_bytes_is_refused():
    with pytest.raises(FileEmpty):
        Intake(4).finish()


def test_a_claim_takes_files_up_to_both_limits():
    LIMITS.admit("c", Holdings(files=2, size=50), 100)


@pytest.mark.parametrize(
    ("held", "size", "kind"),
    [(Holdings(3, 3), 1, "FILES"), (Holdings(1, 51), 100, "BYTES")],
)
def test_a_full_claim_says_which_limit_is_reached(held: Holdings, size: int, kind: str):
    with pytest.raises(ClaimFull) as refused:
        LIMITS.admit("c", held, size)
    assert [(each.type, each.subject) for each in refused.value.violations] == [(kind, "c")]


def test_bytes_are_kept_under_tenant_and_content():
    assert object_key("acme", "ab" * 32) == f"evidence/acme/{'ab' * 32}"
