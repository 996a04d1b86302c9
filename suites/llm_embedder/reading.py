"""Rows of the bundle's files, each of them checked: a fault is a line that names file, row and column."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from flagbench.results.shapes import check_shape
from flagbench.runners.data.pictures import kept
from flagbench.runners.data.texts import TextColumn
from flagbench.runners.search.ranking import Texts
from flagbench.suites.llm_embedder.bundle import BundleFiles

Report = Callable[[str], None]
"""Takes a fault, a line; it may raise, else the row is left out."""

FIX = "fix the data"
"""The end of a line about a fault."""

_SHOWN = 80  # characters of an id
_TEXTS = pa.schema([("text", pa.large_string())])


@dataclass(frozen=True)
class Asked:
    """A row of a file of queries.

    Attributes:
        id: Its ``query_id``, or its number in the file where it has none.
        where: File and row, for messages.
        row: Its columns, of the shape that was asked for.
    """

    id: str
    where: str
    row: Mapping[str, Any]


@dataclass(frozen=True)
class Reading:
    """What a task is read with.

    Attributes:
        bundle: Its files.
        report: Takes each fault.
    """

    bundle: BundleFiles
    report: Report

    def asked(self, name: str, shape: type[Any], texts: Sequence[str] = ("query",)) -> list[Asked]:
        """The rows of a file of queries, each id once.

        Args:
            name: Of the file, in the bundle.
            shape: A ``TypedDict`` of the columns that are needed.
            texts: Columns whose texts may not be blank.

        Raises:
            BadData: The file cannot be read.
        """
        known: dict[str, None] = {}
        found = []
        for place, (where, row) in enumerate(self._rows(name)):
            if not self._is(where, row, shape, texts):
                continue
            id_ = row.get("query_id", place)
            if isinstance(id_, bool) or not isinstance(id_, int | str) or id_ == "":
                self.report(f"{where} has {id_!r:.60} instead of an id in column query_id: {FIX}")
                continue
            if str(id_) in known:
                self.report(f"{where} has the query_id '{id_!s:.{_SHOWN}}', which is listed twice: {FIX}")
                continue
            known[str(id_)] = None
            found.append(Asked(str(id_), where, row))
        if not known:
            self.report(f"{self.bundle.root}: {name} has no row that can be used: {FIX}")
        return found

    def corpus(self, name: str, columns: Sequence[str]) -> Texts:
        """The passages of a file, named by their row numbers from 0; they lie in a temporary file.

        Args:
            name: Of the file, in the bundle.
            columns: Texts, which make a passage with a blank between them, as the authors' template has them.

        Raises:
            BadData: The file cannot be read.
        """

        def passages() -> Iterator[tuple[str]]:
            for where, row in self._rows(name):
                parts = [row.get(column) for column in columns]
                for column, part in zip(columns, parts, strict=True):
                    if not isinstance(part, str):
                        # The row stays, for the numbers of those after it are labels.
                        self.report(f"{where} has {_value(part)} instead of a text in column {column}: {FIX}")
                yield (" ".join(part if isinstance(part, str) else "" for part in parts),)

        texts = TextColumn(kept(passages(), _TEXTS, large=True).column("text"))
        if not len(texts):
            self.report(f"{self.bundle.root}: {name} has no rows: {FIX}")
        return Texts(list(map(str, range(len(texts)))), texts)

    def _rows(self, name: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
        for file in self.bundle.rows_in(name):
            for number, row in file.rows():
                yield file.place(number), row

    def _is(self, where: str, row: Mapping[str, Any], shape: type[Any], texts: Sequence[str]) -> bool:
        """Whether a row has a shape; else that is reported."""
        try:
            check_shape(shape, row)
        except ValueError as error:
            self.report(f"{where} cannot be used ({error}): {FIX}")
            return False
        for column in texts:
            if not row[column].strip():
                self.report(f"{where} has an empty text in column {column}: {FIX}")
                return False
        return True


def _value(value: Any) -> str:
    return "nothing" if value is None else f"{value!r:.60}"
