import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from proofloop_verifier import canonical
from proofloop_verifier.leaf import (
    MAX_LEAF_BYTES,
    ClaimLink,
    Leaf,
    LeafError,
    Outcome,
    SubjectCommitment,
    commitment,
    opens,
    parse_personal_part,
)

LEAF = Leaf(
    entry_id="0190b5a0-0000-7000-8000-000000000001",
    event_time=datetime(2026, 1, 2, 3, 4, 5, 678901, UTC),
    append_time=datetime(2026, 1, 2, 3, 4, 6, 0, UTC),
    tenant="acme",
    service="packets",
    action="evidence.uploaded",
    outcome=Outcome.SUCCESS,
    entity_type="evidence",
    entity_id="0190b5a0-0000-7000-8000-000000000002",
    claim=ClaimLink("0190b5a0-0000-7000-8000-000000000003", 1, bytes(range(32))),
    session_id="session",
    correlation_id="correlation",
    trace_id="0af7651916cd43dd8448eb211c80319c",
    subjects=(SubjectCommitment("00112233445566778899aabbccddeeff", bytes(range(32, 64))),),
)
HASH_TEXT = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"

texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)
times = st.datetimes(min_value=datetime(1970, 1, 2), timezones=st.just(UTC))  # noqa: DTZ001 -- hypothesis wants naive bounds
hashes = st.binary(min_size=32, max_size=32)
pseudonyms = st.binary(min_size=16, max_size=16).map(bytes.hex)
claims = st.builds(ClaimLink, texts, st.just(0), st.none()) | st.builds(
    ClaimLink, texts, st.integers(1, 2**53 - 1), hashes
)
leaves = st.builds(
    Leaf,
    entry_id=texts,
    event_time=times,
    append_time=times,
    tenant=texts,
    service=texts,
    action=texts,
    outcome=st.sampled_from(Outcome),
    entity_type=texts,
    entity_id=texts,
    claim=st.none() | claims,
    session_id=st.none() | texts,
    correlation_id=st.none() | texts,
    trace_id=st.none() | pseudonyms,
    subjects=st.lists(st.builds(SubjectCommitment, pseudonyms, hashes), max_size=3).map(tuple),
)


def test_the_bytes_of_a_leaf_never_change():
    assert LEAF.to_bytes().decode() == (
        '{"action":"evidence.uploaded","append_time":"2026-01-02T03:04:06.000000Z",'
        '"claim_id":"0190b5a0-0000-7000-8000-000000000003",'
        f'"claim_previous":"{HASH_TEXT}","claim_sequence":1,"correlation_id":"correlation",'
        '"entity_id":"0190b5a0-0000-7000-8000-000000000002","entity_type":"evidence",'
        '"entry_id":"0190b5a0-0000-7000-8000-000000000001","event_time":"2026-01-02T03:04:05.678901Z",'
        '"outcome":"success","service":"packets","session_id":"session",'
        '"subjects":[{"commitment":"202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f",'
        '"pseudonym":"00112233445566778899aabbccddeeff"}],"tenant":"acme",'
        '"trace_id":"0af7651916cd43dd8448eb211c80319c","v":1}'
    )


@given(leaves)
def test_any_leaf_reads_back_equal_and_is_canonical(leaf):
    data = leaf.to_bytes()
    assert Leaf.parse(data) == leaf
    assert canonical.dumps(json.loads(data)) == data


def test_a_time_in_another_zone_is_written_in_utc():
    elsewhere = LEAF.event_time.astimezone(timezone(timedelta(hours=5, minutes=30)))
    assert LEAF._replace(event_time=elsewhere).to_bytes() == LEAF.to_bytes()


def test_the_longest_leaf_is_written_and_one_byte_more_is_not():
    room = MAX_LEAF_BYTES - len(LEAF.to_bytes()) + len(LEAF.entity_id)
    longest = LEAF._replace(entity_id="x" * room)
    assert Leaf.parse(longest.to_bytes()) == longest
    with pytest.raises(LeafError, match="65536 bytes"):
        LEAF._replace(entity_id="x" * (room + 1)).to_bytes()
    with pytest.raises(LeafError, match="65536 bytes"):
        Leaf.parse(longest.to_bytes() + b" ")


