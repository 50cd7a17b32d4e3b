import io
import zipfile

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from proofloop_packets.evidence import sniffing


def _zip(*names: str) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name in names:
            archive.writestr(name, b"x")
    return target.getvalue()


def _workbook() -> bytes:
    target = io.BytesIO()
    openpyxl.Workbook().save(target)
    return target.getvalue()


def _image(kind: str) -> bytes:
    target = io.BytesIO()
    Image.new("RGB", (4, 4)).save(target, kind)
    return target.getvalue()


@pytest.mark.parametrize(
    ("head", "media_type"),
    [
        pytest.param(b"%PDF-1.7\n%rest", sniffing.PDF, id="pdf"),
        pytest.param(b"junk before the header\n%PDF-1.4", sniffing.PDF, id="pdf after junk"),
        pytest.param(_workbook(), sniffing.XLSX, id="workbook"),
        pytest.param(
            _zip("[Content_Types].xml", "_rels/.rels", "word/document.xml"), sniffing.DOCX, id="word document"
        ),
        pytest.param(_zip("xl/photo.jpg", "readme.txt"), sniffing.ZIP, id="zip with a folder called xl"),
        pytest.param(_zip(), sniffing.ZIP, id="empty zip"),
        pytest.param(_image("PNG"), "image/png", id="png"),
        pytest.param(_image("JPEG"), "image/jpeg", id="jpeg"),
        pytest.param(_image("TIFF"), "image/tiff", id="tiff"),
        pytest.param(b"From: a@example.com\r\nTo: b@example.com\r\n\r\nHello", sniffing.EMAIL, id="e-mail"),
        pytest.param(
            b"Received: from x\n\tby y; Mon, 2 Mar 2026 10:00:00 +0000\nSubject: =?utf-8?q?caf=C3=A9?=\n\n",
            sniffing.EMAIL,
            id="e-mail with a folded field",
        ),
        pytest.param(b"Note: this is\nno: mail\n", sniffing.TEXT, id="text with colons"),
        pytest.param(b"sku,units\nA-1,40\nA-2,12\n", sniffing.CSV, id="csv"),
        pytest.param(b'\xef\xbb\xbfsku;units;note\r\nA;1;"x;y"\r\n', sniffing.CSV, id="semicolons, byte order mark"),
        pytest.param("größe,stück\nA,1\nB,2\n".encode("cp1252"), sniffing.CSV, id="csv in windows-1252"),
        pytest.param("a\tb\n1\t2\n3\t4\n".encode("utf-16"), sniffing.TSV, id="tab-separated in utf-16"),
        pytest.param(b'{"units": 40}', sniffing.JSON, id="json object"),
        pytest.param(b"[1, 2, 3]", sniffing.JSON, id="json array"),
        pytest.param(b"[1] See the appendix, page 2", sniffing.TEXT, id="text that begins like json"),
        pytest.param(b"Dear team, we counted again.\nRegards, receiving\n", sniffing.TEXT, id="prose with commas"),
        pytest.param("受領した数量は28個です。".encode(), sniffing.TEXT, id="japanese text"),
        pytest.param(b"<!-- x --><!DOCTYPE html><p>hi", sniffing.HTML, id="html"),
        pytest.param(b'<?xml version="1.0"?><svg xmlns="s"/>', sniffing.SVG, id="svg"),
        pytest.param(b"MZ\x90\x00\x03" + bytes(60), "application/x-msdownload", id="program"),
        pytest.param(b"", sniffing.UNKNOWN, id="nothing"),
        pytest.param(bytes(range(256)), sniffing.UNKNOWN, id="noise"),
    ],
)
def test_the_media_type_comes_from_the_content(head: bytes, media_type: str) -> None:
    assert sniffing.sniff(head) == media_type


@pytest.mark.parametrize("line", ["a,b,c\n", "Größe und Maß\n"])
def test_a_head_cut_inside_a_character_or_a_row_is_still_recognised(line: str) -> None:
    whole = (line * 20_000).encode()
    kinds = {sniffing.sniff(whole[start : start + sniffing.SNIFF_BYTES]) for start in (0, len(line.encode()))}
    assert kinds == {sniffing.CSV if "," in line else sniffing.TEXT}


@given(st.binary(max_size=2_000) | st.text(max_size=500).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_sniffing_never_raises(head: bytes) -> None:
    for prefix in (b"", b"PK\x03\x04", b"{", b"From: x\nDate: y\n", b"\xff\xfe"):
        assert "/" in sniffing.sniff(prefix + head)
