"""A packet that is sound, and whatever in its files is not: bytes, seal, evidence, summary."""

import json
import sys
from hashlib import sha256

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from packet_checks import OTHER_KEY, found
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

    @pytest.mark.parametrize(
        ("old", "new"),
        [(b'"v": 1', b'"v": true'), (b'"size": 0', b'"size": false'), (b"{", b'{"claim_id": "another", ')],
        ids=["a version", "a size", "twice"],
    )
    def test_contents_that_other_readers_may_read_otherwise_are_named(self, packet, verdict_of, old, new):
        packet.files["data/packet.json"] = packet.files["data/packet.json"].replace(old, new, 1)
        findings = found(verdict_of(), Check.CUTOFF)
        assert any("data/packet.json cannot be read" in finding.sentence for finding in findings)

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