def test_a_lone_surrogate_is_not_written():
    with pytest.raises(LeafError, match="lone surrogate"):
        LEAF._replace(entity_id="\ud800").to_bytes()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"v": 2}, "version 1"),
        ({"v": True}, "version 1"),
        ({"v": None}, "NoneType"),
        ({"entry_id": ""}, "entry_id must be"),
        ({"tenant": 5}, "tenant must be"),
        ({"event_time": "2026-01-02T03:04:05.67890Z"}, "event_time does not have its form"),
        ({"event_time": "2026-01-02T03:04:05.678901+00:00"}, "event_time does not have its form"),
        ({"append_time": "2026-13-02T03:04:05.678901Z"}, "append_time is not a time"),
        ({"outcome": "won"}, "outcome is none of success, failure, denied"),
        ({"claim_sequence": -1}, "claim_sequence must be"),
        ({"claim_sequence": True}, "claim_sequence must be"),
        ({"claim_sequence": 0}, "exactly when"),
        ({"claim_previous": HASH_TEXT.upper()}, "claim_previous does not have its form"),
        ({"trace_id": "0"}, "trace_id does not have its form"),
        ({"subjects": []}, "members that a leaf"),
        ({"subjects": "none"}, "list of objects"),
        ({"subjects": [{"pseudonym": "x", "commitment": HASH_TEXT}]}, "pseudonym does not"),
        ({"subjects": [{"pseudonym": HASH_TEXT[:32]}]}, "commitment must be"),
        ({"actor": "somebody"}, "members that a leaf"),
    ],
)
def test_a_leaf_that_is_wrong_in_one_member_is_refused_by_its_name(change, reason):
    members = json.loads(LEAF.to_bytes()) | change
    data = json.dumps(members, sort_keys=True, separators=(",", ":")).encode()
    with pytest.raises(LeafError, match=reason):
        Leaf.parse(data)


@pytest.mark.parametrize("name", sorted(json.loads(LEAF.to_bytes())))
def test_a_leaf_that_lacks_a_member_is_another_leaf_or_none(name):
    members = json.loads(LEAF.to_bytes())
    del members[name]
    data = canonical.dumps(members)
    if name in {"session_id", "correlation_id", "trace_id", "subjects"}:
        assert Leaf.parse(data).to_bytes() == data
    else:
        with pytest.raises(LeafError):
            Leaf.parse(data)


@pytest.mark.parametrize("data", [b"", b"[]", b"1", b'{"v":1}', b"{", b"\xff", b"[" * 60_000])
def test_what_is_no_leaf_at_all_is_refused(data):
    with pytest.raises(LeafError):
        Leaf.parse(data)


class TestCommitments:
    SALT = bytes(range(32))
    PART = canonical.dumps({"actor_id": "somebody", "actor_type": "user"})

    def test_a_commitment_is_hmac_sha256(self):
        assert commitment(self.SALT, self.PART) == hmac.new(self.SALT, self.PART, hashlib.sha256).digest()

    def test_only_the_same_part_and_salt_open_it(self):
        committed = commitment(self.SALT, self.PART)
        assert opens(committed, self.SALT, self.PART)
        assert not opens(committed, self.SALT, self.PART.replace(b"some", b"any_"))
        assert not opens(committed, bytes(32), self.PART)
        # HMAC pads short keys with zeros, so a key and the same key with a zero more would open alike.
        short = bytes(range(1, 32))
        assert not opens(commitment(short, self.PART), short, self.PART)

    def test_a_personal_part_is_an_object_of_strings(self):
        assert parse_personal_part(self.PART) == {"actor_id": "somebody", "actor_type": "user"}
        for wrong in (b'{"a": "b"}', b'{"a":1}', b'["a"]', b"", b'"a"'):
            with pytest.raises(LeafError):
                parse_personal_part(wrong)
