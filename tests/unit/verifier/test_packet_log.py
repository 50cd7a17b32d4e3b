"""What a packet holds of the audit log: the claim's chain, its entries and their proofs, the checkpoint."""

import pytest
from packet_checks import OTHER_KEY, found
from proofloop_verifier.note import Checkpoint, VerifierKey, sign
from proofloop_verifier.report import Check, Verdict


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
