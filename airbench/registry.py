"""The datasets of AIR-Bench as frozen rows: their names on the hub, how large they are, and which are asked for.

The rows lie in tasks.toml, which make_tasks.py writes from the tables of the official package.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from flagbench import BadInput, UnknownName
from flagbench.runners.task import read_rows

LATEST = "24.05"

# Neither the paper nor the official package pins a commit: both read whatever the hub has.
REVISION = "main"

_PREFIX = "AIR-Bench_"
_TASKS = Path(__file__).with_name("tasks.toml")
_HINT = "see flagbench tasks --benchmark air-bench"


@dataclass(frozen=True)
class Dataset:
    """One dataset of one version. Numbers of a split are mappings from its name.

    Attributes:
        version: ``24.04`` or ``24.05``.
        type: ``qa``, over a corpus, or ``long-doc``, within one long document.
        domain: What the texts are about (``wiki``, ``law``, …).
        language: Code such as ``en``.
        name: ``default``, or the name of the long document.
        splits: Splits there are, or those asked for.
        passages: Passages of the corpus, which all splits share.
        queries: Queries.
        labels: Judged pairs of a query and a passage.
        positives: Those of them that are relevant; the others are hard negatives.
        passage_tokens: Tokens of a passage, on average.
        query_tokens: Tokens per query, on average.
    """

    version: str
    type: str
    domain: str
    language: str
    name: str
    splits: tuple[str, ...]
    passages: int
    # Left out of the hash, because a dict has none.
    queries: Mapping[str, int] = field(hash=False)
    labels: Mapping[str, int] = field(hash=False)
    positives: Mapping[str, int] = field(hash=False)
    passage_tokens: int
    query_tokens: Mapping[str, int] = field(hash=False)

    @property
    def benchmark_version(self) -> str:
        """The version as files of results and configs on the hub call it."""
        return _PREFIX + self.version

    @property
    def task_name(self) -> str:
        """Name of the dataset among those of all versions."""
        return "_".join((self.benchmark_version, self.type, self.domain, self.language, self.name))

    @property
    def repo(self) -> str:
        """Hub repo of the corpus and the queries."""
        return f"AIR-Bench/{self.type}_{self.domain}_{self.language}"

    @property
    def qrels_repo(self) -> str:
        """Hub repo of the labels of the dev split; those of the test split are not published."""
        return f"AIR-Bench/qrels-{self.type}_{self.domain}_{self.language}-dev"

    @property
    def corpus_split(self) -> str:
        """Split of ``repo`` with the passages."""
        return f"corpus_{self.name.replace('-', '_')}"

    def queries_split(self, split: str) -> str:
        """Split of ``repo`` with the queries of ``dev`` or ``test``."""
        return self._split("queries", split)

    def qrels_split(self, split: str) -> str:
        """Split of ``qrels_repo`` with the labels of ``dev``."""
        return self._split("qrels", split)

    def _split(self, what: str, split: str) -> str:
        name = f"{what}_{self.name.replace('-', '_')}"
        # 24.04 has one split only, and does not name it.
        return name if self.version == "24.04" else f"{name}_{split}"

    @property
    def main_metric(self) -> str:
        """The metric that stands for the dataset."""
        return "ndcg_at_10" if self.type == "qa" else "recall_at_10"

    def tokens(self, splits: Iterable[str]) -> int:
        """About how many tokens there are to encode: those of the corpus, and of the queries of some splits."""
        queries = sum(self.queries[split] * self.query_tokens[split] for split in splits)
        return self.passages * self.passage_tokens + queries


def read_datasets(path: Path) -> tuple[Dataset, ...]:
    """All rows of a tasks.toml.

    Raises:
        BadInput: An unknown or missing key, or a dataset twice.
    """
    return read_rows(path, "dataset", Dataset, ("version", "type", "domain", "language", "name"))


@functools.cache
def datasets() -> tuple[Dataset, ...]:
    """All datasets of all versions, 24.04 first."""
    return read_datasets(_TASKS)


@dataclass(frozen=True)
class _Filter:
    """Select datasets by one flag.

    Attributes:
        flag: As on the command line.
        what: What it names, in the singular.
        wanted: Values given, in the registry's spelling; none for all.
        values: The values that a dataset has.
    """

    flag: str
    what: str
    wanted: tuple[str, ...]
    values: Callable[[Dataset], tuple[str, ...]]

    def keeps(self, dataset: Dataset) -> bool:
        """Tell whether the dataset has one of the requested values."""
        return not self.wanted or not set(self.wanted).isdisjoint(self.values(dataset))

    def known(self, among: Iterable[Dataset]) -> list[str]:
        """Values that datasets have, each once."""
        return list(dict.fromkeys(value for dataset in among for value in self.values(dataset)))


def select(
    *,
    versions: Sequence[str] = (),
    types: Sequence[str] = (),
    domains: Sequence[str] = (),
    languages: Sequence[str] = (),
    names: Sequence[str] = (),
    splits: Sequence[str] = (),
    tasks: Sequence[str] = (),
) -> tuple[Dataset, ...]:
    """The datasets asked for, in registry order, each with those of its splits that are.

    Args:
        versions: ``24.05`` or ``AIR-Bench_24.05``; empty for those of ``tasks``, or else the latest.
        types: ``qa``, ``long-doc``; here and below, empty for all.
        domains: Such as ``wiki``.
        languages: Such as ``en``.
        names: Dataset names, such as ``origin-of-species_darwin``.
        splits: ``dev``, ``test``.
        tasks: Full names (``task_name``), of any version.

    Raises:
        UnknownName: A value that no dataset has, or none of the versions asked for.
        BadInput: 24.04 is asked for its dev split, a value is another version's, or the flags have nothing in common.
    """
    every = datasets()
    by_task = _Filter("--tasks", "task", tuple(tasks), lambda row: (row.task_name,))
    _check(by_task, every, every)
    by_version = _Filter(
        "--benchmark-version", "benchmark version", tuple(map(_plain_version, versions)), lambda row: (row.version,)
    )
    _check(by_version, every, every)
    chosen = set(by_version.wanted) or {row.version for row in every if tasks and by_task.keeps(row)} or {LATEST}
    rows = [row for row in every if row.version in chosen]

    by_split = _Filter("--splits", "split", _lowered(splits), lambda row: row.splits)
    if "24.04" in chosen and "dev" in by_split.wanted:
        raise BadInput("AIR-Bench 24.04 has no dev split (test only); use --splits test or --benchmark-version 24.05")
    filters = [
        by_version,
        by_task,
        _Filter("--types", "task type", _lowered(types), lambda row: (row.type,)),
        _Filter("--domains", "domain", _lowered(domains), lambda row: (row.domain,)),
        _Filter("--languages", "language", _lowered(languages), lambda row: (row.language,)),
        _Filter("--datasets", "dataset", tuple(names), lambda row: (row.name,)),
        by_split,
    ]
    for each in filters[2:]:
        _check(each, rows, every)

    left = [row for row in rows if all(each.keeps(row) for each in filters)]
    if not left:
        # With no version given, the rows are those of one that is not a flag.
        raise BadInput(_nothing_in_common(filters, every if by_version.wanted else rows))
    return tuple(
        replace(row, splits=tuple(split for split in row.splits if not splits or split in by_split.wanted))
        for row in left
    )


def _plain_version(version: str) -> str:
    """``24.05`` of ``AIR-Bench_24.05``."""
    return version[len(_PREFIX) :] if version.lower().startswith(_PREFIX.lower()) else version


def _lowered(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(value.lower() for value in values)


def _check(given: _Filter, rows: Iterable[Dataset], every: Iterable[Dataset]) -> None:
    """See that the rows of the versions asked for know all values.

    Raises:
        BadInput: Only another version knows one.
        UnknownName: No version does.
    """
    known = given.known(rows)
    for value in given.wanted:
        if value in known:
            continue
        elsewhere = [row.version for row in every if value in given.values(row)]
        if elsewhere:
            raise BadInput(
                f"{given.what} '{value}' is in AIR-Bench {elsewhere[0]} only: use --benchmark-version {elsewhere[0]}"
            )
        raise UnknownName(given.what, value, known, _HINT)


def _nothing_in_common(filters: Iterable[_Filter], rows: Sequence[Dataset]) -> str:
    """Say which flags exclude one another: the fewest that leave nothing."""
    given = [each for each in filters if each.wanted]
    clashes = (
        group
        for size in range(2, len(given) + 1)
        for group in itertools.combinations(given, size)
        if not any(all(each.keeps(row) for each in group) for row in rows)
    )
    flags = [f"{each.flag} {','.join(each.wanted)}" for each in next(clashes)]
    return f"{', '.join(flags[:-1])} and {flags[-1]} have no dataset in common: drop one"
