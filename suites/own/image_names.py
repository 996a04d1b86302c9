"""Names of image files that stand in a column of texts, which a model would get as words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path, PurePath

from flagbench import BadData, BadInput
from flagbench.suites.own.columns import IMAGES, NAMES, TEXTS
from flagbench.suites.own.file_groups import Groups
from flagbench.suites.own.task_file import NAME

_ROWS = 8  # of a file, and items of a list, that are looked at
_ENDINGS = {".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff"}
_SEARCHED = "give a corpus, queries, qrels and candidates to re-rank, whose columns image name them"
_ELSEWHERE: Mapping[str, str] = {
    **dict.fromkeys(("query", "positives", "negatives"), _SEARCHED),
    "sentences": "give each image a row of its own, with the columns image and label",
}
"""Of columns that have no image beside them: the layout that takes images in their place."""


def warnings(folder: Path, groups: Groups, columns: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    """A line for each column of texts whose first rows all name image files that are there.

    Args:
        folder: Of the data set.
        groups: Its files.
        columns: Names of the columns, by file group and by what they hold.
    """
    for holds, its in columns.items():
        files = next((files for (each, _), files in groups.items() if each == holds), ())
        for text in [each for each in its if each in TEXTS] if files else ():
            if IMAGES.get(text) in its:
                continue
            try:
                values = [row.get(its[text]) for _, row in islice(files[0].rows(), _ROWS)]
            except BadInput:  # a fault of a row, which reading names
                continue
            if values and all(_names_images(folder, value) for value in values):
                yield (
                    f"WARNING: column {its[text]} of {files[0].path.name} names image files, and they are read as "
                    f"texts: {_fix(holds, text, its[text])}"
                )


def _fix(holds: str, text: str, column: str) -> str:
    """What makes images of the names in a column."""
    if text in _ELSEWHERE:
        return _ELSEWHERE[text]
    image = NAMES[IMAGES[text]][0]
    group = f"columns.{holds}" if holds != "rows" else "columns"
    return f'name the column {image}, or say {group}.{image} = "{column}" in {NAME}'


def _names_images(folder: Path, value: object) -> bool:
    """Whether a value of a row is the name of an image that is there, or a list of them."""
    if isinstance(value, list):
        return bool(value) and all(isinstance(each, str) and _names_images(folder, each) for each in value[:_ROWS])
    if not isinstance(value, str) or PurePath(value).suffix.lower() not in _ENDINGS:
        return False
    from flagbench.runners.data.pictures import picture_at  # takes numpy, which help does without

    try:
        picture_at(folder, value)
    except BadData:
        return False
    return True
