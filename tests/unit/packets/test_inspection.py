import hashlib
import io
import json
import random
import zipfile
from dataclasses import replace
from email.message import EmailMessage
from pathlib import Path

import openpyxl
import pytest
import typst
from PIL import ExifTags, Image
from proofloop_packets.evidence import sniffing
from proofloop_packets.evidence.inspection import inspect, inspect_in_process
from proofloop_packets.evidence.metadata import EvidenceMetadata, Limits, Mark
from pypdf import PdfWriter
from pypdf.actions import JavaScript

LIMITS = Limits()


def _look(content: bytes, limits: Limits = LIMITS) -> EvidenceMetadata:
    return inspect(io.BytesIO(content), limits)


def _pdf(pages: int = 2) -> bytes:
    text = '#set document(title: "Invoice 4471")\n' + "#pagebreak()\n".join(["40 units billed\n"] * pages)
    return bytes(typst.compile(text.encode(), ignore_system_fonts=True))


def _edited_pdf(edit: str) -> bytes:
    writer = PdfWriter(clone_from=io.BytesIO(_pdf()))
    if edit == "script":
        writer.add_open_action(JavaScript("app.alert('hello')"))
    elif edit == "lock":
        writer.encrypt("secret", algorithm="AES-256")
    target = io.BytesIO()
    writer.write(target)
    return target.getvalue()


def _photo(kind: str = "JPEG") -> bytes:
    target = io.BytesIO()
    exif = Image.Exif()
    exif[ExifTags.Base.Model] = "Dock camera"
    exif.get_ifd(ExifTags.IFD.Exif).update(
        {ExifTags.Base.DateTimeOriginal: "2026:03:02 10:11:12", ExifTags.Base.OffsetTimeOriginal: "-06:00"}
    )
    noise = random.Random(7).randbytes(64 * 48 * 3)  # noqa: S311 - a picture, not a secret
    Image.frombytes("RGB", (64, 48), noise).save(target, kind, exif=exif)
    return target.getvalue()


def _mail() -> bytes:
    message = EmailMessage()
    message["From"] = "Receiving desk <receiving@example.com>"
    message["To"] = "accounts@example.org, claims@example.org"
    message["Date"] = "Mon, 02 Mar 2026 10:00:00 -0600"
    message["Subject"] = "28 of 40: größte Abweichung"
    message.set_content("We counted 28 units.\n")
    message.add_attachment(b"a,b\n1,2\n", maintype="text", subtype="csv", filename="count.csv")
    return message.as_bytes()


def _workbook() -> bytes:
    workbook = openpyxl.Workbook()
    sheet = workbook.active
    sheet.title = "Ledger"
    sheet.append(["Date", "Units"])
    sheet.append(["2026-03-02", 28])
    sheet.append([None, None])
    sheet.append(["2026-03-09", 0])
    workbook.create_sheet("Empty")
    target = io.BytesIO()
    workbook.save(target)
    return target.getvalue()


def _zip(*entries: tuple[str, bytes]) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries:
            archive.writestr(name, content)
    return target.getvalue()


def test_a_pdf_tells_pages_title_producer_and_text() -> None:
    found = _look(_pdf(pages=3))
    assert found.media_type == sniffing.PDF
    assert found.marks == ()
    assert found.facts["pages"] == 3
    assert found.facts["title"] == "Invoice 4471"
    assert str(found.facts["producer"]).startswith("Typst")
    assert "40 units billed" in str(found.facts["text"])


def test_a_pdf_that_needs_a_password_is_marked_and_told_nothing_of() -> None:
    assert _look(_edited_pdf("lock")) == EvidenceMetadata(sniffing.PDF, {}, (Mark.ENCRYPTED,))


def test_a_script_in_a_pdf_is_marked_and_the_facts_stay() -> None:
    found = _look(_edited_pdf("script"))
    assert found.marks == (Mark.ACTIVE_CONTENT,)
    assert found.facts["pages"] == 2


