import copy
import hashlib
import io
import json
import unicodedata
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from proofloop_packets.packets.glyphs import PRINTABLE_RANGES, printable
from proofloop_packets.packets.summary import render_summary
from pypdf import PdfReader

Json = dict[str, Any]


def _packet(snapshot: Json) -> bytes:
    return json.dumps(snapshot, ensure_ascii=False).encode()


def _read(pdf: bytes) -> PdfReader:
    return PdfReader(io.BytesIO(pdf))


def _text(pdf: bytes) -> str:
    text = "\n".join(page.extract_text() for page in _read(pdf).pages)
    return text.replace("\u200b", "")


def _picture() -> bytes:
    target = io.BytesIO()
    Image.new("RGB", (42, 50), "red").save(target, "JPEG")
    return target.getvalue()


def _bookmarks(outline: list[Any]) -> list[str]:
    return [name for item in outline for name in (_bookmarks(item) if isinstance(item, list) else [item.title])]


def test_the_same_snapshot_gives_the_same_bytes(snapshot: Json) -> None:
    thumbnails = {snapshot["evidence"][0]["evidence_id"]: _picture()}
    first = render_summary(_packet(snapshot), thumbnails)
    assert first == render_summary(_packet(snapshot), thumbnails)


def test_it_declares_pdf_a_3b_and_tells_the_cut_off_as_its_time(snapshot: Json) -> None:
    reader = _read(render_summary(_packet(snapshot), {}))
    metadata = reader.root_object["/Metadata"].get_object().get_data().decode()
    assert "<pdfaid:part>3</pdfaid:part>" in metadata
    assert "<pdfaid:conformance>B</pdfaid:conformance>" in metadata
    assert "<xmp:CreateDate>2026-03-02T16:10:00" in metadata
    assert reader.metadata.creation_date.isoformat() == "2026-03-02T16:10:00+00:00"


def test_the_exact_bytes_of_the_snapshot_are_attached(snapshot: Json) -> None:
    packet = _packet(snapshot)
    assert _read(render_summary(packet, {})).attachments == {"packet.json": [packet]}


def test_it_says_what_the_snapshot_says(snapshot: Json) -> None:
    packet = _packet(snapshot)
    text = _text(render_summary(packet, {}))
    evidence = snapshot["evidence"][0]
    for said in (
        snapshot["packet_id"],
        hashlib.sha256(packet).hexdigest(),
        "12 of 40 units not received",
        "FBA17XK4Q2",
        "478.80 USD",
        "Crossfield Freight Lines",
        evidence["sha256"],
        evidence["md5"],
        "18,234 bytes",
        "Encrypted",
        "Which quantity was received?",
        snapshot["prompts"][0]["answer"]["shown_sha256"],
        "invoice-summary@3",
        snapshot["exports"][0]["final"]["deliverable"]["sha256"],
        snapshot["timeline"][1]["leaf_hash"],
        "Denied",
        "902(14)",
    ):
        assert said in text, said


def test_every_section_and_exhibit_is_a_bookmark_and_pages_are_counted(snapshot: Json) -> None:
    reader = _read(render_summary(_packet(snapshot), {}))
    bookmarks = _bookmarks(reader.outline)
    for name in ("Claim", "Timeline", "Evidence register", "Export history", "Certification"):
        assert any(name in bookmark for bookmark in bookmarks)
    assert "Exhibit 2" in bookmarks
    pages = len(reader.pages)
    assert f"Page {pages} of {pages}" in reader.pages[-1].extract_text()


def test_a_picture_is_shown_with_its_exhibit(snapshot: Json) -> None:
    thumbnails = {snapshot["evidence"][1]["evidence_id"]: _picture()}
    shown = [image for page in _read(render_summary(_packet(snapshot), thumbnails)).pages for image in page.images]
    assert [image.image.size for image in shown] == [(42, 50)]


def test_a_claim_without_anything_is_still_a_document(snapshot: Json) -> None:
    bare = snapshot | {"evidence": [], "prompts": [], "exports": [], "timeline": []}
    text = _text(render_summary(_packet(bare), {}))
    assert "No evidence was uploaded." in text
    assert "No question was put to anybody." in text


def test_many_exhibits_run_over_many_pages(snapshot: Json) -> None:
    many = [snapshot["evidence"][0] | {"evidence_id": f"{number}"} for number in range(60)]
    text = _text(render_summary(_packet(snapshot | {"evidence": many}), {}))
    assert all(f"Exhibit {number}\n" in text or f"Exhibit {number} " in text for number in range(1, 61))


def test_an_unanswered_prompt_and_an_unfinished_export_are_told_as_such(snapshot: Json) -> None:
    waiting = copy.deepcopy(snapshot)
    del waiting["prompts"][0]["answer"]
    waiting["prompts"][0]["state"] = "pending"
    del waiting["exports"][0]["modifications"], waiting["exports"][0]["final"]
    text = _text(render_summary(_packet(waiting), {}))
    assert "Pending" in text
    assert "Stage 1" in text
    assert "Stage 2" not in text


def test_markup_in_the_data_stays_text(snapshot: Json) -> None:
    snapshot["title"] = '#panic("no") *stars* $x$ <label> @reference'
    snapshot["evidence"][0]["file_name"] = '#read("/etc/passwd").pdf'
    text = _text(render_summary(_packet(snapshot), {}))
    assert '#panic("no") *stars* $x$ <label> @reference' in text
    assert '#read("/etc/passwd").pdf' in text


def test_what_has_no_glyph_or_no_shape_is_spelled_out() -> None:
    assert printable("a\u202eb") == "a[U+202E]b"
    assert printable("\u53d1\u7968.pdf") == "[U+53D1 U+7968].pdf"
    assert printable("\u53d1" * 20) == "[20 characters of another script]"
    assert printable("cafe\u0301\r\n\u05e2\u05d1\u05e8\u05d9\u05ea") == "caf\u00e9\n\u05e2\u05d1\u05e8\u05d9\u05ea"


def test_every_character_that_passes_as_printable_has_a_glyph(snapshot: Json) -> None:
    spans = [span.split("-") for span in PRINTABLE_RANGES.split()]
    characters = [chr(code) for span in spans for code in range(int(span[0], 16), int(span[-1], 16) + 1)]
    assert not [char for char in characters if unicodedata.category(char).startswith(("C", "M"))]
    everything = [" ".join(characters[start : start + 250]) for start in range(0, len(characters), 250)]
    snapshot["exports"][0]["modifications"]["changes"] = [
        {"kind": "addition", "path": text[:250], "new_json": text[250:]} for text in everything
    ]
    snapshot["claim"]["facts"]["parties"] = [{"role": "all", "name": text[:290]} for text in everything]
    halves = [half for text in everything for half in (text[:250], text[250:])]
    snapshot["evidence"] = [snapshot["evidence"][0] | {"file_name": half} for half in halves]
    assert render_summary(_packet(snapshot), {}).startswith(b"%PDF")


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=400), st.text(st.characters(max_codepoint=0x3000), max_size=400))
def test_no_text_whatever_keeps_it_from_being_set(snapshot: Json, one: str, other: str) -> None:
    hostile = copy.deepcopy(snapshot)
    hostile["title"] = one
    hostile["claim"]["facts"]["narrative"] = other
    hostile["prompts"][0]["question"] = one + other
    hostile["evidence"][0] |= {"file_name": other, "metadata": {one[:20]: other, "list": [one, {"x": other}]}}
    hostile["exports"][0]["modifications"]["changes"][0]["path"] = other
    assert render_summary(json.dumps(hostile).encode(), {}).startswith(b"%PDF")
