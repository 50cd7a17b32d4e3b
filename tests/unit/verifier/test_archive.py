import stat
import struct
import zipfile
import zlib
from hashlib import sha256, shake_256

import bagit
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from proofloop_verifier.archive import MAX_FILES, MAX_LINE_BYTES, Archive, ArchiveError, UnsafeArchiveError
from proofloop_verifier.packet import verify_packet
from proofloop_verifier.report import Check, Verdict

# Each example overwrites what the one before wrote.
reusing_fixtures = settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


@pytest.fixture
def zip_of(tmp_path):
    """Write entries, given as names or ZipInfo with content, and hand out the path."""

    def write(*entries, compression=zipfile.ZIP_STORED):
        path = tmp_path / "packet.zip"
        with zipfile.ZipFile(path, "w", compression) as archive:
            for entry, content in entries:
                archive.writestr(entry, content)
        return path

    return write


def refusal(path):
    with pytest.raises(UnsafeArchiveError) as refused:
        Archive.open(path)
    report = verify_packet(path)
    assert report.verdict is Verdict.FAILED
    assert list(report.findings) == refused.value.findings
    assert {finding.check for finding in report.findings} == {Check.ARCHIVE}
    return " ".join(finding.sentence for finding in report.findings)


class TestNames:
    @pytest.mark.parametrize(
        ("name", "reason"),
        [
            ("/etc/passwd", "absolute"),
            ("C:/windows", "absolute"),
            ("../a", "dots alone"),
            ("top/../../a", "dots alone"),
            ("top/./a", "dots alone"),
            ("top//a", "empty part"),
            ("top\\a", "backslash"),
            ("top/a\x1b[2J", "control characters"),
            ("top/a\u2028b", "control characters"),
            ("a", "outside the top folder"),
        ],
    )
    def test_that_could_lead_elsewhere_are_refused(self, zip_of, name, reason):
        assert reason in refusal(zip_of((name, b"")))

    @pytest.mark.parametrize("name", [b"top/a\0b", b"\0op/a|b"])
    def test_that_end_early_for_some_readers_are_refused(self, zip_of, name):
        path = zip_of(("top/a|b", b""))
        path.write_bytes(path.read_bytes().replace(b"top/a|b", name))
        assert "control characters" in refusal(path)

    @pytest.mark.filterwarnings("ignore:Duplicate name")
    @pytest.mark.parametrize("pair", [("a", "a"), ("a", "A"), ("stra\u00dfe", "STRASSE"), ("\u00e9", "e\u0301")])
    def test_that_a_system_could_take_for_one_are_refused(self, zip_of, pair):
        path = zip_of(*((f"top/{name}", b"") for name in pair))
        assert "cannot tell apart" in refusal(path)

    def test_in_two_top_folders_are_refused(self, zip_of):
        assert "one top folder" in refusal(zip_of(("one/a", b""), ("two/b", b"")))

    def test_all_unsafe_ones_are_listed(self, zip_of):
        sentences = refusal(zip_of(("/a", b""), ("../b", b"")))
        assert "'/a'" in sentences
        assert "'../b'" in sentences

    def test_of_any_language_are_read(self, zip_of):
        path = zip_of(("top/Lieferschein \u00fc \u202f \u65e5\u672c.txt", b""), ("top/", b""))
        with Archive.open(path) as archive:
            assert archive.names == ["Lieferschein \u00fc \u202f \u65e5\u672c.txt"]
            assert archive.top == "top"


