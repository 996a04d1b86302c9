"""Names of image files that stand in a column of texts, which a model would get as words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path, PurePath

from flagbench import BadInput
from flagbench.files import inside
from flagbench.runners.data.row_files import RowFile
from flagbench.suites.own.columns import IMAGES, NAMES
from flagbench.suites.own.file_groups import Groups
from flagbench.suites.own.task_file import NAME

_ROWS = 8  # of a file, and items of a list, that are looked at
_TEXTS_ALONE: Mapping[str, str] = {
    **dict.fromkeys(
        ("query", "positives", "negatives"),
        "lay images to re-rank out as corpus, queries, qrels and top_ranked, of which the first two may have a column "
        "image",
    ),
    "sentences": "lay images to cluster out as rows with an image and a label each",
}
"""What may stand beside no image, with the layout that has images for the same task."""

_ENDINGS = {".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff"}


def warnings(folder: Path, groups: Groups, columns: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    """A line for each column of texts whose first rows all name image files that are there.

    Args:
        folder: Of the data set.
        groups: Its files.
        columns: Names of the columns, by file group and by what they hold.
    """
    for holds, its in columns.items():
        files = next((files for (each, _), files in groups.items() if each == holds), ())
        for text in (*IMAGES, *_TEXTS_ALONE):
            if text in its and IMAGES.get(text) not in its and files and _name_images(folder, files[0], its[text]):
                yield (
                    f"WARNING: column {its[text]} of {files[0].path.name} names image files, and they are read as "
                    f"texts: {_fix(holds, text, its[text])}"
                )


def _fix(holds: str, text: str, column: str) -> str:
    if text in _TEXTS_ALONE:
        return _TEXTS_ALONE[text]
    group, name = f"columns.{holds}" if holds != "rows" else "columns", NAMES[IMAGES[text]][0]
    return f'name the column {name}, or say {group}.{name} = "{column}" in {NAME}'


def _name_images(folder: Path, file: RowFile, column: str) -> bool:
    """Whether the first texts of a column, alone or in lists, all name image files that are there."""
    try:
        cells = [row.get(column) for _, row in islice(file.rows(), _ROWS)]
        values = [value for cell in cells for value in (cell[:_ROWS] if isinstance(cell, list) else [cell])]
        return bool(values) and all(_is_image(folder, value) for value in values)
    except BadInput:  # a fault of a row, which reading names
        return False


def _is_image(folder: Path, value: object) -> bool:
    if not isinstance(value, str) or PurePath(value).suffix.lower() not in _ENDINGS:
        return False
    return inside(folder, value, "remove it").is_file()
