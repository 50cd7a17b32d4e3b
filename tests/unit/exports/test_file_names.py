"""Names of deliverables."""

from datetime import date
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from proofloop_exports.workflows.file_names import content_disposition, file_name
from proofloop_exports.workflows.records import Format, Template

DAY = date(2026, 3, 4)


@pytest.mark.parametrize(
    ("document", "stem"),
    [
        ("invoice-4711.pdf", "invoice-4711"),
        ("Rechnung Müller & Söhne.pdf", "Rechnung-Müller-Söhne"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\x\\ledger.xlsx", "ledger"),
        ("...", "document"),
        ("///", "document"),
        ("\u202egnp.exe", "gnp"),
        ('a"b\r\nc', "a-b-c"),
        ("archive.tar.gz", "archive.tar"),
        ("no extension", "no-extension"),
    ],
)
def test_a_name_is_made_safe(document: str, stem: str) -> None:
    assert file_name(document, Template.DETAILED, DAY, Format.CSV) == f"{stem}_detailed_2026-03-04.csv"


@given(st.text(max_size=300))
def test_any_document_gives_a_short_name_without_a_path(document: str) -> None:
    name = file_name(document.encode(errors="ignore").decode(), Template.EXECUTIVE_SUMMARY, DAY, Format.JSON)
    assert len(name.encode()) <= 200
    assert not set(name) & set('/\\:*?"<>|\0\r\n\t ')
    assert name[0] not in ".-"


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=100))
def test_the_header_is_ascii_and_carries_the_name(document: str) -> None:
    name = file_name(document, Template.LEDGER, DAY, Format.CSV)
    header = content_disposition(name)
    assert header.isascii()
    plain, extended = header.removeprefix('attachment; filename="').split("\"; filename*=UTF-8''")
    assert unquote(extended) == name
    assert plain == name or not name.isascii()
