"""Names of image files that stand in a column of texts, which a model would get as words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path, PurePath

from flagbench import BadInput
from flagbench.files import inside
from flagbench.suites.own.columns import IMAGES, NAMES
from flagbench.suites.own.file_groups import Groups
from flagbench.suites.own.task_file import NAME

_ROWS = 8  # of a file, that are looked at
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
        for text, image in IMAGES.items():
            if text not in its or image in its or not files:
                continue
            try:
                values = [row.get(its[text]) for _, row in islice(files[0].rows(), _ROWS)]
                names_images = bool(values) and all(_is_image(folder, value) for value in values)
            except BadInput:  # a fault of a row, which reading names
                continue
            if names_images:
                group = f"columns.{holds}" if holds != "rows" else "columns"
                yield (
                    f"WARNING: column {its[text]} of {files[0].path.name} names image files, and they are read as "
                    f'texts: name the column {NAMES[image][0]}, or say {group}.{NAMES[image][0]} = "{its[text]}" in '
                    f"{NAME}"
                )


def _is_image(folder: Path, value: object) -> bool:
    if not isinstance(value, str) or PurePath(value).suffix.lower() not in _ENDINGS:
        return False
    return inside(folder, value, "remove it").is_file()
