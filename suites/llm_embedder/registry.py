"""LLM-Embedder's tasks as frozen rows: which files of the bundle they have, and what is counted."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

from flagbench.runners.task import Task, read_rows

_TASKS = Path(__file__).with_name("tasks.toml")

KIND = "Retrieval"
"""Type of all tasks: each searches, and the type chooses the instructions of models that have some for retrieval."""

SPLIT = "test"
READER = "reader"
LANGUAGE = "en"
BUNDLE = "namespace-Pt/projects"
"""The dataset with the bundle of all files but the largest."""


@dataclass(frozen=True)
class Row:
    """A task.

    Attributes:
        name: Of the task.
        how: How it is scored: a key of ``evaluation.py``.
        queries: File of the bundle with what is asked.
        corpus: File of the bundle that is searched; empty where each row brings what is searched for it.
        columns: Of the corpus, which make a passage with a blank between them.
        instruction: Family of models.toml with LLM-Embedder's instructions for this task.
        hits: Passages that are retrieved per query.
        main_score: Metric that stands for the task.
        group: Tasks that are read together: of ``READER`` a language model answers.
        shots: File of the bundle that solved examples are drawn from, where it is another one; empty for none.
        unverified: Why published values cannot be reached; empty where they can.
        passage_length: Tokens of a passage in the published runs, where they are not 256; 0 where they are.
        families: Metrics at cutoffs.
        cutoffs: Of these.
    """

    name: str
    how: str
    queries: str
    corpus: str
    columns: tuple[str, ...]
    instruction: str
    hits: int
    main_score: str
    group: str
    shots: str = ""
    unverified: str = ""
    passage_length: int = 0
    families: tuple[str, ...] = ()
    cutoffs: tuple[int, ...] = ()

    @property
    def files(self) -> tuple[str, ...]:
        """Files of the bundle that it is read from."""
        return tuple(dict.fromkeys(filter(None, (self.queries, self.corpus, self.shots))))

    @property
    def task(self) -> Task:
        """The same, as the engine takes it."""
        return Task(
            name=self.name,
            kind=KIND,
            dataset=f"llm-embedder/{Path(self.queries).parent.as_posix()}",
            revision="main",
            splits=(SPLIT,),
            main_score=self.main_score,
            group=self.group,
        )


@functools.cache
def rows() -> tuple[Row, ...]:
    """All rows, in the order of the file."""
    return read_rows(_TASKS, "task", Row, ("name",))


def row_of(name: str) -> Row:
    """The row of a task, by its name."""
    return next(row for row in rows() if row.name == name)
