"""How rows that were read stand to the official ones: the verdict, and the table of digests that are known."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flagbench import BadInput
from flagbench.results.data_state import DataState
from flagbench.runners.data.sources import HubRepo, Source
from flagbench.runners.task import read_rows


@dataclass(frozen=True)
class Content:
    """The rows of a part of a task's data: of a split, or of a split's queries, corpus or labels.

    Attributes:
        rows: How many.
        digest: Of their content, 32 hexadecimal digits.
    """

    rows: int
    digest: str


@dataclass(frozen=True)
class DataVerdict:
    """Check of the scored data against the official data.

    Attributes:
        status: See ``DataState``.
        differences: One line for each count that is not the published one, or part whose content is not the official.
        source: Where the rows came from.
        content: Rows and digest by part of the data, such as ``test`` or ``dev/corpus``; empty where the benchmark
            makes no digests: then only the commit or the files say whether two runs are over the same data.
        labels: Settings of the sources of labels that lie apart from the task's dataset.
    """

    status: DataState
    differences: tuple[str, ...]
    source: str
    content: Mapping[str, Content] = field(default_factory=dict)
    labels: Sequence[Mapping[str, Any]] = ()

    def __post_init__(self) -> None:
        # A benchmark of another package may give its name.
        object.__setattr__(self, "status", DataState.of({"status": self.status}))


@dataclass(frozen=True)
class Official:
    """A row of a table of official content.

    Attributes:
        task: Name.
        revision: Of the dataset.
        content: By part: ``rows`` and ``digest``.
    """

    task: str
    revision: str
    content: Mapping[str, Mapping[str, Any]]


@functools.cache
def read_official(path: Path) -> Mapping[tuple[str, str], Mapping[str, Content]]:
    """The official content by task and revision, of a table that lies beside a benchmark's tasks (official.toml).

    Raises:
        BadInput: An unknown or missing key, or a row twice.
    """
    table: dict[tuple[str, str], Mapping[str, Content]] = {}
    for row in read_rows(path, "official", Official, ("task", "revision")):
        try:
            table[row.task, row.revision] = {part: Content(**its) for part, its in row.content.items()}
        except TypeError as error:
            raise BadInput(f"{path.name}: the content of {row.task} needs rows and digest for each part") from error
    return table


def as_rows(task: str, revision: str, content: Mapping[str, Content]) -> str:
    """A row of such a table, as TOML."""
    lines = ["[[official]]", f'task = "{task}"', f'revision = "{revision}"', "[official.content]"]
    lines += [f'"{part}" = {{ rows = {its.rows}, digest = "{its.digest}" }}' for part, its in content.items()]
    return "\n".join(lines) + "\n"


def judge(
    content: Mapping[str, Content],
    counts: Sequence[str] | None,
    sources: Iterable[Source],
    revision: str,
    known: Mapping[str, Content] | None,
) -> DataVerdict:
    """The verdict on rows.

    Args:
        content: Of the rows, by part.
        counts: A line for each published count that they have not; None where no counts are published.
        sources: Where they came from: the task's own, then those of its labels, where they lie apart.
        revision: The commit that the benchmark pins; a branch pins nothing.
        known: The official content by part; None where it is not known.
    """
    every = list(sources)
    lines = list(counts or ())
    pinned = all(source.is_at(revision) for source in every)
    if not pinned and known is not None:
        lines += [
            f"{part}: its content is not the official one" for part, its in content.items() if its != known.get(part)
        ]
    if pinned and all(isinstance(source, HubRepo) for source in every):
        status = DataState.OFFICIAL  # whatever was published of it
    elif lines:
        status = DataState.DIFFERS
    elif pinned or known is not None:
        status = DataState.OFFICIAL
    else:
        status = DataState.UNKNOWN if counts is None else DataState.COUNTS_AGREE
    labels = [source.settings() for source in every[1:]]
    return DataVerdict(status, tuple(lines), every[0].where, content, labels)
