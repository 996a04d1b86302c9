"""Scores of search results on the dev split, whose labels are published, and how AIR-Bench writes and averages them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from flagbench import BadData, BadInput, UnknownName
from flagbench.airbench.loading import judge_labels, read_qrels
from flagbench.airbench.registry import Dataset, datasets
from flagbench.airbench.search_results import NO_RERANKER, SearchResults, Source, dataset_of, sources
from flagbench.results.data_state import DataState
from flagbench.results.table import Row
from flagbench.runners.data.snapshots import Snapshots
from flagbench.runners.search.metrics import Qrels, Rule, means, metric_names, per_query

if TYPE_CHECKING:
    from rich.table import Table

CUTOFFS = (1, 3, 5, 10, 50, 100, 1000)
METRICS = tuple(metric_names(CUTOFFS))

MAIN_METRICS = ("ndcg_at_10", "recall_at_10")

System = tuple[str, str]
"""A model, and its reranker or ``NoReranker``."""


@dataclass(frozen=True)
class Scored:
    """Scores of a model, with or without a reranker, on one dataset.

    Attributes:
        dataset: Its row.
        system: Model and reranker.
        where: The file.
        means: Each metric, 0 to 1.
        per_query: Values by metric and query, of the metrics asked for.
        state: Of the labels.
    """

    dataset: Dataset
    system: System
    where: str
    means: Mapping[str, float]
    per_query: Mapping[str, Mapping[str, float]]
    state: DataState


@dataclass(frozen=True)
class Scores:
    """All that was scored.

    Attributes:
        rule: How means are taken (``runners/search/metrics.py``).
        scored: In the order of models, rerankers, types, domains, languages and datasets.
        over: Datasets that an average is over; those of other versions and without a dev split are among them.
        left_out: Files of the test split, which cannot be scored.
    """

    rule: Rule
    scored: tuple[Scored, ...]
    over: tuple[Dataset, ...]
    left_out: int

    @property
    def versions(self) -> tuple[str, ...]:
        """Of what was scored, the latest last."""
        return tuple(sorted({each.dataset.version for each in self.scored}))

    def of(self, version: str | None = None) -> Iterator[Scored]:
        """The scores of one version; None for the latest."""
        wanted = version or self.versions[-1]
        return (each for each in self.scored if each.dataset.version == wanted)

    def nested(self, version: str | None = None) -> dict[str, Any]:
        """Model -> reranker -> type -> domain -> language -> dataset -> metric -> value, as AIR-Bench nests them."""
        return _nest(self.of(version), lambda each: dict(each.means))

    def to_reference_json(self, version: str | None = None) -> str:
        """The text that AIR-Bench's evaluate_dev writes with ``output_method="json"``.

        Its order of types, domains and files is the file system's; here they are sorted. It also names each model
        that has files of the test split only, with nothing in it.
        """
        return json.dumps(self.nested(version), indent=4)

    def per_query_json(self, version: str | None = None) -> str:
        """The values by query, nested like the means: … -> dataset -> metric -> query -> value."""
        return json.dumps(_nest(self.of(version), lambda each: dict(each.per_query)), indent=1)

    def to_reference_markdown(self, metrics: Sequence[str] = MAIN_METRICS, version: str | None = None) -> str:
        """The text that AIR-Bench's evaluate_dev writes with ``output_method="markdown"``.

        Args:
            metrics: Those shown, a table each for a type and each of its domains.
            version: None for the latest.

        Raises:
            UnknownName: No such metric.
        """
        check_metrics(metrics)
        scored = list(self.of(version))
        parts = []
        for metric in metrics:
            parts.append(f"## {metric}\n\n")
            for kind in dict.fromkeys(each.dataset.type for each in scored):
                parts.append(f"### {kind}\n\n")
                of_kind = [each for each in scored if each.dataset.type == kind]
                parts.append(_markdown_table("overall", metric, of_kind, of_kind))
                domains = sorted({each.dataset.domain for each in of_kind})
                parts += [
                    _markdown_table(
                        domain, metric, of_kind, [each for each in of_kind if each.dataset.domain == domain]
                    )
                    for domain in domains
                ]
                parts.append("\n")
            parts.append("\n")
        return "".join(parts)

    def render(self) -> list[Table]:
        """A table for each version: models side by side, datasets and averages below one another."""
        from flagbench.results.table import render

        return [
            render(
                f"AIR-Bench {version}, dev split, {self.rule} rule (qa: nDCG@10, long-doc: Recall@10)",
                self._columns(version),
            )
            for version in self.versions
        ]

    def incomplete(self) -> list[str]:
        """A line on the averages that lack datasets, for each version whose table lacks some."""
        from flagbench.results.table import incomplete

        return [line for version in self.versions for line in incomplete(self._columns(version))]

    def _columns(self, version: str) -> dict[str, tuple[list[Row], list[Row]]]:
        return {_label(system): self.rows(system, version) for system in _systems(self.of(version))}

    def rows(self, system: System, version: str) -> tuple[list[Row], list[Row]]:
        """The datasets and the averages of one model: its main metric, blank where an average misses a dataset."""
        scored = {each.dataset.task_name: each for each in self.of(version) if each.system == system}
        lines = [
            Row(_name(each.dataset), each.dataset.type, _main(each), *_comparable([each])) for each in scored.values()
        ]
        averages = []
        for label, rows in _groups([row for row in self.over if row.version == version and "dev" in row.splits]):
            found = [scored[row.task_name] for row in rows if row.task_name in scored]
            comparable, note = _comparable(found)
            if len(found) == len(rows):
                averages.append(Row(label, "", fmean(map(_main, found)), comparable, note))
            elif found:
                averages.append(Row(label, "", None, comparable, f"{len(found)} of {len(rows)} datasets"))
        return lines, averages


def score(
    paths: Sequence[Path],
    snapshots: Snapshots,
    rule: Rule = "compat",
    *,
    over: Sequence[Dataset] | None = None,
    keep: Sequence[str] = (),
) -> Scores:
    """Score all files of the dev split below folders, or in archives.

    Args:
        paths: Folders of any depth, files or archives.
        snapshots: Where the labels are.
        rule: See ``runners/search/metrics.py``.
        over: Datasets that averages are over; None for the whole registry.
        keep: Metrics whose values by query are kept.

    Raises:
        BadInput: A path holds no results, or none of the dev split, or two files hold the same results.
        BadData: A file is damaged or holds queries without labels, or labels cannot be read.
        UnknownName: A metric or a dataset that there is not.
    """
    check_metrics(keep)
    every = [source for path in paths for source in sources(path)]
    files = [source for source in every if source.is_dev]
    if not files:
        raise BadInput(
            f"{', '.join(map(str, paths))}: there is nothing but results of the test split, whose labels are private; "
            "flagbench submit packs them for the leaderboard"
        )
    labels: dict[Dataset, tuple[Qrels, DataState]] = {}
    scored: dict[tuple[Dataset, System], Scored] = {}
    left_out = len(every) - len(files)
    for source in files:
        results = source.read()
        dataset = dataset_of(results, source.where)
        key = (dataset, (results.model, results.reranker_name))
        if key in scored:
            raise BadInput(f"{scored[key].where} and {source.where} hold the same results: score one of them")
        if dataset not in labels:
            qrels = read_qrels(dataset, snapshots, "dev")
            labels[dataset] = qrels, judge_labels(dataset, qrels, snapshots).status
        scored[key] = _scored(dataset, results, source, labels[dataset], rule, keep)
    ordered = sorted(scored.values(), key=lambda each: (each.system, *_place(each.dataset)))
    return Scores(rule, tuple(ordered), tuple(datasets() if over is None else over), left_out)


def check_metrics(names: Iterable[str]) -> None:
    """See that metrics are among those there are.

    Raises:
        UnknownName: One is not.
    """
    for name in names:
        if name not in METRICS:
            raise UnknownName("metric", name, METRICS)


def _scored(
    dataset: Dataset,
    results: SearchResults,
    source: Source,
    labels: tuple[Qrels, DataState],
    rule: Rule,
    keep: Sequence[str],
) -> Scored:
    qrels, state = labels
    try:
        values = per_query(qrels, results.hits, CUTOFFS, rule)
    except BadData as error:
        raise BadData(f"{source.where}: {error}") from error
    kept = {name: values[name] for name in keep}
    system = (results.model, results.reranker_name)
    return Scored(dataset, system, source.where, means(qrels, values, rule), kept, state)


def _main(scored: Scored) -> float:
    return scored.means[scored.dataset.main_metric]


def _comparable(scored: Sequence[Scored]) -> tuple[bool, str]:
    """Whether scores may be compared with published ones, and the note on those that may not."""
    worst = DataState.worst(each.state for each in scored)
    return worst.comparable(), "" if worst.comparable() else worst.words


def _place(dataset: Dataset) -> tuple[str, str, str, str]:
    return dataset.type, dataset.domain, dataset.language, dataset.name


def _name(dataset: Dataset) -> str:
    """Unlike any other of its version, of either type."""
    return " ".join(_place(dataset)[1:])


def _label(system: System) -> str:
    model, reranker = system
    return model if reranker == NO_RERANKER else f"{model} + {reranker}"


def _systems(scored: Iterable[Scored]) -> list[System]:
    return sorted({each.system for each in scored})


def _nest(scored: Iterable[Scored], value: Any) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for each in scored:
        inner = nested
        for key in (*each.system, *_place(each.dataset)[:-1]):
            inner = inner.setdefault(key, {})
        inner[each.dataset.name] = value(each)
    return nested


def _groups(rows: Sequence[Dataset]) -> Iterator[tuple[str, list[Dataset]]]:
    """Groups that averages are over, in the registry's order: each type, and its domains and its languages."""
    for kind in dict.fromkeys(row.type for row in rows):
        its = [row for row in rows if row.type == kind]
        yield f"{kind} average", its
        for domain in dict.fromkeys(row.domain for row in its):
            yield f"{kind} {domain} average", [row for row in its if row.domain == domain]
        for language in dict.fromkeys(row.language for row in its):
            yield f"{kind} {language} average", [row for row in its if row.language == language]


