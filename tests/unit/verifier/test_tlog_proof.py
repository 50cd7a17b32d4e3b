from base64 import b64encode
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from log_copies import KEY, ORIGIN, OTHER_KEY, SIGNER, note_of
from proofloop_verifier.merkle import (
    ProofError,
    Subtree,
    inclusion_proof,
    inclusion_subtrees,
    leaf_hash,
    root_of,
)
from proofloop_verifier.note import Checkpoint, Note, VerifierKey, sign
from proofloop_verifier.tlog_proof import MAX_PROOF_BYTES, TlogProof

ENTRIES = [b"entry %d" % number for number in range(11)]
HASHES = [leaf_hash(entry) for entry in ENTRIES]


def root(subtree: Subtree) -> bytes:
    begin = subtree.position << subtree.level
    return root_of(HASHES[begin : begin + (1 << subtree.level)])


def proof_of(index: int, extra: bytes = b"") -> TlogProof:
    hashes = inclusion_proof(index, 11, {subtree: root(subtree) for subtree in inclusion_subtrees(index, 11)})
    return TlogProof(index, tuple(hashes), Note.parse(note_of(ENTRIES)), extra)


def base64(data: bytes) -> str:
    return b64encode(data).decode()


class TestForm:
    def test_is_that_of_the_specification(self):
        siblings = [HASHES[9], HASHES[8], root(Subtree(3, 0))]
        proof = proof_of(10, b"what else")
        assert proof.to_bytes().decode() == (
            "c2sp.org/tlog-proof@v1\n"
            "extra d2hhdCBlbHNl\n"
            "index 10\n"
            f"{base64(root(Subtree(1, 4)))}\n"
            f"{base64(siblings[2])}\n"
            "\n"
            f"{ORIGIN}\n"
            "11\n"
            f"{base64(root_of(HASHES))}\n"
            "\n" + note_of(ENTRIES).decode().partition("\n\n")[2]
        )

    @given(
        st.integers(0, 2**63 - 1),
        st.lists(st.binary(min_size=32, max_size=32), max_size=63),
        st.binary(max_size=200),
    )
    def test_reads_back_equal(self, index, hashes, extra):
        proof = TlogProof(index, tuple(hashes), Note.parse(note_of(ENTRIES)), extra)
        assert TlogProof.parse(proof.to_bytes()) == proof

    @pytest.mark.parametrize(
        ("old", "new", "reason"),
        [
            ("@v1", "@v2", "first line"),
            ("index 10", "index 010", "is missing"),
            ("index 10", "index -1", "is missing"),
            ("index 10", "index", "is missing"),
            ("extra d2hhdCBlbHNl", "extra d2hhdCBlbHN", "extra is not base64"),
            ("extra d2hhdCBlbHNl", "extra ", "'extra' is empty"),
            ("extra d2hhdCBlbHNl\n", "extra d2hhdCBlbHNl\nextra d2hhdCBlbHNl\n", "is missing"),
            ("index 10\n", "index 10\nAAAA\n", "32 bytes"),
            ("index 10\n", "index 10\n" + ("A" * 43 + "=\n") * 62, "at most 63"),
            ("index 10\n", "index 10\n\n", "tree size"),
            ("\n\n", "\n", "hash 2 is not base64"),
            ("index", "índex", "ASCII"),
        ],
    )
    def test_that_is_malformed_is_refused_with_the_reason(self, old, new, reason):
        text = proof_of(10, b"what else").to_bytes().decode()
        assert old in text
        with pytest.raises(ProofError, match=reason):
            TlogProof.parse(text.replace(old, new, 1).encode()).verify(HASHES[10], [KEY])

    def test_that_is_too_long_is_refused_unread(self):
        with pytest.raises(ProofError, match="longer"):
            TlogProof.parse(b"c" * (MAX_PROOF_BYTES + 1))


class TestVerify:
    @pytest.mark.parametrize("index", range(11))
    def test_accepts_every_entry_and_says_which_key_signed(self, index):
        checkpoint, key = proof_of(index).verify(HASHES[index], [OTHER_KEY, KEY])
        assert (checkpoint.size, checkpoint.origin, key) == (11, ORIGIN, KEY)

    def test_refuses_another_entry(self):
        with pytest.raises(ProofError, match="leads to the root"):
            proof_of(3).verify(HASHES[4], [KEY])

    @pytest.mark.parametrize("keys", [[], [OTHER_KEY], [VerifierKey.of("proofloop.local/globex", SIGNER.public_key())]])
    def test_refuses_a_checkpoint_that_no_trusted_key_of_the_log_signed(self, keys):
        with pytest.raises(ProofError, match=r"no trusted key of 'proofloop\.local/acme'"):
            proof_of(3).verify(HASHES[3], keys)

    def test_refuses_a_note_of_the_trusted_key_that_is_no_checkpoint(self):
        proof = TlogProof(0, (), sign("hello\n", ORIGIN, SIGNER))
        with pytest.raises(ProofError, match="three lines"):
            proof.verify(HASHES[0], [KEY])

    def test_refuses_a_checkpoint_of_one_log_that_the_key_of_another_signed(self):
        text = Checkpoint("proofloop.local/globex", 11, root_of(HASHES)).to_text()
        with pytest.raises(ProofError, match=r"no trusted key of 'proofloop\.local/globex'"):
            replace(proof_of(3), checkpoint=sign(text, ORIGIN, SIGNER)).verify(HASHES[3], [KEY])

    def test_refuses_it_with_any_bit_flipped(self):
        data = proof_of(7).to_bytes()
        for at in range(len(data)):
            for bit in (1, 0x80):
                altered = bytearray(data)
                altered[at] ^= bit
                with pytest.raises(ProofError):
                    TlogProof.parse(bytes(altered)).verify(HASHES[7], [KEY])
