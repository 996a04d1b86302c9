"""The tasks of long contexts as frozen rows: where their data is published, and by whose rules each can be scored."""

from __future__ import annotations

import functools
import importlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from flagbench.runners.task import Task, read_rows

if TYPE_CHECKING:
    from flagbench.suites.longctx.options import LongContextOptions
    from flagbench.suites.longctx.sample import Asking, Kind

_TASKS = Path(__file__).parent / "tasks"
_FILES = ("grid", "longbench", "infinitebench", "ruler", "lm", "mmlu")
GENERATED = "flagbench/generated"
"""In the place of a dataset: the task is generated and needs no data."""

_KINDS = {
    "needle": "flagbench.suites.longctx.needle",
    "passkey": "flagbench.suites.longctx.passkey",
    "topic": "flagbench.suites.longctx.topic",
    "lines": "flagbench.suites.longctx.topic",
    "longbench": "flagbench.suites.longctx.longbench",
    "infinitebench": "flagbench.suites.longctx.infinitebench",
    "ruler": "flagbench.suites.longctx.ruler.kind",
    "perplexity": "flagbench.suites.longctx.perplexity",
    "mmlu": "flagbench.suites.longctx.mmlu",
}


@dataclass(frozen=True)
class Row:
    """A task.

    Attributes:
        name: Of the task.
        kind: Which module of this package makes and scores it (``kind_of``).
        dataset: Folder of the data below ``--data``, and the hub repo that has it; ``GENERATED`` for none.
        part: Of the data, as its authors name it: the stem of its file, or the name of a generator.
        main_score: Metric that stands for the task.
        group: Tasks that are read together.
        protocols: Whose rules there are, the default first.
        category: What its authors average it in; empty for none.
        language: ISO 639-1.
        rows: Published number of rows; 0 where none is.
        max_new_tokens: Tokens of an answer; 0 where none is written, or its kind says it.
    """

    name: str
    kind: str
    dataset: str
    part: str
    main_score: str
    group: str
    protocols: tuple[str, ...]
    category: str = ""
    language: str = "en"
    rows: int = 0
    max_new_tokens: int = 0

    def task(self, protocol: str) -> Task:
        """The same, as the engine takes it: the protocol is the split, so scores of two are never under one name."""
        return Task(
            name=self.name,
            kind=self.kind,
            dataset=self.dataset,
            revision="main",
            splits=(protocol,),
            main_score=self.main_score,
            group=self.group,
        )


@functools.cache
def rows() -> tuple[Row, ...]:
    """All rows, in the order of the files."""
    files = (_TASKS / f"{name}.toml" for name in _FILES)
    return tuple(row for path in files for row in read_rows(path, "task", Row, ("name",)))


def row_of(name: str) -> Row:
    """The row of a task, by its name."""
    return next(row for row in rows() if row.name == name)


def kind_of(row: Row) -> Kind:
    """The module that makes and scores a task; it is imported."""
    return cast("Kind", importlib.import_module(_KINDS[row.kind]))


def asking_of(row: Row, protocol: str, options: LongContextOptions) -> Asking:
    """How the samples of a task are asked in a run, by its protocol and options; the task's kind is imported."""
    asking = kind_of(row).asking(row, protocol)
    if row.kind == "longbench" and options.newline_ends == "every-task":
        return replace(asking, ends=("\n",))
    return asking


def protocol_of(row: Row, wanted: str | None) -> str:
    """The protocol of a task in a run.

    Args:
        row: The task.
        wanted: As the user named it, one that the task has (``selection.select`` sees to it); None for its first.
    """
    assert not wanted or wanted in row.protocols
    return wanted or row.protocols[0]