def _markdown_table(title: str, metric: str, of_kind: Sequence[Scored], shown: Sequence[Scored]) -> str:
    """One table as AIR-Bench prints it: all models of the type, and the datasets that any of them has.

    The first of the best is bold. Where a dataset is missing the cell is ``nan`` and the average ``-``. Where no model
    has all datasets AIR-Bench crashes, because pandas 3 finds no best of the averages; here none is bold.
    """
    columns = sorted(
        {each.dataset: _column(each.dataset, title) for each in shown}.items(),
        key=lambda item: (item[0].domain, _column(item[0], "")),
    )
    found = {(each.system, each.dataset): each.means[metric] for each in shown}
    lines: dict[System, list[float | None]] = {}
    for system in _systems(of_kind):
        values = [found.get((system, dataset)) for dataset, _ in columns]
        present = [value for value in values if value is not None]
        lines[system] = [sum(present) / len(values) if len(present) == len(values) else None, *values]
    best = [
        max((system for system in lines if lines[system][at] is not None), key=_value_at(lines, at), default=None)
        for at in range(len(columns) + 1)
    ]
    text = [
        f"#### {title}\n\n",
        f"| Model | Reranker | {' | '.join(['average', *(name for _, name in columns)])} |\n",
        f"| :---- | :---- | {' | '.join([':---:'] * (len(columns) + 1))} |\n",
    ]
    for system, values in lines.items():
        cells = [_cell(value, "nan" if at else "-", best[at] == system) for at, value in enumerate(values)]
        text.append(f"| {' | '.join([*system, *cells])} | \n")
    return "".join([*text, "\n"])


def _column(dataset: Dataset, title: str) -> str:
    name = f"{dataset.language} {dataset.name}"
    return f"{dataset.domain} {name}" if title == "overall" else name


def _value_at(lines: Mapping[System, Sequence[float | None]], at: int) -> Any:
    return lambda system: lines[system][at]


def _cell(value: float | None, blank: str, best: bool) -> str:
    if value is None:
        return blank
    return f"**{value * 100:.3f}**" if best else f"{value * 100:.3f}"
