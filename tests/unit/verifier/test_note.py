from base64 import b64decode, b64encode

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import assume, given
from hypothesis import strategies as st
from proofloop_verifier.note import (
    MAX_NOTE_BYTES,
    Checkpoint,
    Note,
    NoteError,
    NoteSignature,
    VerifierKey,
    sign,
)

# The key and note that Go's package golang.org/x/mod/sumdb/note tests with, and the key of sum.golang.org.
GO_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_SEED = b64decode("AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz")[1:]
GO_TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
GO_NOTE = (
    f"{GO_TEXT}\n— PeterNeumann "
    "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
).encode()
SUM_GOLANG_ORG = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8"

ORIGIN = "proofloop.local/acme"
SIGNER = Ed25519PrivateKey.from_private_bytes(b"\x01" * 32)
KEY = VerifierKey.of(ORIGIN, SIGNER.public_key())
OTHER_SIGNER = Ed25519PrivateKey.from_private_bytes(b"\x02" * 32)
OTHER_KEY = VerifierKey.of("proofloop.local/other", OTHER_SIGNER.public_key())

printable = st.characters(exclude_categories=["Cs", "Cc", "Z"], exclude_characters="+")
names = st.text(printable, min_size=1)
lines = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1)


class TestVerifierKey:
    @pytest.mark.parametrize("text", [GO_KEY, SUM_GOLANG_ORG])
    def test_keys_of_the_go_project_read_back_as_written(self, text):
        assert str(VerifierKey.parse(text)) == text

    @given(names, st.binary(min_size=32, max_size=32))
    def test_any_key_reads_back_equal(self, name, public_key):
        key = VerifierKey(name, public_key)
        assert VerifierKey.parse(str(key)) == key

    def test_the_fingerprint_begins_with_the_key_id(self):
        key = VerifierKey.parse(GO_KEY)
        assert len(key.fingerprint) == 64
        assert key.fingerprint.startswith("c74f20a3")

    def test_no_part_of_a_key_is_a_key(self):
        for begin in range(len(GO_KEY)):
            for end in range(begin + 1, len(GO_KEY) + 1):
                if (begin, end) != (0, len(GO_KEY)):
                    with pytest.raises(NoteError):
                        VerifierKey.parse(GO_KEY[begin:end])

    def test_a_key_with_one_character_changed_is_refused(self):
        for at, character in enumerate(GO_KEY):
            with pytest.raises(NoteError):
                VerifierKey.parse(GO_KEY[:at] + chr(ord(character) + 1) + GO_KEY[at + 1 :])

    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            ("PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY==", "base64"),
            ("PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", "type Ed25519"),
            ("PeterNeumann+C74F20A3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", "key id"),
            ("Peter Neumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", "key name"),
            ("+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", "key name"),
            (GO_KEY + "\n", "base64"),
            ("PeterNeumann", "form"),
        ],
    )
    def test_a_malformed_key_is_refused_with_the_reason(self, text, reason):
        with pytest.raises(NoteError, match=reason):
            VerifierKey.parse(text)


