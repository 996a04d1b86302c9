"""The tasks of composed retrieval as frozen rows: where their authors publish them, and what is counted."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

from flagbench.models.inputs import Modality
from flagbench.runners.task import Task, read_rows

_TASKS = Path(__file__).with_name("tasks.toml")
MEANS = {"fashioniq": "FashionIQ", "mbeir": "M-BEIR"}
"""Titles of the means over tasks that authors report, by the layout of the tasks."""

KIND = "Retrieval"
"""Type of all tasks: it chooses the instructions of models that have some for retrieval."""


@dataclass(frozen=True)
class Row:
    """A task.

    Attributes:
        name: Of the task.
        layout: How its data lies in its folder: a module of this package reads it.
        dataset: Folder of the data below ``--data``, ``org/name``: where its authors publish it.
        part: Of the data, as its authors name it.
        main_score: Metric that stands for the task.
        cutoffs: ``k`` of the metrics that its authors report.
        queries: Published number of queries; 0 where it is not known here.
        passages: Published number of candidates; 0 where it is not known here.
        group: Tasks that are read together.
        labelled: Whether its labels are published; a test server has those of the others.
        modalities: What its inputs have.
    """

    name: str
    layout: str
    dataset: str
    part: str
    main_score: str
    cutoffs: tuple[int, ...]
    queries: int
    passages: int
    group: str
    labelled: bool = True
    modalities: tuple[Modality, ...] = ("text", "image")

    @property
    def task(self) -> Task:
        """The same, as the engine takes it."""
        return Task(
            name=self.name,
            kind=KIND,
            dataset=self.dataset,
            revision="main",
            splits=(self.split,),
            main_score=self.main_score,
            group=self.group,
            modalities=self.modalities,
        )

    @property
    def split(self) -> str:
        """The split that is searched."""
        return "test" if self.layout == "mbeir" or not self.labelled else "val"


@functools.cache
def rows() -> tuple[Row, ...]:
    """All rows, in the order of the file."""
    return read_rows(_TASKS, "task", Row, ("name",))


def row_of(name: str) -> Row:
    """The row of a task, by its name."""
    return next(row for row in rows() if row.name == name)
