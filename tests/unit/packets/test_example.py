"""The example claim tells one story: its files agree with each other and with the claim."""

import csv
import io
import json
import subprocess
import sys
from decimal import Decimal
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from PIL import Image, ImageChops, ImageStat
from proofloop_packets.evidence import sniffing
from proofloop_packets.evidence.inspection import inspect
from proofloop_packets.evidence.metadata import EvidenceMetadata, Limits
from pypdf import PdfReader

EXAMPLE = Path(__file__).parents[3] / "examples" / "fba-lost-inbound"
EVIDENCE = EXAMPLE / "evidence"


def _load(name: str) -> Any:
    return json.loads((EXAMPLE / name).read_text())


def _inspected(name: str) -> EvidenceMetadata:
    return inspect(io.BytesIO((EVIDENCE / name).read_bytes()), Limits())


@pytest.mark.parametrize(
    ("name", "media_type"),
    [
        ("invoice-INV-20417.pdf", sniffing.PDF),
        ("bill-of-lading-77120-4.pdf", sniffing.PDF),
        ("carrier-tracking-418660231.csv", sniffing.CSV),
        ("receiving-discrepancy.eml", sniffing.EMAIL),
        ("pallet-label.png", "image/png"),
        ("inventory-ledger.xlsx", sniffing.XLSX),
    ],
)
def test_every_file_is_what_it_looks_like_and_bears_no_mark(name: str, media_type: str) -> None:
    found = _inspected(name)
    assert (found.media_type, found.marks) == (media_type, ())
    assert found.facts


def test_the_invoice_and_the_bill_of_lading_speak_of_the_claims_shipment() -> None:
    identifiers = {item["kind"]: item["value"] for item in _load("claim.json")["facts"]["identifiers"]}
    invoice = str(_inspected("invoice-INV-20417.pdf").facts["text"])
    lading = str(_inspected("bill-of-lading-77120-4.pdf").facts["text"])
    for kind in ("invoice_number", "fba_shipment_id", "purchase_order", "bol_number", "pro_number"):
        assert identifiers[kind] in invoice
        assert identifiers[kind] in lading
    assert "40 units billed in full" in invoice
    assert "10 cartons, 40 units" in lading


def test_the_e_mail_is_addressed_to_the_claims_desk_and_copied_to_the_carrier() -> None:
    assert _inspected("receiving-discrepancy.eml").facts["recipients"] == [
        "claims@kestrelpine.example",
        "tracing@crossfield-freight.example",
    ]


def test_the_carrier_delivered_every_carton() -> None:
    rows = list(csv.DictReader(io.StringIO((EVIDENCE / "carrier-tracking-418660231.csv").read_text())))
    assert (rows[-1]["event"], rows[-1]["pieces"]) == ("Delivered", "10")


def test_the_ledger_and_the_receiving_count_both_show_28_units() -> None:
    sheets = openpyxl.load_workbook(EVIDENCE / "inventory-ledger.xlsx", read_only=True)
    rows = list(sheets["Ledger"].iter_rows(values_only=True))[1:]
    assert sum(int(row[4]) for row in rows if row[2] == "Receipts") == 28
    balance = 0
    for row in rows:
        balance += int(row[4])
        assert row[6] == balance
    message = message_from_bytes((EVIDENCE / "receiving-discrepancy.eml").read_bytes(), policy=policy.default)
    [count] = message.iter_attachments()
    assert sum(int(row["units"]) for row in csv.DictReader(io.StringIO(count.get_content()))) == 28


def test_the_claimed_amount_is_the_missing_units_at_the_invoiced_price() -> None:
    claim, workflow = _load("claim.json"), _load("workflow.json")
    amounts = {
        item["name"]: Decimal(item["amount"]["units"]) + Decimal(item["amount"].get("nanos", 0)).scaleb(-9)
        for item in claim["facts"]["amounts"]
    }
    final = workflow["modifications"]["modified_data"]
    assert final["received"]["qty"] + final["received"]["short"] == final["lines"][0]["qty"] == 40
    assert final["received"]["short"] * amounts["unit_price"] == amounts["claimed"] == Decimal(final["claimed"])
    assert workflow["initial"]["extracted_data"]["received"]["qty"] == 40


def test_the_answer_is_one_of_the_options() -> None:
    prompt = _load("prompt.json")
    assert prompt["answer"]["option_id"] in {option["option_id"] for option in prompt["options"]}


def test_the_script_makes_the_committed_files(tmp_path: Path) -> None:
    subprocess.run([sys.executable, EXAMPLE / "make.py", tmp_path], check=True)  # noqa: S603 - our own script
    names = sorted(path.name for path in EVIDENCE.iterdir())
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    for name in names:
        committed, made = (EVIDENCE / name).read_bytes(), (tmp_path / name).read_bytes()
        match Path(name).suffix:  # another processor or zlib may round and pack differently
            case ".png":
                assert _mean_difference(committed, made) < 2
            case ".xlsx":
                assert _cells(committed) == _cells(made)
            case ".pdf":
                assert _pages(committed) == _pages(made)
            case _:
                assert committed == made


def test_the_example_is_small() -> None:
    assert sum(path.stat().st_size for path in EXAMPLE.rglob("*") if path.is_file()) < 600_000


def _mean_difference(one: bytes, other: bytes) -> float:
    pictures = [Image.open(io.BytesIO(content)).convert("L") for content in (one, other)]
    return float(ImageStat.Stat(ImageChops.difference(*pictures)).mean[0])


def _cells(workbook: bytes) -> dict[str, list[tuple[object, ...]]]:
    sheets = openpyxl.load_workbook(io.BytesIO(workbook), read_only=True)
    return {sheet.title: list(sheet.iter_rows(values_only=True)) for sheet in sheets.worksheets}


def _pages(document: bytes) -> list[str]:
    return [page.extract_text() for page in PdfReader(io.BytesIO(document)).pages]
