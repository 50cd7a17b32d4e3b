"""Small pictures of image evidence, for the eye only: no evidence themselves."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, BinaryIO

from PIL import Image, ImageOps, UnidentifiedImageError

from proofloop_packets.evidence.confinement import (
    ChildCrashedError,
    ChildExhaustedError,
    run_confined,
    serve_confined,
)
from proofloop_packets.evidence.parsers.image import FORMATS

if TYPE_CHECKING:
    from pathlib import Path

    from proofloop_packets.evidence.metadata import Limits

_BOX = (420, 500)
"""Pixels: what the summary shows at 1.35 inches wide, at 300 dots per inch."""
_QUALITY = 82


def thumbnail(file: BinaryIO, limits: Limits) -> bytes:
    """A JPEG of the image, upright, on white, within 420 by 500 pixels; empty where it cannot be decoded.

    Like `inspect`, for a process that may die.
    """
    try:
        with Image.open(file, formats=FORMATS) as image:
            if image.width * image.height > limits.pixels:
                return b""
            upright = ImageOps.exif_transpose(image).convert("RGBA")
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, SyntaxError, ValueError):
        return b""
    upright.thumbnail(_BOX)
    paper = Image.new("RGB", upright.size, "white")
    paper.paste(upright, mask=upright)
    target = io.BytesIO()
    paper.save(target, "JPEG", quality=_QUALITY)
    return target.getvalue()


async def thumbnail_in_process(path: Path, limits: Limits) -> bytes | None:
    """A JPEG of the image at ``path``, made in a process that may die; None where there is none to make."""
    try:
        return await run_confined(__name__, path, limits) or None
    except (ChildExhaustedError, ChildCrashedError):
        return None


if __name__ == "__main__":
    serve_confined(thumbnail)
