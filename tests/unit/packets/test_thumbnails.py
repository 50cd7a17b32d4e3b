import io
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import ExifTags, Image
from proofloop_packets.evidence.metadata import Limits
from proofloop_packets.evidence.thumbnails import thumbnail, thumbnail_in_process

LIMITS = Limits()


def _picture(mode: str, kind: str, *, sideways: bool = False) -> bytes:
    exif = Image.Exif()
    if sideways:
        exif[ExifTags.Base.Orientation] = 6
    target = io.BytesIO()
    Image.new(mode, (1000, 500)).save(target, kind, exif=exif)
    return target.getvalue()


@pytest.mark.parametrize(("mode", "kind"), [("RGB", "JPEG"), ("RGBA", "PNG"), ("P", "GIF"), ("L", "TIFF")])
def test_a_thumbnail_is_a_small_jpeg_of_the_same_proportions(mode: str, kind: str) -> None:
    with Image.open(io.BytesIO(thumbnail(io.BytesIO(_picture(mode, kind)), LIMITS))) as small:
        assert (small.format, small.size) == ("JPEG", (420, 210))


def test_a_thumbnail_stands_upright_and_transparent_parts_are_white() -> None:
    with Image.open(io.BytesIO(thumbnail(io.BytesIO(_picture("RGB", "JPEG", sideways=True)), LIMITS))) as small:
        assert small.size == (250, 500)
    with Image.open(io.BytesIO(thumbnail(io.BytesIO(_picture("RGBA", "PNG")), LIMITS))) as small:
        assert small.getpixel((5, 5)) == (255, 255, 255)


async def test_what_is_no_picture_or_too_large_a_one_has_no_thumbnail(tmp_path: Path) -> None:
    path = tmp_path / "picture"
    path.write_bytes(_picture("RGB", "PNG"))
    whole = await thumbnail_in_process(path, LIMITS)
    assert whole == thumbnail(io.BytesIO(path.read_bytes()), LIMITS)
    assert await thumbnail_in_process(path, replace(LIMITS, pixels=1000)) is None
    path.write_bytes(b"no picture at all")
    assert await thumbnail_in_process(path, LIMITS) is None
