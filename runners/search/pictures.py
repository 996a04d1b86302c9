"""Small pictures of images, to be looked at beside a query: a run's results keep them, and pages have them inside."""

from __future__ import annotations

from io import BytesIO

from flagbench import BadData
from flagbench.models.inputs import Image
from flagbench.results.worst_queries import PICTURE_BYTES

SIDE = 96
"""Pixels of the longer side."""

_QUALITIES = (80, 60, 40, 20)
"""Of JPEG: the first is taken that gives few enough bytes."""


def picture_of(image: Image) -> bytes | None:
    """An image made small, as a JPEG of up to ``PICTURE_BYTES``; None where it cannot be read or made so small.

    It is what a model gets (``Image.decoded``), only smaller.
    """
    try:
        made = image.decoded()
        made.thumbnail((SIDE, SIDE))
        for quality in _QUALITIES:
            stored = BytesIO()
            made.save(stored, "JPEG", quality=quality, optimize=True)
            if stored.tell() <= PICTURE_BYTES:
                return stored.getvalue()
    except (BadData, OSError, SyntaxError, ValueError):  # of Pillow, about a damaged file
        pass
    return None