def test_a_pdf_without_its_end_is_truncated() -> None:
    content = _pdf()
    assert Mark.TRUNCATED in _look(content[: len(content) // 2]).marks


def test_a_photo_tells_size_time_and_camera() -> None:
    assert _look(_photo()) == EvidenceMetadata(
        "image/jpeg",
        {"width": 64, "height": 48, "taken_time": "2026-03-02T10:11:12-06:00", "camera": "Dock camera"},
        (),
    )


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_photo_cut_short_is_truncated_and_keeps_its_size(kind: str) -> None:
    content = _photo(kind)
    found = _look(content[: len(content) // 2])
    assert found.marks == (Mark.TRUNCATED,)
    assert found.facts["width"] == 64


def test_an_image_of_too_many_pixels_is_not_decoded() -> None:
    found = _look(_photo(), replace(LIMITS, pixels=64 * 48 - 1))
    assert found.marks == (Mark.OVERSIZED_CONTENT,)
    assert found.facts["height"] == 48


def test_an_e_mail_tells_its_envelope_and_attachments() -> None:
    found = _look(_mail())
    assert found == EvidenceMetadata(
        sniffing.EMAIL,
        {
            "sender": "Receiving desk <receiving@example.com>",
            "recipients": ["accounts@example.org", "claims@example.org"],
            "subject": "28 of 40: größte Abweichung",
            "date": "2026-03-02T16:00:00Z",
            "attachments": [
                {
                    "name": "count.csv",
                    "media_type": "text/csv",
                    "size": 8,
                    "sha256": hashlib.sha256(b"a,b\n1,2\n").hexdigest(),
                }
            ],
            "text": "We counted 28 units.",
        },
        (),
    )


def test_an_e_mail_without_its_last_boundary_is_truncated() -> None:
    assert Mark.TRUNCATED in _look(_mail().rsplit(b"--=", 1)[0]).marks


@pytest.mark.parametrize("date", [b"not a date", b"Mon, 99 Foo 2026 10:00:00"])
def test_an_e_mail_with_an_impossible_date_is_malformed_and_keeps_its_sender(date: bytes) -> None:
    found = _look(b"From: a@example.com\nSubject: x\nDate: " + date + b"\n\nHello\n")
    assert found.marks == (Mark.MALFORMED,)
    assert found.facts["sender"] == "a@example.com"


def test_a_table_tells_delimiter_columns_and_rows() -> None:
    found = _look("sku;units;größe\nA;40;M\nB;12;L\n".encode("cp1252"))
    assert found == EvidenceMetadata(
        sniffing.CSV,
        {
            "encoding": "cp1252",
            "delimiter": ";",
            "columns": ["sku", "units", "größe"],
            "column_count": 3,
            "rows": 2,
        },
        (),
    )


def test_a_table_longer_than_the_limit_is_counted_up_to_it() -> None:
    found = _look(b"a,b,c\n" + b"1,2,3\n" * 100, replace(LIMITS, rows=10))
    assert found.marks == (Mark.OVERSIZED_CONTENT,)
    assert found.facts["rows"] == 10


def test_a_table_with_a_row_of_another_width_further_down_is_malformed() -> None:
    assert _look(b"a,b,c\n" + b"1,2,3\n" * 100 + b"1,2\n").marks == (Mark.MALFORMED,)


def test_a_workbook_tells_sheets_columns_and_filled_rows() -> None:
    found = _look(_workbook())
    assert found.marks == ()
    assert found.facts == {
        "sheet_count": 2,
        "rows": 2,
        "sheets": [
            {"name": "Ledger", "columns": ["Date", "Units"], "column_count": 2, "rows": 2},
            {"name": "Empty", "columns": [], "column_count": 0, "rows": 0},
        ],
    }


def test_a_workbook_with_macros_is_marked() -> None:
    source = zipfile.ZipFile(io.BytesIO(_workbook()))
    entries = [(name, source.read(name)) for name in source.namelist()]
    assert _look(_zip(*entries, ("xl/vbaProject.bin", b"x"))).marks == (Mark.ACTIVE_CONTENT,)


def test_an_archive_that_would_expand_beyond_the_limit_is_marked_and_not_unpacked() -> None:
    bomb = _zip(("zeros.bin", bytes(1 << 20)))
    found = _look(bomb, replace(LIMITS, expanded_bytes=1 << 19))
    assert found.marks == (Mark.OVERSIZED_CONTENT,)
    assert found.facts == {"entries": 1, "expanded_size": 1 << 20}


def test_an_archive_without_its_directory_is_truncated() -> None:
    content = _zip(("a.txt", b"a" * 1_000))
    assert _look(content[:-40]).marks == (Mark.TRUNCATED,)


def test_a_locked_office_file_is_encrypted() -> None:
    ole = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(9_000) + "EncryptedPackage".encode("utf-16-le")
    assert _look(ole).marks == (Mark.ENCRYPTED,)


def test_a_page_with_a_script_is_active_and_broken_json_is_malformed() -> None:
    assert _look(b"<html><script>1</script>").marks == (Mark.ACTIVE_CONTENT,)
    assert _look(b"<html><p>online = yes</p>").marks == ()
    assert _look(b'{"units": 40').marks == (Mark.MALFORMED,)
    assert _look(b"[" * 60_000).marks == (Mark.OVERSIZED_CONTENT,)
    assert _look(b"MZ" + bytes(100)).marks == (Mark.ACTIVE_CONTENT,)


def test_facts_are_json_without_control_characters() -> None:
    hostile = b"From: red\x1b[31m <a@example.com>\nDate: x\nSubject: a\xe2\x80\xaeb\x07c\n\n"
    facts = _look(hostile).as_json()
    assert json.loads(json.dumps(facts)) == facts
    assert "\x1b" not in str(facts)
    assert facts["subject"] == "a b c"


async def test_a_process_finds_what_a_call_finds(tmp_path: Path) -> None:
    for number, content in enumerate([_pdf(), _photo(), _mail(), _workbook()]):
        path = tmp_path / str(number)
        path.write_bytes(content)
        assert await inspect_in_process(path, LIMITS) == _look(content)


async def test_a_file_that_needs_more_memory_than_allowed_is_marked(tmp_path: Path) -> None:
    path = tmp_path / "deep.json"
    path.write_bytes(b"[" + b"[1.5],".replace(b"1.5", b"{}") * 4_000_000 + b"1]")
    found = await inspect_in_process(path, replace(LIMITS, memory_bytes=300 << 20))
    assert found == EvidenceMetadata(sniffing.JSON, {}, (Mark.OVERSIZED_CONTENT,))


async def test_a_file_that_needs_more_time_than_allowed_is_marked(tmp_path: Path) -> None:
    path = tmp_path / "long.csv"
    path.write_bytes(b"a,b,c\n" + b"1,2,3\n" * 3_000_000)
    found = await inspect_in_process(path, replace(LIMITS, seconds=0.2, rows=1 << 40))
    assert found == EvidenceMetadata(sniffing.CSV, {}, (Mark.OVERSIZED_CONTENT,))


async def test_a_parser_that_crashes_leaves_a_mark_and_nothing_else(tmp_path: Path) -> None:
    content = _pdf().replace(b"/FlateDecode", b"/FlateDecodX")
    with pytest.raises(NotImplementedError):
        _look(content)
    path = tmp_path / "bad.pdf"
    path.write_bytes(content)
    assert await inspect_in_process(path, LIMITS) == EvidenceMetadata(sniffing.PDF, {}, (Mark.MALFORMED,))


SAMPLES = {"pdf": _pdf, "photo": _photo, "mail": _mail, "workbook": _workbook, "zip": lambda: _zip(("a", b"b"))}


@pytest.mark.parametrize("sample", SAMPLES)
async def test_no_mutation_of_a_real_file_escapes_the_process(tmp_path: Path, sample: str) -> None:
    for turn in range(4):
        seed = random.randrange(1 << 32)  # noqa: S311 - reproducible damage
        choice = random.Random(seed)  # noqa: S311 - likewise
        content = bytearray(SAMPLES[sample]())
        for _ in range(choice.randint(1, 60)):
            content[choice.randrange(len(content))] = choice.randrange(256)
        # The name tells the seed where a run fails.
        path = tmp_path / f"{sample}-{seed}"
        path.write_bytes(content if turn else content[: choice.randint(1, len(content))])
        found = await inspect_in_process(path, LIMITS)
        assert set(found.marks) <= set(Mark), path.name
        json.dumps(found.as_json(), allow_nan=False)
