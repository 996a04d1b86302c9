"""Grids of scores: how well a model did by two numbers of the samples, such as a context's length and the depth in it.

``flagbench/grids/<task>.json`` in the folder of a run, for tasks whose samples have both.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from statistics import fmean
from typing import Any

from typing_extensions import TypedDict

from flagbench.results.migrations import SCHEMA_VERSION, current
from flagbench.results.shapes import CLOSED, ROUNDED, Count, Number, Text, Truth, check_shape
from flagbench.results.shares import wilson
from flagbench.results.values import Part

MOST = 200
"""Rows, and columns, of a grid."""


@dataclass(frozen=True)
class Axis:
    """One of the two numbers.

    Attributes:
        name: What it counts.
        values: The smallest first.
    """

    __pydantic_config__ = CLOSED

    name: Text
    values: Sequence[Count]


@dataclass(frozen=True)
class Mean:
    """The mean of some samples.

    Attributes:
        value: The mean; None of no samples.
        samples: How many.
        low: Lower end of the 95% interval of a share; None where the values are no shares, or there are none.
        high: Its upper end.
    """

    value: float | None
    samples: int
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Grid:
    """The means of a task's samples.

    Attributes:
        task: Name.
        split: The split that the samples are of.
        metric: The metric that the values are of.
        share: Whether each sample is right or wrong, so that a mean is a share.
        rows: Down: the depth.
        columns: Across: the length.
        values: Means by row and column; None where there is no sample.
        samples: How many there are, by row and column.
    """

    task: str
    split: str
    metric: str
    share: bool
    rows: Axis
    columns: Axis
    values: Sequence[Sequence[float | None]]
    samples: Sequence[Sequence[int]]

    @staticmethod
    def file(task: str) -> str:
        """Path of a task's grid in the folder of a run."""
        return f"flagbench/grids/{task}.json"

    def cell(self, row: int, column: int) -> Mean:
        """The samples of a cell, by its places."""
        return self._mean([(row, column)])

    def row(self, row: int) -> Mean:
        """All samples of a row."""
        return self._mean((row, column) for column in range(len(self.columns.values)))

    def column(self, column: int) -> Mean:
        """All samples of a column."""
        return self._mean((row, column) for row in range(len(self.rows.values)))

    def to_json(self) -> str:
        """Text of the file, with the interval of each cell."""
        document: dict[str, Any] = {"schema_version": SCHEMA_VERSION} | asdict(self)
        for end in ("low", "high"):
            document[end] = [
                [getattr(self.cell(row, column), end) for column in range(len(self.columns.values))]
                for row in range(len(self.rows.values))
            ]
        return json.dumps(document, ensure_ascii=False, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str | Mapping[str, Any]) -> Grid:
        """Read the text of a file. Its intervals are those of its values, and are computed from them.

        Raises:
            ValueError: It is no grid, or one of a later version.
        """
        document = current(text, {})
        try:
            check_shape(_File, document)
            rows, columns = Axis(**document["rows"]), Axis(**document["columns"])
            grid = cls(
                task=document["task"],
                split=document["split"],
                metric=document["metric"],
                share=document["share"],
                rows=rows,
                columns=columns,
                values=document["values"],
                samples=document["samples"],
            )
            grid._check([document["values"], document["samples"], document["low"], document["high"]])
        except ValueError as error:
            raise ValueError(f"it is not a grid of scores ({error})") from error
        return grid

    def contradicts(self, scores: Mapping[str, float], values: Mapping[str, Part]) -> bool:
        """Tell whether the means of a grid are not those of the values per query, or else of the scores.

        Columns are held against subsets where these are named by them, or else all samples against all values.

        Args:
            scores: Of the grid's split, by subset.
            values: Of the same split, by subset; empty where none were kept.
        """
        kept = {name: list(part.get(self.metric, {}).values()) for name, part in values.items()}
        columns = {str(value): self.column(at) for at, value in enumerate(self.columns.values)}
        columns = {name: mean for name, mean in columns.items() if mean.value is not None}
        if kept and columns.keys() != {name for name, its in kept.items() if its}:
            numbers = [value for its in kept.values() for value in its]
            places = [(row, column) for row in range(len(self.values)) for column in range(len(self.columns.values))]
            return _unlike(self._mean(places), sum(numbers) / len(numbers) if numbers else None, len(numbers))
        if kept:
            return any(_unlike(mean, fmean(kept[name]), len(kept[name])) for name, mean in columns.items())
        if columns.keys() != scores.keys():
            return False
        return any(_unlike(mean, scores[name], mean.samples) for name, mean in columns.items())

    def _mean(self, places: Iterable[tuple[int, int]]) -> Mean:
        counts = [(self.values[row][column], self.samples[row][column]) for row, column in places]
        known = [(value, samples) for value, samples in counts if value is not None]
        samples = sum(each for _, each in known)
        if not samples:
            return Mean(None, 0)
        total = sum(value * each for value, each in known)
        if not self.share:
            return Mean(total / samples, samples)
        return Mean(total / samples, samples, *wilson(round(total), samples))

    def _check(self, tables: Sequence[Sequence[Sequence[Any]]]) -> None:
        """See that all of it fits together."""
        for axis in (self.rows, self.columns):
            if not 0 < len(axis.values) <= MOST:
                raise ValueError(f"it has {len(axis.values)} values of {axis.name}, from 1 to {MOST} are possible")
            if any(first >= second for first, second in pairwise(axis.values)):
                raise ValueError(f"its values of {axis.name} do not rise")
        for table in tables:
            if len(table) != len(self.rows.values) or any(len(row) != len(self.columns.values) for row in table):
                raise ValueError("its tables have not a value for each row and column")
        for values, samples in zip(self.values, self.samples, strict=True):
            for value, count in zip(values, samples, strict=True):
                if (value is None) != (count == 0):
                    raise ValueError("a cell has a value without samples, or samples without a value")
                if self.share and value is not None and not 0 <= value <= 1:
                    raise ValueError(f"{value:g} is no share")


def _unlike(mean: Mean, expected: float | None, samples: int) -> bool:
    if mean.value is None or expected is None:
        return mean.value is not expected
    return mean.samples != samples or not abs(mean.value - expected) <= ROUNDED


class _File(TypedDict):
    schema_version: int
    task: Text
    split: Text
    metric: Text
    share: Truth
    rows: Axis
    columns: Axis
    values: Sequence[Sequence[Number | None]]
    samples: Sequence[Sequence[Count]]
    low: Sequence[Sequence[Number | None]]
    high: Sequence[Sequence[Number | None]]
