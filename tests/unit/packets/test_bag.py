import hashlib
import io
import tracemalloc
import zipfile
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import bagit
import pytest
from proofloop_packets.packets.bag import Bag, BagFile, ContentChangedError, write_bag
from proofloop_verifier.archive import Archive
from proofloop_verifier.bag import check_bag

FOLDER = "0199a0b4-0000-7000-8000-000000000001"


def _bag(*files: BagFile) -> Bag:
    return Bag(
        folder=FOLDER,
        time=datetime(2026, 3, 2, 16, 5, 8, tzinfo=UTC),
        info={"Source-Organization": "Example Traders\r\nPayload-Oxum: 0.0", "External-Identifier": FOLDER},
        files=files,
    )


FILES = (
    BagFile.of_bytes("data/evidence/发票.pdf", b"%PDF-1.7 40 units" * 1_000),
    BagFile.of_bytes("data/evidence/count.csv", b"sku,units\nA,28\n"),
    BagFile.of_bytes("data/packet.json", b"{}"),
    BagFile.of_bytes("VERIFY.txt", b"How to verify\n"),
)


async def _written(bag: Bag) -> bytes:
    return b"".join([piece async for piece in write_bag(bag)])


async def test_the_unzipped_packet_is_a_valid_bag(tmp_path: Path) -> None:
    with zipfile.ZipFile(io.BytesIO(await _written(_bag(*FILES)))) as archive:
        assert archive.testzip() is None
        archive.extractall(tmp_path)
    unpacked = bagit.Bag(str(tmp_path / FOLDER))
    assert unpacked.validate()
    assert set(unpacked.payload_entries()) == {file.path for file in FILES if file.path.startswith("data/")}
    assert "VERIFY.txt" in unpacked.entries
    assert unpacked.info["Bagging-Date"] == "2026-03-02"
    assert unpacked.info["Payload-Oxum"] == f"{sum(file.size for file in FILES[:3])}.3"
    assert unpacked.info["Source-Organization"] == "Example Traders Payload-Oxum: 0.0"


async def test_the_verifier_finds_nothing_wrong_with_it(tmp_path: Path) -> None:
    path = tmp_path / "packet.zip"
    path.write_bytes(await _written(_bag(*FILES)))
    with Archive.open(path) as archive:
        digests, findings = check_bag(archive)
    assert findings == []
    assert digests["data/evidence/count.csv"].sha256 == FILES[1].sha256


async def test_one_changed_byte_makes_the_bag_invalid(tmp_path: Path) -> None:
    content = (await _written(_bag(*FILES))).replace(b"A,28", b"A,40")
    for info in (archive := zipfile.ZipFile(io.BytesIO(content))).infolist():
        target = tmp_path / info.filename
        target.parent.mkdir(parents=True, exist_ok=True)
        start = info.header_offset + len(info.FileHeader(zip64=False))
        target.write_bytes(content[start : start + info.file_size])
    archive.close()
    with pytest.raises(bagit.BagValidationError, match=r"count\.csv"):
        bagit.Bag(str(tmp_path / FOLDER)).validate()


async def test_the_same_content_gives_the_same_bytes_in_any_order_and_any_pieces() -> None:
    async def piecemeal() -> AsyncIterator[bytes]:
        for byte in b"sku,units\nA,28\n":
            yield bytes([byte])

    whole = FILES[1]
    pieces = BagFile(whole.path, whole.size, whole.sha256, piecemeal)
    first = await _written(_bag(*FILES))
    assert first == await _written(_bag(FILES[3], pieces, FILES[0], FILES[2]))
    assert hashlib.sha256(first).hexdigest() == "5260a36803caed5198cf31c00ef3573d0661337c5d168d92c84d0dadaa037689"


async def test_entries_are_sorted_stored_and_carry_the_cut_off_time() -> None:
    with zipfile.ZipFile(io.BytesIO(await _written(_bag(*FILES)))) as archive:
        entries = archive.infolist()
    assert [entry.filename for entry in entries] == sorted(entry.filename for entry in entries)
    assert {entry.date_time for entry in entries} == {(2026, 3, 2, 16, 5, 8)}
    assert {entry.compress_type for entry in entries} == {zipfile.ZIP_STORED}
    assert {entry.create_system for entry in entries} == {3}


@pytest.mark.parametrize("stored", [b"28 units", b"29 units", b"28 units!", b"28"])
async def test_content_that_differs_from_its_record_is_refused(stored: bytes) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield stored

    recorded = BagFile.of_bytes("data/evidence/note.txt", b"28 unitz")
    with pytest.raises(ContentChangedError, match=r"data/evidence/note\.txt"):
        await _written(_bag(BagFile(recorded.path, recorded.size, recorded.sha256, chunks)))


async def test_content_longer_than_its_record_is_not_read_to_its_end() -> None:
    asked = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal asked
        while True:
            asked += 1
            yield bytes(10)

    with pytest.raises(ContentChangedError):
        await _written(_bag(BagFile("data/evidence/endless.bin", 25, "0" * 64, endless)))
    assert asked == 3


async def test_two_files_of_one_path_are_refused() -> None:
    with pytest.raises(ValueError, match="same path"):
        await _written(_bag(FILES[0], FILES[0]))


async def test_a_line_break_in_a_path_cannot_add_a_line_to_the_manifest() -> None:
    path = "data/evidence/a\nb%.txt"
    with zipfile.ZipFile(io.BytesIO(await _written(_bag(BagFile.of_bytes(path, b""))))) as archive:
        manifest = archive.read(f"{FOLDER}/manifest-sha256.txt").decode()
    assert manifest.splitlines() == [f"{hashlib.sha256(b'').hexdigest()}  data/evidence/a%0Ab%25.txt"]


async def test_memory_stays_constant_while_a_large_file_passes() -> None:
    piece, count = bytes(1 << 20), 200

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(count):
            yield piece

    digest = hashlib.sha256()
    for _ in range(count):
        digest.update(piece)
    large = BagFile("data/evidence/large.bin", count << 20, digest.hexdigest(), chunks)
    total = 0
    tracemalloc.start()
    async for out in write_bag(_bag(large)):
        total += len(out)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert total > count << 20
    assert peak < 8 << 20
