"""Make the evidence of the example claim: the same files, whenever and wherever it runs.

``python make.py [FOLDER]`` writes into ``evidence/`` beside it, or into FOLDER. What the documents say stands in
``sources/``: the companies are invented, and their addresses lie in domains reserved for examples.
"""

from __future__ import annotations

import csv
import io
import json
import random
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Sequence
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path
from shutil import copytree

import openpyxl
import typst
from code128 import code128
from openpyxl.styles import Alignment, Font, PatternFill
from PIL import ExifTags, Image, ImageChops, ImageDraw, ImageFilter

HERE = Path(__file__).parent
SOURCES = HERE / "sources"
STORY = json.loads((SOURCES / "story.json").read_text())
PHOTO_SIZE = (690, 920)
LABEL_CORNERS = ((128, 96), (589, 122), (566, 826), (104, 790))
"""Where the label's corners lie in the photo: top left, top right, bottom right, bottom left."""


def main() -> None:
    """Write all six files."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "evidence"
    folder.mkdir(parents=True, exist_ok=True)
    files = {
        "invoice-INV-20417.pdf": document("invoice"),
        "bill-of-lading-77120-4.pdf": document("bill-of-lading"),
        "carrier-tracking-418660231.csv": tracking(),
        "receiving-discrepancy.eml": thread(),
        "pallet-label.png": photo(),
        "inventory-ledger.xlsx": ledger(),
    }
    for name, content in files.items():
        (folder / name).write_bytes(content)


def document(name: str) -> bytes:
    """A PDF from the layout of that name."""
    return typst.compile(SOURCES / f"{name}.typ", ignore_system_fonts=True, timestamp=STORY["timestamp"])


def tracking() -> bytes:
    """The carrier's events for the shipment, as its site exports them."""
    rows = [
        ("event_time", "pro_number", "location", "event", "pieces", "remarks"),
        ("2026-02-03 15:52", "Fallbrook Mills OH", "Picked up", 10, "1 pallet, shipper load and count"),
        ("2026-02-03 19:18", "Fallbrook Mills OH", "Departed terminal", 10, ""),
        ("2026-02-04 06:41", "Harlan Junction IN", "Arrived at terminal", 10, ""),
        ("2026-02-05 02:12", "Harlan Junction IN", "Cross-docked", 10, "Wrap intact, 10 cartons counted"),
        ("2026-02-06 21:05", "Harlan Junction IN", "Departed terminal", 10, ""),
        ("2026-02-08 11:37", "Millbrook Park MD", "Arrived at terminal", 10, ""),
        ("2026-02-09 07:50", "Millbrook Park MD", "Out for delivery", 10, "Appointment 10:00, dock 9"),
        ("2026-02-09 10:26", "Millbrook Park MD", "Delivered", 10, "Signed: receiving desk, dock 9"),
    ]
    target = io.StringIO()
    writer = csv.writer(target, lineterminator="\r\n")
    writer.writerow(rows[0])
    writer.writerows((row[0], STORY["pro_number"], *row[1:]) for row in rows[1:])
    return target.getvalue().encode()


def thread() -> bytes:
    """The receiving desk's answer, with what was asked quoted below it and the count attached."""
    message = EmailMessage(policy=SMTP)
    message["From"] = Address("Receiving desk MD-17", addr_spec=STORY["centre"]["desk"])
    message["To"] = Address(f"Claims, {STORY['seller']['name']}", addr_spec=STORY["seller"]["claims"])
    message["Cc"] = STORY["carrier"]["desk"]
    message["Date"] = "Wed, 18 Feb 2026 15:20:44 -0500"
    message["Subject"] = f"Re: Inbound shipment {STORY['shipment']}: 40 shipped, how many received?"
    message["Message-ID"] = "<20260218.152044.recv.7731@fulfilment-md17.example>"
    message["In-Reply-To"] = "<20260217.0904.claims.118@kestrelpine.example>"
    message["References"] = "<20260217.0904.claims.118@kestrelpine.example>"
    message.set_content((SOURCES / "thread.txt").read_text())
    message.add_attachment(
        (SOURCES / "receiving-count.csv").read_text(),
        subtype="csv",
        filename=f"receiving-count-{STORY['shipment']}.csv",
    )
    message.set_boundary("=_md17_0218_152044_7731")
    return message.as_bytes()


