"""The leaf and what binds it to what is kept beside it: none of this can ever change."""

import hmac
import json
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from proofloop.audit.v1 import log_pb2
from proofloop.audit.v1 import log_service_pb2 as contract
from proofloop.audit.v1.log_service_pb2_grpc import LogServiceStub
from proofloop_runtime.application import Ports
from proofloop_runtime.testing import CountingRandomness, FakeClock
from proofloop_verifier.leaf import Leaf, opens

FIRST = "0190a000-0000-7000-8000-00000000000a"
SECOND = "0190a000-0000-7000-8000-00000000000b"
CLAIM = "0190a000-0000-7000-8000-000000000001"
# What CountingRandomness gives at its first two calls: the pseudonym and the key of the first subject.
PSEUDONYM = "22911f24380d7ed4622a81d301a85008"
SUBJECT_KEY = bytes.fromhex("c56675844e72101cca21327083475e39b5e2a572e79973353f128305c0e51d60")
PART = (
    '{"actor_id":"ann@example.org","actor_type":"user","details":"{\\"amount\\": 12.50}","ip_address":"203.0.113.7",'
    '"reason":"asked by Ann","subject":"user:ann@example.org","user_agent":"Browser/1.0"}'
)


def hkdf(key: bytes, info: bytes, length: int) -> bytes:
    """HKDF-SHA256 without a salt (RFC 5869), by the book."""
    pseudorandom = hmac.digest(bytes(32), key, "sha256")
    output, block = b"", b""
    while len(output) < length:
        block = hmac.digest(pseudorandom, block + info + bytes([len(output) // 32 + 1]), "sha256")
        output += block
    return output[:length]


@pytest.fixture
async def entries(replica, new_request) -> list[log_pb2.Entry]:
    """Two entries of one claim; everything that varies is fixed."""
    clock = FakeClock()
    async with (
        replica(Ports(clock=clock, randomness=CountingRandomness())) as service,
        service.channel() as channel,
    ):
        log = LogServiceStub(channel)
        first = new_request(
            FIRST,
            actor=log_pb2.Actor(type=log_pb2.ACTOR_TYPE_USER, id="ann@example.org"),
            claim_id=CLAIM,
            reason="asked by Ann",
            ip_address="203.0.113.7",
            user_agent="Browser/1.0",
            session_id="session-1",
            correlation_id="correlation-1",
            trace_id="0af7651916cd43dd8448eb211c80319c",
            details_json='{"amount": 12.50}',
        )
        first.draft.event_time.FromJsonString("2026-01-02T03:04:05.678901Z")
        await log.AppendEntry(first)
        clock.advance(timedelta(seconds=1))
        second = new_request(
            SECOND,
            actor=log_pb2.Actor(type=log_pb2.ACTOR_TYPE_USER, id="ann@example.org"),
            claim_id=CLAIM,
            correlation_id="correlation-2",
            trace_id="1af7651916cd43dd8448eb211c80319c",
        )
        await log.AppendEntry(second)
        return list((await log.ListEntries(contract.ListEntriesRequest())).entries)


async def test_the_bytes_of_a_leaf_never_change(entries) -> None:
    salt = hkdf(SUBJECT_KEY, FIRST.encode(), 64)[:32]
    assert entries[0].leaf.decode() == (
        '{"action":"prompt.answered","append_time":"2026-01-02T03:04:05.000000Z",'
        f'"claim_id":"{CLAIM}","claim_sequence":0,"correlation_id":"correlation-1",'
        f'"entity_id":"prompt-1","entity_type":"prompt","entry_id":"{FIRST}",'
        '"event_time":"2026-01-02T03:04:05.678901Z","outcome":"success","service":"packets",'
        f'"session_id":"session-1","subjects":[{{"commitment":"{hmac.digest(salt, PART.encode(), "sha256").hex()}",'
        f'"pseudonym":"{PSEUDONYM}"}}],"tenant":"acme","trace_id":"0af7651916cd43dd8448eb211c80319c","v":1}}'
    )
    assert entries[0].leaf_hash.hex() == "4d824a313d12223737f06b8803ed3d512bb9e6f0ff9ecd48b5be4787e3054791"


async def test_a_claims_second_entry_names_the_hash_of_the_first(entries) -> None:
    leaf = json.loads(entries[1].leaf)
    assert (leaf["claim_sequence"], leaf["claim_previous"]) == (1, entries[0].leaf_hash.hex())
    assert leaf["event_time"] == leaf["append_time"] == "2026-01-02T03:04:06.000000Z"
    assert "session_id" not in leaf
    assert entries[1].leaf_hash.hex() == "4430b2a829690cddc975466f6fa21656dd72fa44ad2dc193fb711433e22fbd12"


async def test_the_salt_is_derived_from_the_subjects_key_and_the_entrys_id(entries) -> None:
    salt = hkdf(SUBJECT_KEY, FIRST.encode(), 64)[:32]
    assert salt.hex() == "9b40ddbb164b4a0af849d59ce1267119c1858272808e9818b47fcfbb28b827ac"
    [part] = entries[0].personal_parts
    assert (part.pseudonym, part.salt, part.part) == (PSEUDONYM, salt, PART)
    [committed] = Leaf.parse(entries[0].leaf).subjects
    assert opens(committed.commitment, part.salt, part.part.encode())


async def test_the_other_half_of_the_derivation_encrypts_the_part(entries, superuser) -> None:
    sealed = await superuser.fetchval("SELECT sealed_part FROM log_entry WHERE entry_id = $1", FIRST)
    key = hkdf(SUBJECT_KEY, FIRST.encode(), 64)[32:]
    assert AESGCM(key).decrypt(bytes(12), sealed, None).decode() == PART


async def test_a_part_without_optional_members_leaves_them_out(entries) -> None:
    [part] = entries[1].personal_parts
    assert part.part == '{"actor_id":"ann@example.org","actor_type":"user","subject":"user:ann@example.org"}'


async def test_nothing_personal_stands_in_a_leaf_or_in_the_clear_in_any_table(entries, superuser) -> None:
    personal = ("ann@example.org", "203.0.113.7", "Browser/1.0", "asked by Ann", "12.50")
    tables = await superuser.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    dump = ""
    for table in tables:
        rows = await superuser.fetch(f"SELECT t::text FROM {table['tablename']} t")  # noqa: S608 -- our own catalogue
        dump += "\n".join(row[0] for row in rows)
    assert FIRST in dump
    for value in personal:
        for entry in entries:
            assert value.encode() not in entry.leaf
        assert value not in dump
        assert value.encode().hex() not in dump
