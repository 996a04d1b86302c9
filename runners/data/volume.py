"""How much there is of a task: its texts, and the bytes of its dataset; each known beforehand, or counted in files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
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
