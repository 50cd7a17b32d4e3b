import json
import sys
from hashlib import sha256

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from proofloop_verifier.note import Checkpoint, VerifierKey, sign
from proofloop_verifier.packet import verify_packet
from proofloop_verifier.report import Check, Verdict

# Each example overwrites what the one before wrote.
reusing_fixtures = settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])

FILES = [
    "VERIFY.txt",
    "bag-info.txt",
    "bagit.txt",
    "data/audit/checkpoint.txt",
    "data/audit/entries.jsonl",
    "data/evidence/Lieferschein ü.csv",
    "data/evidence/empty.txt",
    "data/evidence/invoice 0042.pdf",
    "data/keys/log.vkey",
    "data/keys/packet-signer.pem",
    "data/packet.json",
    "data/summary.pdf",
    "manifest-sha256.txt",
    "tagmanifest-sha256.txt",
]
OTHER_KEY = VerifierKey.of("proofloop.local/acme", Ed25519PrivateKey.from_private_bytes(b"\x09" * 32).public_key())


@pytest.fixture
def verdict_of(packet, written):
    """Verify the builder's packet, as it was altered, with its log's key trusted."""
    return lambda: verify_packet(written(packet), [packet.log_key])


def found(report, check):
    return [finding for finding in report.findings if finding.check is check]


class TestASoundPacket:
    def test_of_a_trusted_log_is_verified(self, packet, written):
        report = verify_packet(written(packet), [OTHER_KEY, packet.log_key])
        assert report.findings == ()
        assert report.verdict is Verdict.VERIFIED
        assert (report.entries_proven, report.evidence_files) == (6, 3)
        assert report.key_fingerprint == packet.log_key.fingerprint

    @pytest.mark.parametrize("trusted", [[], [OTHER_KEY]])
    def test_of_an_unknown_log_is_consistent_and_no_more(self, packet, written, trusted):
        report = verify_packet(written(packet), trusted)
        assert report.findings == ()
        assert report.verdict is Verdict.CONSISTENT_UNKNOWN_KEY
        assert report.key_fingerprint == packet.log_key.fingerprint

    def test_may_withhold_personal_parts_other_than_its_seal(self, packet, verdict_of):
        entries = packet.entries()
        for entry in entries[:-1]:
            entry["personal"] = []
        packet.set_entries(entries)
        assert verdict_of().verdict is Verdict.VERIFIED

    def test_is_reported_as_json_of_plain_values(self, packet, written):
        report = verify_packet(written(packet)).to_json()
        assert json.loads(json.dumps(report)) == report
        assert report["verdict"] == "consistent_unknown_key"


