"""Texts and images of rows of own data, either or both of a row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flagbench import BadData
from flagbench.runners.data.pictures import stored_image
from flagbench.runners.data.row_files import RowFile
from flagbench.suites.own.columns import IMAGES, NAMES
from flagbench.suites.own.layouts import DataSet
from flagbench.suites.own.values import FIX, Report, shown, text_of


class Contents:
    """Reads what a model gets of a row.

    Args:
        data: The data set.
        decode: See ``stored_image``.
    """

    def __init__(self, data: DataSet, *, decode: bool = False) -> None:
        self._data = data
        self._decode = decode

    def columns(self, holds: str, text: str) -> list[str]:
        """What ``read`` gives of a file group: the text, the image or both, by their names in a layout."""
        return [each for each in (text, IMAGES[text]) if each in self._data.columns[holds]]

    def read(
        self,
        file: RowFile,
        number: int,
        row: Mapping[str, Any],
        holds: str,
        text: str,
        report: Report,
        *,
        titled: bool = False,
    ) -> tuple[Any, ...] | None:
        """The text and the image of a row, in the order of ``columns``; None for a fault.

        Args:
            file: That the row is from.
            number: Of the row.
            row: Its values.
            holds: What the file holds.
            text: What the text is called in a layout.
            report: Takes the fault.
            titled: Whether the row has a title, which will do for a text.
        """
        columns = self._data.columns[holds]
        image = IMAGES[text]
        if image not in columns:
            if (name := NAMES[image][0]) not in columns.values() and row.get(name) is not None:
                report(
                    f"{file.place(number)} has the first image of the file in column {name}: put it among the first "
                    f"rows of {file.path.name}, by which columns are told"
                )
                return None
            found = text_of(file, number, row, columns[text], report, empty=titled)
            return None if found is None else (found,)
        try:
            stored = stored_image(
                self._data.folder, row.get(columns[image]), decode=self._decode, place=file.place(number)
            )
        except BadData as error:
            report(f"{file.place(number)} has {error}: {FIX}")
            return None
        if text not in columns:
            if stored is None:
                report(f"{file.place(number)} has nothing instead of an image in column {columns[image]}: {FIX}")
                return None
            return (stored,)
        if stored is None and not titled and not str(row.get(columns[text]) or "").strip():
            value = shown(row.get(columns[text]))
            report(
                f"{file.place(number)} has {value} in column {columns[text]} and no image in column {columns[image]}: "
                f"{FIX}"
            )
            return None
        found = text_of(file, number, row, columns[text], report, empty=True)
        return None if found is None else (found, stored)
