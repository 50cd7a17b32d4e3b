"""Raster images."""

from __future__ import annotations

import re
from typing import BinaryIO, TypedDict

from PIL import ExifTags, Image, UnidentifiedImageError

from proofloop_packets.evidence.metadata import Limits, Mark
from proofloop_packets.evidence.parsers.findings import Findings, clip

FORMATS = ("BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP")
"""The decoders that may run; Pillow has many more, most of them never fuzzed."""

_EXIF_TIME = re.compile(r"(\d{4}):(\d\d):(\d\d) (\d\d):(\d\d):(\d\d)")
_EXIF_OFFSET = re.compile(r"[+-]\d\d:\d\d")


class ImageFacts(TypedDict, total=False):
    """Facts of an image."""

    width: int
    """Pixels, as stored: orientation is not applied."""
    height: int
    frames: int | None
    """Pictures in an animation or a multi-page TIFF; absent where there is one."""
    taken_time: str | None
    """The camera's clock, ISO 8601; with an offset only where the camera wrote one."""
    camera: str


def inspect_image(file: BinaryIO, limits: Limits) -> Findings:
    """Size, EXIF time and camera; decodes the picture once, within the limits, to see that it is whole."""
    findings = Findings()
    try:
        with Image.open(file, formats=FORMATS) as image:
            width, height = image.size
            frames = getattr(image, "n_frames", 1)
            findings.add(ImageFacts(width=width, height=height, frames=frames if frames > 1 else None))
            if width * height > limits.pixels:
                findings.mark(Mark.OVERSIZED_CONTENT)
                return findings
            _read_exif(image, findings)
            image.load()
    except Image.DecompressionBombError:
        findings.mark(Mark.OVERSIZED_CONTENT)
    except UnidentifiedImageError:
        findings.mark(Mark.MALFORMED)
    except (OSError, SyntaxError, ValueError) as error:  # what Pillow's decoders raise on broken data
        cut = isinstance(error, OSError) and "truncated" in str(error).lower()
        findings.mark(Mark.TRUNCATED if cut else Mark.MALFORMED)
    return findings


def _read_exif(image: Image.Image, findings: Findings) -> None:
    exif = image.getexif()
    camera_part = exif.get_ifd(ExifTags.IFD.Exif)
    time = camera_part.get(ExifTags.Base.DateTimeOriginal) or exif.get(ExifTags.Base.DateTime)
    offset = camera_part.get(ExifTags.Base.OffsetTimeOriginal)
    make_and_model = [exif.get(tag) for tag in (ExifTags.Base.Make, ExifTags.Base.Model)]
    findings.add(
        ImageFacts(
            taken_time=_iso_time(time, offset),
            camera=clip(" ".join(part for part in make_and_model if isinstance(part, str))),
        )
    )


def _iso_time(time: object, offset: object) -> str | None:
    matched = _EXIF_TIME.match(time) if isinstance(time, str) else None
    if not matched:
        return None
    year, month, day, hour, minute, second = matched.groups()
    known = isinstance(offset, str) and _EXIF_OFFSET.fullmatch(offset)
    return f"{year}-{month}-{day}T{hour}:{minute}:{second}{offset if known else ''}"
