import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from proofloop_packets.packets.names import MAX_NAME_BYTES, safe_name, unique_names


@pytest.mark.parametrize(
    ("original", "name"),
    [
        ("Invoice 4471.pdf", "Invoice 4471.pdf"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\desk\\count.csv", "count.csv"),
        ("请款单.pdf", "请款单.pdf"),
        ("cafe\u0301.txt", "caf\u00e9.txt"),
        ("invoice\u202efdp.exe", "invoicefdp.exe"),
        ("a\x00b\r\nc.txt", "abc.txt"),
        ("CON.pdf", "_CON.pdf"),
        ("lpt1", "_lpt1"),
        ("console.log", "console.log"),
        (".hidden", "_.hidden"),
        ("-rf.txt", "_-rf.txt"),
        ("what? 100%.csv", "what_ 100_.csv"),
        ("trailing. . ", "trailing"),
        ("folder/", "evidence"),
        ("..", "evidence"),
        ("", "evidence"),
    ],
)
def test_a_name_is_made_safe_and_stays_readable(original: str, name: str) -> None:
    assert safe_name(original) == name


def test_shortening_keeps_the_extension_and_whole_characters() -> None:
    name = safe_name("発" * 200 + ".pdf")
    assert name.endswith("発.pdf")
    assert MAX_NAME_BYTES - 3 < len(name.encode()) <= MAX_NAME_BYTES


def test_names_alike_to_a_file_system_that_ignores_case_are_numbered() -> None:
    originals = ["a.pdf", "b/A.PDF", "a (2).pdf", "stra\u00dfe", "STRASSE", "a.pdf"]
    assert unique_names(originals) == [
        "a.pdf",
        "A (2).PDF",
        "a (2) (2).pdf",
        "stra\u00dfe",
        "STRASSE (2)",
        "a (3).pdf",
    ]


@given(st.lists(st.text(max_size=300) | st.sampled_from(["a.pdf", "A.pdf", "nul", "x" * 200]), max_size=30))
def test_any_names_become_safe_short_and_unique(originals: list[str]) -> None:
    names = unique_names(originals)
    assert len(names) == len(originals)
    assert len({unicodedata.normalize("NFC", name).casefold() for name in names}) == len(names)
    for name in names:
        assert 0 < len(name.encode()) <= MAX_NAME_BYTES
        assert not set(name) & set('/\\<>:"|?*%\r\n\x00')
        assert name.strip(". ") == name.lstrip(". ")
        assert name not in {".", ".."}
