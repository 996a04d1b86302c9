"""Broken images in the rows of a task with images, found by decoding the first rows of each of its parts."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from flagbench import BadData
from flagbench.runners.data.image_rows import ImageRows
from flagbench.runners.data.sources import Source

ROWS = 1_000
"""Rows of a split whose images are decoded: a whole data set of a million would take hours."""


def report_broken(source: Source, parts: Iterable[tuple[str | None, str]], report: Callable[[str], None]) -> None:
    """Decode the images of the first rows of some splits.

    Args:
        source: The data.
        parts: Configs, None for the only one, and their splits.
        report: Takes a line about each image that cannot be decoded, with its column and row.

    Raises:
        BadData: Rows cannot be read.
    """
    for config, split in parts:
        where = f"{source.where}, " + (f"config {config}, split {split}" if config else f"split {split}")
        rows = ImageRows.of(source.first_with_images(config, split, ROWS), where)
        for column in rows.images:
            for image in rows.images_in(column):
                try:
                    if image is not None:
                        image.decoded()
                except BadData as error:
                    report(f"{error}; fix the data")
