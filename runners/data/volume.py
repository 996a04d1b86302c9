"""How much there is of a task: its texts, and the bytes of its dataset; each known beforehand, or counted in files."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flagbench.runners.data.row_files import RowFile


@dataclass(frozen=True)
class Volume:
    """How much there is of a task; None where it is not known.

    Attributes:
        texts: Texts of the scored splits (of a benchmark of questions: questions). Of classification the training rows,
            of which a few are drawn, are not among them.
        bytes: Size of the files of its dataset, to download or as they lie there.
    """

    texts: int | None = None
    bytes: int | None = None


_MOST_FILES = 1_000_000
"""That are looked at for their sizes, a few seconds."""


def bytes_beside(files: Iterable[RowFile], columns: Sequence[str], folder: Path) -> int | None:
    """Bytes of the files that columns of images name, each once; none is opened.

    Args:
        files: Of the rows.
        columns: Names.
        folder: Names are relative to it; what is not a regular file below it counts nothing.

    Returns:
        None where there are too many to be looked at.

    Raises:
        BadData: A file of rows cannot be read.
    """
    seen: set[str] = set()
    size = 0
    for name in (name for file in files for column in columns for name in file.named_in(column)):
        path = os.path.normpath(folder / name)
        if path in seen or not path.startswith(f"{folder}{os.sep}"):
            continue
        if len(seen) == _MOST_FILES:
            return None
        seen.add(path)
        try:
            state = os.lstat(path)
        except (OSError, ValueError):  # reading the rows says what is wrong with it
            continue
        size += state.st_size if stat.S_ISREG(state.st_mode) else 0
    return size


def texts_in(files: Iterable[RowFile], columns: Sequence[str]) -> int:
    """The number of texts in some columns of files, of which a cell has one, or a list.

    Args:
        files: Of the same columns.
        columns: Names.

    Raises:
        BadData: A file cannot be read.
    """
    texts = 0
    for file in files:
        first = next(file.rows(), (0, {}))[1]
        lists = [column for column in columns if isinstance(first.get(column), list)]
        if len(lists) < len(columns):
            texts += (len(columns) - len(lists)) * file.count()
        if lists:
            cells = (row.get(column) for _, row in file.rows() for column in lists)
            texts += sum(len(cell) for cell in cells if isinstance(cell, list))
    return texts
