"""Small pictures of images, to be looked at beside a query: a run's results keep them, and pages have them inside."""

from __future__ import annotations

from io import BytesIO
from typing import Any

from flagbench import BadData
from flagbench.models.inputs import Image
from flagbench.results.worst_queries import PICTURE_BYTES

SIDE = 96
"""Pixels of the longer side."""

_QUALITIES = (80, 60, 40, 20)
"""Of JPEG: the first is taken that gives few enough bytes."""


def picture_of(image: Image) -> bytes | None:
    """An image made small, as a JPEG of up to ``PICTURE_BYTES``; None where it cannot be read or made so small.

    It is turned as its EXIF data says, and what is transparent is white; of an animated one the first frame is taken.
    """
    try:
        made = _small(image.decoded())
        for quality in _QUALITIES:
            stored = BytesIO()
            made.save(stored, "JPEG", quality=quality, optimize=True)
            if stored.tell() <= PICTURE_BYTES:
                return stored.getvalue()
    except (BadData, OSError, SyntaxError, ValueError):  # of Pillow, about a damaged file
        pass
    return None


def _small(picture: Any) -> Any:
    from PIL import ImageOps

    if picture.mode in ("1", "P"):  # which Pillow shrinks to the nearest pixel
        picture = picture.convert("RGBA" if picture.has_transparency_data else "RGB")
    picture.thumbnail((SIDE, SIDE))
    turned = ImageOps.exif_transpose(picture)
    if turned.mode.startswith("I"):  # 16 bits or more of grey
        turned = turned.convert("I").point(lambda value: value / 256).convert("L")
    if not turned.has_transparency_data:
        return turned.convert("RGB")
    import PIL.Image

    above = turned.convert("RGBA")
    return PIL.Image.alpha_composite(PIL.Image.new("RGBA", above.size, "white"), above).convert("RGB")