class TestEntries:
    def test_that_are_links_or_devices_are_refused(self, zip_of):
        for kind in (stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO):
            info = zipfile.ZipInfo("top/link")
            info.external_attr = (kind | 0o777) << 16
            assert "a link" in refusal(zip_of((info, b"/etc/passwd")))

    def test_that_are_encrypted_are_refused(self, zip_of):
        path = zip_of(("top/a", b"secret"))
        patch(path, b"PK\x01\x02", 8, struct.pack("<H", 1))
        assert "encrypted" in refusal(path)

    def test_in_rare_compression_are_refused(self, zip_of):
        assert "compression method 12" in refusal(zip_of(("top/a", b"a"), compression=zipfile.ZIP_BZIP2))

    def test_that_claim_more_than_their_bytes_can_hold_are_refused(self, zip_of):
        path = zip_of(("top/a", b"a" * 100), compression=zipfile.ZIP_DEFLATED)
        patch(path, b"PK\x01\x02", 24, struct.pack("<I", 2**31))
        assert "more than its bytes can hold" in refusal(path)

    def test_that_unpack_to_far_more_than_the_archive_are_refused(self, zip_of):
        path = zip_of(("top/a", shake_256(b"").digest(2**20 + 2**17)), compression=zipfile.ZIP_DEFLATED)
        patch(path, b"PK\x01\x02", 24, struct.pack("<I", 2**30 + 1))
        assert "far beyond the archive's size" in refusal(path)

    def test_that_overlap_are_refused(self, zip_of):
        path = zip_of(("top/a", b"a" * 100), ("top/b", b"b" * 100))
        data = bytearray(path.read_bytes())
        second = data.rindex(b"PK\x01\x02")
        data[second + 42 : second + 46] = struct.pack("<I", 0)
        path.write_bytes(data)
        assert "overlaps" in refusal(path)

    @pytest.mark.parametrize("claimed", [0, 1, 5, 999])
    def test_that_are_of_another_size_than_declared_are_damaged(self, zip_of, claimed):
        content = b"0123456789" * 10
        path = zip_of(("top/a", content), compression=zipfile.ZIP_DEFLATED)
        patch(path, b"PK\x01\x02", 24, struct.pack("<I", claimed))
        patch(path, b"PK\x01\x02", 16, struct.pack("<I", zlib.crc32(content[:claimed])))
        with Archive.open(path) as archive, pytest.raises(ArchiveError, match="the file a is"):
            archive.digest("a")

    def test_that_are_too_many_are_refused(self, zip_of):
        path = zip_of(*((f"top/{number}", b"") for number in range(MAX_FILES + 1)))
        assert f"at most {MAX_FILES} are read" in refusal(path)


class TestWholeFiles:
    @pytest.mark.parametrize("data", [b"", b"PK", b"no archive at all", b"PK\x05\x06" + bytes(18)])
    def test_that_are_no_archive_are_refused(self, tmp_path, data):
        path = tmp_path / "packet.zip"
        path.write_bytes(data)
        assert refusal(path)

    def test_that_are_cut_short_are_refused(self, zip_of):
        path = zip_of(("top/a", b"a" * 1000))
        path.write_bytes(path.read_bytes()[:-30])
        assert "not a readable ZIP" in refusal(path)

    def test_with_something_before_or_after_are_refused(self, zip_of):
        path = zip_of(("top/a", b"a"))
        data = path.read_bytes()
        path.write_bytes(b"#!/bin/sh\n" + data)
        assert "before the archive's first file" in refusal(path)
        path.write_bytes(data[:-2] + struct.pack("<H", 4) + b"more")
        assert "comment" in refusal(path)

    def test_that_do_not_exist_are_refused(self, tmp_path):
        assert "not a readable ZIP" in refusal(tmp_path / "none.zip")

    def test_whose_directory_is_too_long_to_keep_are_refused(self, tmp_path):
        path = tmp_path / "packet.zip"
        size = 17 * 2**20
        with path.open("wb") as file:
            file.truncate(size)
            file.seek(size)
            file.write(b"PK\x05\x06" + struct.pack("<4H2LH", 0, 0, 1, 1, size, 0, 0))
        assert "directory is longer" in refusal(path)


class TestContent:
    def test_is_streamed_through_its_hash(self, zip_of):
        content = b"x" * (3 * 2**20 + 5)
        with Archive.open(zip_of(("top/a", content))) as archive:
            assert archive.digest("a").sha256 == sha256(content).hexdigest()
            assert archive.digest("a").size == len(content)
            assert max(map(len, archive.chunks("a"))) == 2**20

    def test_comes_in_lines_across_pieces(self, zip_of):
        lines = [b"%d" % number * 1000 for number in range(3000)]
        with Archive.open(zip_of(("top/a", b"".join(line + b"\n" for line in lines)))) as archive:
            assert list(archive.lines("a")) == lines

    @pytest.mark.parametrize(
        ("content", "reason"),
        [(b"a", "does not end in a newline"), (b"x" * (MAX_LINE_BYTES + 1), "has a line of")],
    )
    def test_that_is_not_lines_is_an_error(self, zip_of, content, reason):
        with Archive.open(zip_of(("top/a", content))) as archive, pytest.raises(ArchiveError, match=reason):
            list(archive.lines("a"))