def ledger() -> bytes:
    """The marketplace's inventory ledger for the product, as a seller downloads it."""
    workbook = openpyxl.Workbook()
    workbook.properties.creator = "Marketplace seller reports"
    workbook.properties.created = workbook.properties.modified = datetime(2026, 2, 27, 8, 0)  # noqa: DTZ001 - the format has no zone
    events = workbook.active
    events.title = "Ledger"
    rows: list[tuple[object, ...]] = [
        ("Date", "FNSKU", "Event", "Reference", "Quantity", "Disposition", "Balance"),
        ("2026-02-01", STORY["fnsku"], "Opening balance", "", 6, "SELLABLE", 6),
        ("2026-02-04", STORY["fnsku"], "Shipments", "Customer orders", -4, "SELLABLE", 2),
        ("2026-02-10", STORY["fnsku"], "Receipts", STORY["shipment"], 16, "SELLABLE", 18),
        ("2026-02-11", STORY["fnsku"], "Shipments", "Customer orders", -3, "SELLABLE", 15),
        ("2026-02-12", STORY["fnsku"], "Receipts", STORY["shipment"], 12, "SELLABLE", 27),
        ("2026-02-15", STORY["fnsku"], "Shipments", "Customer orders", -5, "SELLABLE", 22),
        ("2026-02-19", STORY["fnsku"], "Customer returns", "Return", 1, "DEFECTIVE", 23),
        ("2026-02-24", STORY["fnsku"], "Shipments", "Customer orders", -6, "SELLABLE", 17),
        ("2026-02-26", STORY["fnsku"], "Shipment closed", STORY["shipment"], 0, "", 17),
    ]
    _fill(events, rows, (13, 14, 18, 18, 11, 14, 10))
    summary = workbook.create_sheet("Shipment summary")
    _fill(
        summary,
        [
            ("Shipment", "FNSKU", "Shipped", "Received", "Difference", "Reimbursed"),
            (STORY["shipment"], STORY["fnsku"], 40, 28, -12, 0),
        ],
        (18, 14, 11, 11, 12, 12),
    )
    target = io.BytesIO()
    workbook.save(target)
    return _restamped(target.getvalue())


def _fill(
    sheet: openpyxl.worksheet.worksheet.Worksheet, rows: Iterable[Sequence[object]], widths: Sequence[int]
) -> None:
    for row in rows:
        sheet.append(row)
    for cell in sheet[1]:
        cell.font = Font(bold=True, color="FFFFFF")
        cell.fill = PatternFill("solid", fgColor="2F4B6E")
        cell.alignment = Alignment(horizontal="center")
    for column, width in zip("ABCDEFG", widths, strict=False):
        sheet.column_dimensions[column].width = width
    sheet.freeze_panes = "A2"


def _restamped(workbook: bytes) -> bytes:
    """The same workbook without the time of its making, which openpyxl writes into two places."""
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(workbook)) as source, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in source.namelist():
            content = source.read(name)
            if name == "docProps/core.xml":
                head, _, rest = content.partition(b"<dcterms:modified")
                _, _, tail = rest.partition(b"</dcterms:modified>")
                content = head + tail
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return target.getvalue()


def photo() -> bytes:
    """A photo of the label on the stretch-wrapped pallet, taken at a slight angle at the dock."""
    chance = random.Random(20260203)  # noqa: S311 - a picture that looks the same each time
    scene = _cartons(chance)
    label, shape = _pasted_label()
    shadow = ImageChops.offset(shape, 9, 12).filter(ImageFilter.GaussianBlur(9)).point(lambda level: level * 0.55)
    scene.paste((28, 20, 14), mask=shadow)
    scene.paste(label, mask=shape.filter(ImageFilter.GaussianBlur(0.8)))
    scene = Image.blend(scene, _gleam(chance), 0.09)
    scene = ImageChops.multiply(scene, _light())
    scene = ImageChops.add(scene, _grain(chance), scale=1, offset=-9).filter(ImageFilter.GaussianBlur(0.55))
    exif = Image.Exif()
    exif[ExifTags.Base.Make], exif[ExifTags.Base.Model] = "Dockside", "Handheld 4"
    exif.get_ifd(ExifTags.IFD.Exif).update(
        {ExifTags.Base.DateTimeOriginal: "2026:02:03 15:44:10", ExifTags.Base.OffsetTimeOriginal: "-05:00"}
    )
    target = io.BytesIO()
    scene.quantize(144, Image.Quantize.MEDIANCUT, kmeans=2, dither=Image.Dither.NONE).save(
        target, "PNG", optimize=True, exif=exif
    )
    return target.getvalue()


