"""The optional task.toml of a data set: what its files do not say themselves."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from flagbench import BadData, in_one_line
from flagbench.files import read_text
from flagbench.results.kinds import RANKED
from flagbench.results.shapes import CLOSED, Text, check_shape

NAME = "task.toml"
KINDS = ("Retrieval", "Reranking", "STS", "PairClassification", "Classification", "Clustering")

_OPTIONS: Mapping[str, frozenset[str]] = {
    "language": frozenset(RANKED),
    "samples_per_label": frozenset({"Classification"}),
}
"""What moves the score of tasks of these types and is found in neither their rows, their splits, their metric nor the
instructions that their texts get."""


def _like(pattern: str, words: str) -> AfterValidator:
    def checked(value: str) -> str:
        if not re.fullmatch(pattern, value):
            raise ValueError(f"'{value:.60}' is not {words}")
        return value

    return AfterValidator(checked)


_Kind = Annotated[Text, _like("|".join(KINDS), f"one of {', '.join(KINDS)}")]
_Language = Annotated[Text, _like("[a-z]{2,3}", "an ISO 639 code of a language, such as zh or cmn")]


@dataclass(frozen=True)
class TaskFile:
    """What a task.toml says; empty for what it does not.

    Attributes:
        name: Of the task; by default the folder's.
        type: MTEB's task type.
        language: Of the texts, ISO 639-1 or 639-3: how BM25 cuts words.
        metric: Main score, by MTEB's name or as papers write it: ``ndcg_at_10``, ``Recall@100``.
        splits: That are scored.
        instruction: Put before queries, or before all texts where the task has none; flags do not change it.
        samples_per_label: Of classification: training rows of each label that a classifier is fitted to, as mteb's
            attribute of this name.
        columns: Column of the files by the name that it has by default: ``text``, ``_id``, ``score``, …; a table of
            them by what a file holds (``corpus``, ``queries``, …) for its columns alone.
    """

    __pydantic_config__ = CLOSED

    name: Text = ""
    type: _Kind = ""
    language: _Language = ""
    metric: Text = ""
    splits: list[Text] = field(default_factory=list)
    instruction: Text = ""
    samples_per_label: Annotated[int, Field(ge=1, le=100_000)] = 8
    columns: Mapping[str, Text | Mapping[str, Text]] = field(default_factory=dict)

    @property
    def named(self) -> Mapping[str, Mapping[str, str]]:
        """Columns by what they hold, by what their files hold: empty for all of them."""
        of_all = {key: value for key, value in self.columns.items() if isinstance(value, str)}
        return {"": of_all} | {key: value for key, value in self.columns.items() if not isinstance(value, str)}

    def options(self, kind: str) -> dict[str, Any]:
        """What moves the score of a task and is seen in nothing else of it, where it is not the default.

        Args:
            kind: MTEB's type of the task.
        """
        said = {name: getattr(self, name) for name, kinds in _OPTIONS.items() if kind in kinds}
        return {name: value for name, value in said.items() if value != getattr(TaskFile(), name)}


def read_task_file(folder: Path) -> TaskFile:
    """The task.toml of a folder; an empty one where there is none.

    Raises:
        BadData: It is no TOML, or has a key or a value that is none of these.
    """
    path = folder / NAME
    if not os.path.lexists(path):
        return TaskFile()
    try:
        values = tomllib.loads(read_text(path, "fix it", largest=1 << 20, error=BadData))
        check_shape(TaskFile, values)
    except (ValueError, RecursionError) as error:
        known = ", ".join(each.name for each in fields(TaskFile))
        raise BadData(f"{path} cannot be read ({in_one_line(error)}): fix it; its keys are {known}") from error
    return TaskFile(**values)