class TestNote:
    def test_the_go_projects_note_verifies(self):
        key = VerifierKey.parse(GO_KEY)
        assert Note.parse(GO_NOTE).text == GO_TEXT
        assert Note.parse(GO_NOTE).verify([key]) == (key,)

    def test_signing_repeats_the_go_projects_note_byte_for_byte(self):
        signed = sign(GO_TEXT, "PeterNeumann", Ed25519PrivateKey.from_private_bytes(GO_SEED))
        assert signed.to_bytes() == GO_NOTE

    @given(st.lists(lines, min_size=1).map("\n".join), names)
    def test_any_signed_text_reads_back_and_verifies(self, text, name):
        note = sign(text + "\n", name, SIGNER)
        key = VerifierKey.of(name, SIGNER.public_key())
        assert Note.parse(note.to_bytes()) == note
        assert note.verify([key]) == (key,)

    def test_empty_lines_belong_to_the_text_up_to_the_last_one(self):
        note = sign("a\n\n\nb\n", ORIGIN, SIGNER)
        assert Note.parse(note.to_bytes()).text == "a\n\n\nb\n"

    def test_signatures_by_unknown_keys_are_ignored(self):
        ours, theirs = sign("text\n", ORIGIN, SIGNER), sign("text\n", OTHER_KEY.name, OTHER_SIGNER)
        both = Note("text\n", (*theirs.signatures, *ours.signatures))
        assert Note.parse(both.to_bytes()).verify([KEY]) == (KEY,)
        assert both.verify([KEY, OTHER_KEY]) == (KEY, OTHER_KEY)
        assert theirs.verify([KEY]) == ()

    def test_a_signature_under_the_same_name_by_another_key_is_ignored(self):
        assert sign("text\n", ORIGIN, OTHER_SIGNER).verify([KEY]) == ()

    def test_a_signature_that_names_a_known_key_and_does_not_hold_is_refused(self):
        signed = sign("text\n", ORIGIN, SIGNER)
        with pytest.raises(NoteError, match="signature by proofloop"):
            Note("another text\n", signed.signatures).verify([KEY])
        forged = NoteSignature(ORIGIN, KEY.key_id, OTHER_SIGNER.sign(b"text\n"))
        with pytest.raises(NoteError, match="does not hold"):
            Note("text\n", (*signed.signatures, forged)).verify([KEY])

    @given(st.data())
    def test_no_flipped_bit_verifies(self, data):
        at = data.draw(st.integers(0, len(GO_NOTE) * 8 - 1))
        flipped = bytearray(GO_NOTE)
        flipped[at // 8] ^= 1 << at % 8
        try:
            signers = Note.parse(bytes(flipped)).verify([VerifierKey.parse(GO_KEY)])
        except NoteError:
            return
        assert signers == ()

    @pytest.mark.parametrize(
        ("mutate", "reason"),
        [
            (lambda note: note[:0], "lacks a text"),
            (lambda note: note[:-1], "end in newlines"),
            (lambda note: note.replace(b"\n\n", b"\n"), "blank line"),
            (lambda note: note + b"\n", "end in newlines"),
            (lambda note: note.replace(b"If", b"I\xff"), "not UTF-8"),
            (lambda note: note.replace(b"If", b"I\x01"), "control characters"),
            (lambda note: note.replace(b"If", b"I\r"), "control characters"),
            (lambda note: note.replace("—".encode(), b"-"), "signature line"),
            (lambda note: note.replace("— ".encode(), "—  ".encode()), "key name"),
            (lambda note: note.replace(b"PeterNeumann ", b"Peter+Neumann "), "key name"),
            (lambda note: note.replace(b"PeterNeumann ", "Peter\u00a0Neumann ".encode()), "key name"),
            (lambda note: note.replace(b"AM=\n", b"AN=\n"), "canonical base64"),
            (lambda note: note.replace(b"AM=\n", b"AM=\n\xe2\x80\x94 a AAAA\n"), "too short"),
            (lambda note: note.replace(b"AM=\n", b"AM\n"), "base64"),
            (lambda note: note + b"\xe2\x80\x94 a AAAAAAA=\n" * 100, "at most 100 signatures"),
            (lambda note: b"a" * MAX_NOTE_BYTES + note, "longer than"),
        ],
    )
    def test_a_malformed_note_is_refused_with_the_reason(self, mutate, reason):
        with pytest.raises(NoteError, match=reason):
            Note.parse(mutate(GO_NOTE))

    @given(st.binary() | st.text().map(lambda text: (text + "\n\n— a AAAAAAA=\n").encode(errors="replace")))
    def test_no_bytes_raise_anything_but_the_documented_error(self, data):
        try:
            note = Note.parse(data)
        except NoteError:
            return
        assert note.to_bytes() == data

    @pytest.mark.parametrize("text", ["", "no newline", "a\ttab\n"])
    def test_a_text_that_no_note_can_hold_is_not_signed(self, text):
        with pytest.raises(NoteError):
            sign(text, ORIGIN, SIGNER)


class TestCheckpoint:
    def test_the_example_of_the_specification(self):
        text = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
        checkpoint = Checkpoint.parse(text)
        assert checkpoint.origin == "example.com/behind-the-sofa"
        assert checkpoint.size == 20852163
        assert checkpoint.root == b64decode("CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=")
        assert checkpoint.to_text() == text

    @given(lines, st.integers(0, 2**63 - 1), st.binary(min_size=32, max_size=32), st.lists(lines))
    def test_any_checkpoint_reads_back_equal_through_a_signed_note(self, origin, size, root, extensions):
        checkpoint = Checkpoint(origin, size, root, tuple(extensions))
        note = Note.parse(sign(checkpoint.to_text(), ORIGIN, SIGNER).to_bytes())
        assert note.verify([KEY]) == (KEY,)
        assert Checkpoint.parse(note.text) == checkpoint

    ROOT = b64encode(bytes(32)).decode()

    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            ("", "three lines"),
            (f"a\n1\n{ROOT}", "three lines"),
            ("a\n1\n", "three lines"),
            (f"\n1\n{ROOT}\n", "must not be empty"),
            (f"a\n1\n{ROOT}\n\nb\n", "must not be empty"),
            (f"a\n01\n{ROOT}\n", "plain decimal"),
            (f"a\n+1\n{ROOT}\n", "plain decimal"),
            (f"a\n1_0\n{ROOT}\n", "plain decimal"),
            (f"a\n\u0661\n{ROOT}\n", "plain decimal"),
            (f"a\n{10**19}\n{ROOT}\n", "plain decimal"),
            (f"a\n{2**63}\n{ROOT}\n", "2\\*\\*63"),
            ("a\n1\nAAAA\n", "32 bytes, not 3"),
            (f"a\n1\n{ROOT[:-2]}B=\n", "canonical base64"),
            (f"a\n1\n{ROOT} \n", "base64"),
            ("a\n1\n\N{GREEK SMALL LETTER ALPHA}\n", "base64"),
        ],
    )
    def test_a_malformed_checkpoint_is_refused_with_the_reason(self, text, reason):
        with pytest.raises(NoteError, match=reason):
            Checkpoint.parse(text)

    @given(st.text())
    def test_no_text_raises_anything_but_the_documented_error(self, text):
        try:
            checkpoint = Checkpoint.parse(text)
        except NoteError:
            return
        assume(checkpoint)
        assert checkpoint.to_text() == text
