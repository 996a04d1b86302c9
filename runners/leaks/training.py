"""Training data, as files of rows: FlagEmbedding's queries with positives and negatives, or texts of any columns."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flagbench import BadData, BadInput, first_few
from flagbench.files import MIB
from flagbench.paths import check_there
from flagbench.runners.data.lines import Heard
from flagbench.runners.data.row_files import ENDINGS, RowFile, files_below

KNOWN: tuple[tuple[str, ...], ...] = (
    ("query", "pos", "neg"),
    ("query", "positive", "negative"),
    ("anchor", "positive", "negative"),
    ("sentence1", "sentence2"),
    ("text1", "text2"),
    ("text",),
)
"""Columns that are looked for, the first set of which a file has one; the first two of a set are a pair."""

LINE = "line"
"""The one column of plain text."""

_CHARACTERS = 150_000  # of a batch: its arrays stay in the processor's cache
_TEXTS = 4_096
_LONGEST = 64 * MIB  # of a row


@dataclass(frozen=True)
class Batch:
    """Texts of the training data, those of a row all together.

    Attributes:
        file: Number of the file.
        texts: Those.
        rows: ``int64[n]``, numbers of their rows, as ``RowFile`` has them.
        columns: ``int8[n]``, places of their columns among those of the file; the first two are a pair.
        count: Rows.
    """

    file: int
    texts: Sequence[str]
    rows: NDArray[np.int64]
    columns: NDArray[np.int8]
    count: int


@dataclass(frozen=True)
class TrainingFile:
    """A file of training data.

    Attributes:
        rows: The file.
        columns: Of its texts.
        there: All columns of the file, as ``RowFile.columns`` has them, where a user named those of texts: each of
            these is expected to have some.
    """

    rows: RowFile
    columns: tuple[str, ...]
    there: tuple[str, ...] = ()

    def batches(
        self,
        number: int,
        most_characters: int = _CHARACTERS,
        most_texts: int = _TEXTS,
        heard: Heard | None = None,
    ) -> Iterator[Batch]:
        """Its texts, row by row.

        Args:
            number: Of the file.
            most_characters: After so many a batch ends.
            most_texts: After so many, or as many rows, a batch ends.
            heard: See ``RowFile.rows``.

        Raises:
            BadData: It cannot be read, or has something other than texts in a column of them.
        """
        texts: list[str] = []
        rows: list[int] = []
        columns: list[int] = []
        characters = count = 0
        for row, found in self._texts(heard):
            for column, its in found:
                texts += its
                rows += [row] * len(its)
                columns += [column] * len(its)
                characters += sum(map(len, its))
            count += 1
            if characters >= most_characters or max(len(texts), count) >= most_texts:
                yield Batch(number, texts, np.array(rows, np.int64), np.array(columns, np.int8), count)
                texts, rows, columns, characters, count = [], [], [], 0, 0
        if count:
            yield Batch(number, texts, np.array(rows, np.int64), np.array(columns, np.int8), count)

    def _texts(self, heard: Heard | None) -> Iterator[tuple[int, Sequence[tuple[int, Sequence[str]]]]]:
        """The number of each row, and the texts of each column that has some."""
        if self.rows.kind == "words":
            with self.rows.lines(blank=False, heard=heard) as lines:
                yield from ((row, ((0, (line.strip(),)),)) for row, line in lines)
            return
        for row, values in self.rows.rows(self.columns, heard):
            found = [
                (place, self._listed(row, place, value))
                for place, column in enumerate(self.columns)
                if (value := values.get(column)) is not None
            ]
            if sum(len(text) for _, its in found for text in its) > _LONGEST:  # of parquet; a line is no longer
                raise BadData(f"{self.rows.place(row)} has texts of more than {_LONGEST:,} characters: fix the data")
            yield row, found

    def _listed(self, row: int, place: int, value: Any) -> Sequence[str]:
        if isinstance(value, str):
            return (value,)
        if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
            raise BadData(
                f"{self.rows.place(row)} has {value!r:.40} in column {self.columns[place]}, which is neither a text "
                "nor a list of texts: fix the data, or name the columns of texts with --columns"
            )
        return value


def training_files(paths: Sequence[Path], columns: Sequence[str] = ()) -> tuple[TrainingFile, ...]:
    """The files at some paths, with the columns of their texts.

    Args:
        paths: Files and folders.
        columns: Of texts, the first two of which are a pair; without any, the first of ``KNOWN`` that a file has.

    Raises:
        BadInput: A path holds no file of rows.
        BadData: A file cannot be read, or has none of the columns.
    """
    found: dict[str, RowFile] = {}
    for path in paths:
        check_there(path, "name files of training data, or folders of them")
        files = files_below(path) if path.is_dir() else [_file(path)]
        for file in files:
            found.setdefault(os.path.realpath(file.path), file)  # Path.resolve raises where links go in a circle
        if not files:
            raise BadInput(f"{path} holds no training data: it needs files with the endings {first_few(ENDINGS, 9)}")
    return tuple(_with_columns(file, columns) for file in found.values())


def _file(path: Path) -> RowFile:
    file = RowFile.of(path)
    if file is None:
        raise BadInput(
            f"{path} has no ending of a file of rows, which training data is read by: name it .jsonl, .txt or .parquet "
            "(.jsonl.gz where it is compressed)"
        )
    return file


def _with_columns(file: RowFile, wanted: Sequence[str]) -> TrainingFile:
    if file.kind == "words":
        return TrainingFile(file, (LINE,))
    there = file.columns()
    if wanted:
        if not set(wanted) & set(there):
            raise BadData(
                f"{file.path} has no column {' or '.join(wanted)} (it has {first_few(there, 9)}): name those of its "
                "texts with --columns"
            )
        return TrainingFile(file, tuple(wanted), tuple(there))
    return TrainingFile(file, _known_columns(file, there))


def _known_columns(file: RowFile, there: Sequence[str]) -> tuple[str, ...]:
    for known in KNOWN:
        # What a row lacks, others of the file may have: the columns of JSON are those of its first rows.
        if known[0] in there and (len(known) == 1 or set(known[1:]) & set(there) or known[0] == "query"):
            return known
    if not there:
        raise BadData(f"{file.path} has no rows: leave it out")
    raise BadData(
        f"{file.path} has no columns of training data, such as query, pos and neg (it has {first_few(there, 9)}): name "
        "those of its texts with --columns"
    )
