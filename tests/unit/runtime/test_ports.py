"""Time, ids and keys."""

from datetime import UTC
from pathlib import Path
from uuid import RFC_4122, UUID

import pytest
from cryptography.exceptions import InvalidTag
from hypothesis import given
from hypothesis import strategies as st
from proofloop_runtime.ports import FileKeyStore, SystemClock, SystemIds, SystemRandomness
from proofloop_runtime.testing import CountingRandomness, SequentialIds


def test_the_clock_tells_aware_utc() -> None:
    assert SystemClock().now().tzinfo is UTC


@given(st.lists(st.integers(min_value=0, max_value=1 << 61), min_size=2, max_size=20))
def test_ids_of_a_process_sort_as_they_were_made_whatever_the_clock_does(times) -> None:
    ticks = iter(times)
    ids = SystemIds(lambda: next(ticks))
    made = [ids.uuid7() for _ in times]
    assert made == sorted(made)
    assert len(set(made)) == len(made)


def test_an_id_is_a_uuid7_of_its_millisecond() -> None:
    made = UUID(SystemIds(lambda: 1_800_000_000_123_456_789).uuid7())
    assert (made.version, made.variant, made.int >> 80) == (7, RFC_4122, 1_800_000_000_123)


def test_ids_of_tests_look_like_real_ones_and_count() -> None:
    ids = SequentialIds()
    made = [ids.uuid7() for _ in range(3)]
    assert made == sorted(made)
    assert {UUID(text).version for text in made} == {7}


@pytest.fixture
def keys() -> FileKeyStore:
    return FileKeyStore(bytes(range(32)), CountingRandomness())


def test_a_wrapped_key_comes_back_for_its_tenant(keys) -> None:
    wrapped = keys.wrap("acme", b"k" * 32)
    assert b"kkkk" not in wrapped
    assert keys.unwrap("acme", wrapped) == b"k" * 32
    assert keys.wrap("acme", b"k" * 32) != wrapped


def test_and_for_no_other_nor_altered(keys) -> None:
    wrapped = keys.wrap("acme", b"k" * 32)
    with pytest.raises(InvalidTag):
        keys.unwrap("globex", wrapped)
    with pytest.raises(InvalidTag):
        keys.unwrap("acme", wrapped[:-1] + bytes([wrapped[-1] ^ 1]))


def test_derived_keys_differ_by_tenant_and_purpose_and_never_by_time(keys) -> None:
    derived = {keys.derive(tenant, purpose) for tenant in ("acme", "globex") for purpose in ("wrap", "blind")}
    assert len(derived) == 4
    again = FileKeyStore(bytes(range(32)), SystemRandomness())
    assert again.derive("acme", "blind") in derived


def test_a_master_key_of_the_wrong_length_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "master.key"
    file.write_text("ab" * 31)
    with pytest.raises(ValueError, match="31 bytes"):
        FileKeyStore.load(file, SystemRandomness())