class TestOneFlippedByte:
    def test_the_list_of_files_is_that_of_a_packet(self, packet):
        assert sorted(packet.with_manifests()) == FILES

    @pytest.mark.parametrize("name", FILES)
    @pytest.mark.parametrize("at", [0, 0.5, 1])
    def test_in_any_file_is_named(self, packet, zipped, name, at):
        files = packet.with_manifests()
        files[name] = flipped(files[name], int(at * (len(files[name]) - 1)), 0)
        assert_named(verify_packet(zipped(files), [packet.log_key]), name)

    @reusing_fixtures
    @given(name=st.sampled_from(FILES), at=st.integers(0, 2**20), bit=st.integers(0, 7))
    def test_anywhere_in_any_file_is_named(self, packet, zipped, name, at, bit):
        files = packet.with_manifests()
        files[name] = flipped(files[name], at % max(len(files[name]), 1), bit)
        assert_named(verify_packet(zipped(files), [packet.log_key]), name)

    @pytest.mark.parametrize("name", [n for n in FILES if n.startswith("data/") and not n.endswith(".pem")])
    def test_is_named_though_the_manifests_were_made_to_fit(self, packet, verdict_of, name):
        packet.files[name] = flipped(packet.files[name], len(packet.files[name]) // 2, 0)
        assert_named(verdict_of(), name)

    def test_in_the_archive_itself_is_named_as_damage_to_the_file(self, packet, written):
        path = written(packet)
        data = bytearray(path.read_bytes())
        data[data.index(b"units")] ^= 1
        path.write_bytes(data)
        assert_named(verify_packet(path), "data/evidence/Lieferschein ü.csv")


class TestTheClaimsChain:
    @pytest.mark.parametrize("removed", range(5))
    def test_names_the_number_of_an_entry_that_was_left_out(self, packet, verdict_of, removed):
        entries = packet.entries()
        del entries[removed]
        packet.set_entries(entries)
        report = verdict_of()
        assert report.verdict is Verdict.FAILED
        [finding] = found(report, Check.CHAIN)
        assert f"is number {removed + 1}, and number {removed} was left out before it" in finding.sentence

    def test_names_the_numbers_of_several_entries_that_were_left_out(self, packet, verdict_of):
        entries = packet.entries()
        packet.set_entries([entries[0], *entries[4:]])
        [finding] = found(verdict_of(), Check.CHAIN)
        assert "is number 4, and 1 to 3 were left out before it" in finding.sentence

    def test_that_lost_its_end_is_not_sealed(self, packet, verdict_of):
        packet.set_entries(packet.entries()[:-1])
        [finding] = found(verdict_of(), Check.CUTOFF)
        assert "the end was left out" in finding.sentence

    def test_of_no_entries_at_all_is_not_sealed(self, packet, verdict_of):
        packet.set_entries([])
        report = verdict_of()
        assert found(report, Check.CUTOFF)
        assert found(report, Check.CHAIN)[0].not_checked

    def test_does_not_accept_entries_in_another_order_or_twice(self, packet, verdict_of):
        first, second, *rest = packet.entries()
        packet.set_entries([second, first, *rest])
        assert found(verdict_of(), Check.CHAIN)
        packet.set_entries([first, first, second, *rest])
        assert found(verdict_of(), Check.CHAIN)

    def test_does_not_accept_an_entry_that_follows_on_another(self, packet, verdict_of):
        leaf = packet.log.entries[2][1]
        other = leaf.to_bytes().replace(leaf.claim.previous.hex().encode(), b"0" * 64)
        entries = packet.entries()
        entries[2]["leaf"] = other.decode()
        packet.set_entries(entries)
        report = verdict_of()
        assert "does not follow on audit entry 3" in found(report, Check.CHAIN)[0].sentence
        assert found(report, Check.INCLUSION)

    def test_runs_in_the_order_of_the_log(self, packet, verdict_of):
        log = packet.log
        (first, *one), (second, *other) = log.entries[:2]
        log.entries[:2] = [(second, *one), (first, *other)]
        log.hashes[first], log.hashes[second] = log.hashes[second], log.hashes[first]
        packet.files = packet.make_files()
        report = verdict_of()
        [finding] = report.findings
        assert "audit entry 1 (evidence.uploaded) stands in the log before audit entry 3" in finding.sentence

    @pytest.mark.parametrize(
        ("old", "new", "sentence"),
        [
            ('"tenant":"acme"', '"tenant":"evil"', "belongs to 'evil', and the log to 'acme'"),
            ("00000000cccc", "00000000dddd", "belongs to another claim"),
        ],
    )
    def test_is_of_one_claim_and_of_the_logs_tenant(self, packet, verdict_of, old, new, sentence):
        entries = packet.entries()
        entries[3]["leaf"] = entries[3]["leaf"].replace(old, new)
        packet.set_entries(entries)
        assert sentence in found(verdict_of(), Check.CHAIN)[0].sentence


class TestAnEntry:
    def test_that_was_rewritten_is_not_in_the_log(self, packet, verdict_of):
        entries = packet.entries()
        entries[1]["leaf"] = entries[1]["leaf"].replace("success", "failure")
        packet.set_entries(entries)
        report = verdict_of()
        assert [finding.subject for finding in found(report, Check.INCLUSION)] == ["audit entry 3 (evidence.uploaded)"]
        assert report.entries_proven == 5

    def test_whose_disclosed_part_was_altered_is_named(self, packet, verdict_of):
        entries = packet.entries()
        entries[1]["personal"][0]["part"] = entries[1]["personal"][0]["part"].replace("user-1", "user-2")
        packet.set_entries(entries)
        [finding] = found(verdict_of(), Check.PERSONAL)
        assert finding.subject == "audit entry 3 (evidence.uploaded)"

    def test_whose_disclosed_part_is_given_to_another_person_is_named(self, packet, verdict_of):
        entries = packet.entries()
        entries[1]["personal"][0]["pseudonym"] = "0" * 32
        packet.set_entries(entries)
        assert "subject '00000000" in found(verdict_of(), Check.PERSONAL)[0].sentence

    @pytest.mark.parametrize(
        "line",
        [
            b"",
            b"{",
            b"[]",
            b"\xff",
            b"[" * 100_000,
            b'{"index":0}',
            b'{"index":"0","leaf":"","proof":[],"personal":[]}',
            b'{"index":0,"leaf":"\\ud800","proof":[],"personal":[]}',
            b'{"index":0,"leaf":"{}","proof":[],"personal":[]}',
            b'{"index":0,"leaf":"{}","proof":"","personal":[]}',
            b'{"index":%s,"leaf":"{}","proof":[],"personal":[]}' % (b"9" * 5000),
        ],
    )
    def test_that_is_malformed_is_named_by_its_line(self, packet, verdict_of, line):
        lines = packet.files["data/audit/entries.jsonl"].split(b"\n")
        packet.files["data/audit/entries.jsonl"] = b"\n".join([lines[0], line, *lines[2:]])
        report = verdict_of()
        [finding] = found(report, Check.LEAF)
        assert finding.subject == "data/audit/entries.jsonl line 2"
        assert found(report, Check.CHAIN) == []

    @pytest.mark.parametrize("change", [{"proof": ["00"]}, {"proof": [5]}, {"personal": [5]}, {"personal": [{}]}])
    def test_with_a_malformed_proof_or_part_is_named_by_its_line(self, packet, verdict_of, change):
        entries = packet.entries()
        entries[0] |= change
        packet.set_entries(entries)
        assert found(verdict_of(), Check.LEAF)[0].subject == "data/audit/entries.jsonl line 1"

    def test_too_many_broken_ones_are_not_all_listed(self, packet, verdict_of):
        packet.files["data/audit/entries.jsonl"] = b"{}\n" * 5000
        findings = found(verdict_of(), Check.LEAF)
        assert len(findings) == 1001
        assert "from line 1001 on" in findings[-1].sentence


class TestTheCheckpoint:
    def resign(self, packet, checkpoint, name, signer):
        packet.files["data/audit/checkpoint.txt"] = sign(checkpoint.to_text(), name, signer).to_bytes()

    def checkpoint(self, packet):
        return Checkpoint.parse(packet.files["data/audit/checkpoint.txt"].decode().partition("\n\n")[0] + "\n")

    def test_that_was_altered_is_named(self, packet, verdict_of):
        name = "data/audit/checkpoint.txt"
        packet.files[name] = packet.files[name].replace(b"acme\n12\n", b"acme\n13\n")
        report = verdict_of()
        assert found(report, Check.CHECKPOINT)[0].subject == name
        assert report.key_fingerprint is None

    def test_by_a_key_other_than_the_packets_own_is_named(self, packet, verdict_of):
        packet.files["data/keys/log.vkey"] = f"{OTHER_KEY}\n".encode()
        [finding] = found(verdict_of(), Check.CHECKPOINT)
        assert finding.subject == "data/keys/log.vkey"

    def test_of_another_log_than_its_key_is_named(self, packet, verdict_of):
        key = VerifierKey.of("elsewhere", packet.log_signer.public_key())
        packet.files["data/keys/log.vkey"] = f"{key}\n".encode()
        self.resign(packet, self.checkpoint(packet), "elsewhere", packet.log_signer)
        [finding] = found(verdict_of(), Check.CHECKPOINT)
        assert "'proofloop.local/acme' is signed by the key of 'elsewhere'" in finding.sentence

    @pytest.mark.parametrize("text", [b"", b"\xff", b"a\n\nb\n"])
    def test_that_is_none_leaves_the_entries_unproven(self, packet, verdict_of, text):
        packet.files["data/audit/checkpoint.txt"] = text
        report = verdict_of()
        assert report.first_failure.check is Check.CHECKPOINT
        assert report.entries_proven == 0
        assert all(finding.not_checked for finding in found(report, Check.INCLUSION))


class TestTheSeal:
    def test_does_not_hold_for_other_contents(self, packet, verdict_of):
        packet.files["data/packet.json"] = packet.files["data/packet.json"].replace(b"Lost", b"Held")
        [finding] = found(verdict_of(), Check.CUTOFF)
        assert finding.sentence == "The contents data/packet.json are not those that the log seals."

    def test_does_not_hold_for_another_packet(self, packet, verdict_of):
        packet.top = "another"
        sentences = " ".join(finding.sentence for finding in found(verdict_of(), Check.CUTOFF))
        assert "and this one is 'another'" in sentences
        assert "expected 'another'" in sentences

    def test_does_not_hold_for_another_signer_of_the_summary(self, packet, verdict_of, certificate, signed_pdf):
        snapshot = sha256(packet.files["data/packet.json"]).hexdigest()
        packet.files["data/keys/packet-signer.pem"] = certificate(2)[1].public_bytes(Encoding.PEM)
        packet.files["data/summary.pdf"] = signed_pdf(snapshot, 2)
        report = verdict_of()
        assert [finding.subject for finding in report.findings] == ["data/keys/packet-signer.pem"]

    def test_must_be_disclosed(self, packet, verdict_of):
        entries = packet.entries()
        entries[-1]["personal"] = []
        packet.set_entries(entries)
        assert "seals is not disclosed" in found(verdict_of(), Check.CUTOFF)[0].sentence

    @pytest.mark.parametrize("contents", [b"", b"{}", b"\xff", b"[" * 100_000, b'{"v":1,"evidence":[1]}'])
    def test_contents_that_cannot_be_read_are_named(self, packet, verdict_of, contents):
        packet.files["data/packet.json"] = contents
        report = verdict_of()
        assert {finding.subject for finding in found(report, Check.CUTOFF)} == {"data/packet.json"}
        assert found(report, Check.EVIDENCE)[0].not_checked

    @pytest.mark.parametrize("pem", [b"", b"\xff", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
    def test_a_certificate_that_cannot_be_read_is_named(self, packet, verdict_of, pem):
        packet.files["data/keys/packet-signer.pem"] = pem
        report = verdict_of()
        assert found(report, Check.CUTOFF)[0].subject == "data/keys/packet-signer.pem"
        assert found(report, Check.PDF)[0].not_checked


class TestEvidence:
    def test_that_was_exchanged_is_named(self, packet, verdict_of):
        packet.files["data/evidence/empty.txt"] = b"no longer"
        report = verdict_of()
        assert [finding.subject for finding in report.findings] == ["data/evidence/empty.txt"]
        assert report.evidence_files == 2

    def test_that_was_taken_out_is_named(self, packet, verdict_of):
        del packet.files["data/evidence/empty.txt"]
        report = verdict_of()
        assert [finding.subject for finding in report.findings] == ["data/evidence/empty.txt"]

    @pytest.mark.parametrize(
        ("name", "check"),
        [("data/evidence/more.txt", Check.EVIDENCE), ("data/more.txt", Check.BAG), ("READ.me", Check.BAG)],
    )
    def test_or_any_file_that_was_added_is_named(self, packet, verdict_of, name, check):
        packet.files[name] = b"more"
        [finding] = verdict_of().findings
        assert (finding.subject, finding.check) == (name, check)

    def test_that_is_not_what_the_log_saw_uploaded_is_named(self, packet, verdict_of):
        packet.log.entries.clear()
        packet.log.hashes.clear()
        sound = packet.snapshot["evidence"]
        packet.snapshot["evidence"] = [sound[0] | {"sha256": "0" * 64}, *sound[1:]]
        for item in packet.snapshot["evidence"]:
            packet.log.append("evidence.uploaded", "evidence", item["evidence_id"], {"sha256": item["sha256"]})
        packet.snapshot["evidence"] = sound
        packet.cut_off()
        packet.files = packet.make_files()
        [finding] = verdict_of().findings
        assert finding.sentence.endswith("is not the one whose upload the log recorded.")


class TestTheSummary:
    def test_is_not_checked_without_the_extra_and_the_packet_not_verified(self, verdict_of, monkeypatch):
        monkeypatch.delitem(sys.modules, "proofloop_verifier.pdf", raising=False)
        monkeypatch.setitem(sys.modules, "pyhanko.pdf_utils.reader", None)
        report = verdict_of()
        [finding] = report.findings
        assert "install proofloop-verifier[pdf]" in finding.sentence
        assert finding.not_checked
        assert report.verdict is Verdict.FAILED

    def test_that_is_missing_is_named(self, packet, verdict_of):
        del packet.files["data/summary.pdf"]
        assert "the file data/summary.pdf is missing" in found(verdict_of(), Check.PDF)[0].sentence


def test_findings_stand_in_the_order_of_the_checks(packet, verdict_of):
    packet.files["data/summary.pdf"] = b"no PDF"
    packet.files["data/packet.json"] = b"{}"
    packet.files["data/audit/checkpoint.txt"] = b""
    del packet.files["VERIFY.txt"]
    report = verdict_of()
    order = list(Check)
    checks = [order.index(finding.check) for finding in report.findings]
    assert checks == sorted(checks)
    assert report.first_failure.subject == "VERIFY.txt"


def test_texts_of_hostile_files_cannot_steer_a_terminal(packet, verdict_of):
    contents = json.loads(packet.files["data/packet.json"])
    contents["evidence"][0]["path"] = "evidence/\x1b[2J\ud800"
    packet.files["data/packet.json"] = json.dumps(contents).encode()
    for finding in verdict_of().findings:
        assert finding.sentence.isprintable()
        assert finding.subject.isprintable()


@reusing_fixtures
@given(
    name=st.sampled_from(["data/packet.json", "data/audit/entries.jsonl", "data/summary.pdf", "data/keys/log.vkey"]),
    content=st.binary(max_size=200),
)
def test_whatever_a_file_holds_the_answer_is_a_report(packet, zipped, name, content):
    sound = dict(packet.files)
    packet.files[name] = content
    report = verify_packet(zipped(packet.with_manifests()), [packet.log_key])
    packet.files = sound
    assert report.verdict is Verdict.FAILED


def flipped(data: bytes, at: int, bit: int) -> bytes:
    if not data:
        return b"\x01"
    return data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :]


def assert_named(report, name):
    assert report.verdict is Verdict.FAILED
    assert any(name in (finding.subject + finding.sentence) for finding in report.findings)