class TestTheBag:
    def test_is_valid_to_another_implementation_too(self, packet, written, tmp_path):
        with zipfile.ZipFile(written(packet)) as archive:
            archive.extractall(tmp_path / "unzipped")
        assert bagit.Bag(str(tmp_path / "unzipped" / packet.top)).is_valid()

    @pytest.mark.parametrize(
        ("file", "change", "named"),
        [
            ("manifest-sha256.txt", lambda text: text.upper(), "manifest-sha256.txt"),
            ("manifest-sha256.txt", lambda text: text.replace(b"  ", b" "), "manifest-sha256.txt"),
            ("manifest-sha256.txt", lambda text: text[:-1], "manifest-sha256.txt"),
            (
                "manifest-sha256.txt",
                lambda text: text + text[-200:].split(b"\n", 1)[1],
                "manifest-sha256.txt",
            ),
            ("manifest-sha256.txt", lambda text: text + b"0" * 64 + b"  data/none\n", "data/none"),
            ("manifest-sha256.txt", lambda text: text + b"0" * 64 + b"  \xff\n", "\ufffd"),
            ("bagit.txt", lambda text: text.replace(b"1.0", b"0.9"), "bagit.txt"),
        ],
    )
    def test_that_is_malformed_is_named(self, packet, zipped, file, change, named):
        files = packet.with_manifests()
        files[file] = change(files[file])
        findings = [finding for finding in verify_packet(zipped(files)).findings if finding.check is Check.BAG]
        assert named in {finding.subject for finding in findings}

    @pytest.mark.parametrize("name", ["bagit.txt", "manifest-sha256.txt", "tagmanifest-sha256.txt", "bag-info.txt"])
    def test_that_lacks_a_file_of_its_own_is_named(self, packet, zipped, name):
        files = packet.with_manifests()
        del files[name]
        assert name in {finding.subject for finding in verify_packet(zipped(files)).findings}

    @pytest.mark.parametrize("name", ["more.txt", "data/evidence/more.txt"])
    def test_that_holds_a_file_beside_its_manifests_is_named(self, packet, zipped, name):
        findings = verify_packet(zipped(packet.with_manifests() | {name: b""})).findings
        assert f"The file '{name}' was added" in findings[0].sentence

    def test_that_is_to_be_fetched_is_refused(self, packet, written):
        packet.files["fetch.txt"] = b"https://example.com/a - data/a\n"
        assert any("lie elsewhere" in finding.sentence for finding in verify_packet(written(packet)).findings)

    def test_reads_the_escapes_of_the_manifest(self, packet, zipped):
        packet.files["data/evidence/100%25.txt"] = b""
        files = packet.with_manifests()
        files["data/evidence/100%.txt"] = files.pop("data/evidence/100%25.txt")
        files["manifest-sha256.txt"] = packet.with_manifests()["manifest-sha256.txt"]
        findings = [finding for finding in verify_packet(zipped(files)).findings if finding.check is Check.BAG]
        assert findings == []


@reusing_fixtures
@given(st.data())
def test_no_damage_to_the_archive_raises_anything(packet, written, data):
    path = written(packet)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        # The directory stands at the end and is where a reader is easiest to confuse.
        behind = data.draw(st.integers(0, 2000) | st.integers(0, len(content) - 1))
        content[len(content) - 1 - behind] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    verify_packet(path, [packet.log_key])


@reusing_fixtures
@given(st.binary(), st.sampled_from([b"", b"PK\x05\x06" + bytes(18)]))
def test_no_bytes_raise_anything(tmp_path, data, end):
    path = tmp_path / "packet.zip"
    path.write_bytes(data + end)
    assert verify_packet(path).verdict is Verdict.FAILED


def patch(path, signature, offset, value):
    """Overwrite a field of the first directory entry."""
    data = bytearray(path.read_bytes())
    at = data.index(signature) + offset
    data[at : at + len(value)] = value
    path.write_bytes(data)
