"""Drawn images: encoded bytes of one colour, or of two side by side."""

from __future__ import annotations

from io import BytesIO

from PIL import Image as Pillow

from flagbench.models.inputs import Image


def drawn(*colours: str, size: int = 8, kind: str = "PNG") -> bytes:
    """Stripes of the colours from left to right, encoded."""
    picture = Pillow.new("RGB", (size * len(colours), size))
    for place, colour in enumerate(colours):
        picture.paste(Pillow.new("RGB", (size, size), colour), (place * size, 0))
    stored = BytesIO()
    picture.save(stored, kind)
    return stored.getvalue()


def image(*colours: str, size: int = 8) -> Image:
    """The same as a value."""
    return Image(drawn(*colours, size=size))