def _cartons(chance: random.Random) -> Image.Image:
    """Two rows of cartons with tape and flutes."""
    width, height = PHOTO_SIZE
    scene = Image.new("RGB", PHOTO_SIZE, (166, 127, 88))
    draw = ImageDraw.Draw(scene)
    for x in range(0, width, 3):
        shade = chance.randint(-5, 5)
        draw.line([(x, 0), (x + 14, height)], fill=(164 + shade, 125 + shade, 86 + shade), width=2)
    for x, y, w, h in [(-40, -30, 400, 500), (366, -44, 400, 508), (-70, 478, 420, 500), (356, 470, 420, 500)]:
        draw.rectangle((x, y, x + w, y + h), outline=(92, 66, 42), width=5)
        draw.rectangle((x + w // 2 - 26, y, x + w // 2 + 26, y + h), fill=(186, 150, 108))
    return scene.filter(ImageFilter.GaussianBlur(1.2))


def _pasted_label() -> tuple[Image.Image, Image.Image]:
    """The printed label and its outline, both in the photo's perspective."""
    with tempfile.TemporaryDirectory() as folder:
        copytree(SOURCES, folder, dirs_exist_ok=True)
        bars = {name: code128(STORY[name]) for name in ("shipment", "fnsku")}
        (Path(folder) / "bars.json").write_text(json.dumps(bars))
        printed = typst.compile(Path(folder) / "pallet-label.typ", ignore_system_fonts=True, format="png", ppi=180)
    label = Image.open(io.BytesIO(printed)).convert("RGB")
    label = ImageChops.multiply(label, Image.new("RGB", label.size, (244, 241, 233)))
    coefficients = _perspective(LABEL_CORNERS, label.size)
    spread = (PHOTO_SIZE, Image.Transform.PERSPECTIVE, coefficients, Image.Resampling.BICUBIC)
    return label.transform(*spread), Image.new("L", label.size, 255).transform(*spread)


def _perspective(corners: Sequence[tuple[int, int]], size: tuple[int, int]) -> list[float]:
    """The eight coefficients with which Pillow takes a point of the photo to a point of the label."""
    width, height = size
    rows: list[list[float]] = []
    for (x, y), (u, v) in zip(corners, [(0, 0), (width, 0), (width, height), (0, height)], strict=True):
        rows.append([x, y, 1, 0, 0, 0, -u * x, -u * y, u])
        rows.append([0, 0, 0, x, y, 1, -v * x, -v * y, v])
    return _solved(rows)


def _solved(rows: list[list[float]]) -> list[float]:
    """The solution of a system of linear equations, each with its right side last (Gauss and Jordan)."""
    size = len(rows)
    for column in range(size):
        best = max(range(column, size), key=lambda row: abs(rows[row][column]))
        rows[column], rows[best] = rows[best], rows[column]
        pivot = rows[column][column]
        rows[column] = [value / pivot for value in rows[column]]
        for other in range(size):
            if other != column:
                factor = rows[other][column]
                rows[other] = [a - factor * b for a, b in zip(rows[other], rows[column], strict=True)]
    return [row[-1] for row in rows]


def _gleam(chance: random.Random) -> Image.Image:
    """Light on the stretch wrap: soft slanted streaks."""
    gleam = Image.new("RGB", PHOTO_SIZE, (120, 110, 100))
    draw = ImageDraw.Draw(gleam)
    for _ in range(26):
        x, tilt = chance.randint(-80, PHOTO_SIZE[0]), chance.randint(40, 150)
        draw.line([(x, 0), (x + tilt, PHOTO_SIZE[1])], fill=(255, 255, 255), width=chance.choice([1, 2, 2, 5, 9]))
    return gleam.filter(ImageFilter.GaussianBlur(2.2))


def _light() -> Image.Image:
    """The dock's lamp at the upper left, darkness in the far corner."""
    falloff = Image.radial_gradient("L").resize((1500, 1700)).point(lambda level: 255 - level * 0.62)
    return falloff.crop((560, 600, 560 + PHOTO_SIZE[0], 600 + PHOTO_SIZE[1])).convert("RGB")


def _grain(chance: random.Random) -> Image.Image:
    """The noise of a small sensor."""
    width, height = PHOTO_SIZE[0] // 2, PHOTO_SIZE[1] // 2
    grain = Image.frombytes("L", (width, height), chance.randbytes(width * height))
    return grain.point(lambda level: level * 18 // 255).resize(PHOTO_SIZE, Image.Resampling.BILINEAR).convert("RGB")


if __name__ == "__main__":
    main()
