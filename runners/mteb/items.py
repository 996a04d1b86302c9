"""Per-item values and worst queries of a task, gathered while mteb's own code scores it.

Nothing is scored twice, and mteb's numbers stay as they are: its tasks hand their predictions to
``_save_task_predictions`` and each query's metrics to ``task_specific_scores``, and here these look on.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from numpy.typing import ArrayLike, NDArray

from flagbench import BadInput
from flagbench.models.inputs import Input
from flagbench.results.influence import average_precision_values, best_accuracy_values, spearman_values
from flagbench.results.kinds import CLASSIFIED, PAIRED, RANKED
from flagbench.results.sample import Sample
from flagbench.results.values import Values, shared_clusters
from flagbench.results.worst_queries import Examples
from flagbench.runners.data.rows import CLUSTER
from flagbench.runners.mteb.bridge import passage_inputs, query_inputs
from flagbench.runners.search.metrics import Metric
from flagbench.runners.search.worst import Searched, WorstQuery, worst_first, worst_of, worst_queries
from flagbench.runners.task import Task

# mteb's names of similarities, in those of its predictions; distances of pair classification are smaller for likelier
# positives, those of STS are negated already.
_SIMILARITIES = {
    "": "similarity_scores",
    "similarity_": "similarity_scores",
    "cosine_": "cosine_scores",
    "manhattan_": "manhattan_distances",
    "euclidean_": "euclidean_distances",
    "dot_": "dot_scores",
}
_OF_PAIRS: Mapping[str, Callable[[ArrayLike, ArrayLike], NDArray[np.float64]]] = {
    "ap": average_precision_values,
    "accuracy": best_accuracy_values,
}


def is_of_items(row: Task) -> bool:
    """Tell whether a retrieval task's main score is a mean over per-query values; other kinds are not checked."""
    if row.kind not in RANKED or row.main_score == "accuracy":
        return True
    return _metric(row.main_score) is not None


class Items:
    """Values and worst queries of one task.

    Nothing is kept of tasks whose main score is made in a way that is not known here.

    Args:
        row: The task.
        task: mteb's object, loaded.
        sample: What of its data was drawn: its rows have the numbers that they have among all. None for all of it.
        title_separator: What stands between a passage's title and its text.
    """

    def __init__(self, row: Task, task: Any, sample: Sample | None = None, title_separator: str = " ") -> None:
        self._row = row
        self._separator = title_separator
        self._places = sample.places if sample else {}
        self._task = task
        self._parts: dict[str, dict[str, dict[str, float]]] = {}
        self._clusters: dict[str, dict[str, dict[str, str]]] = {}
        self._worst: list[WorstQuery] = []

    @contextmanager
    def gathering(self, predictions: Path | None) -> Iterator[Path | None]:
        """While it lasts, the task's scoring is looked at.

        Args:
            predictions: Folder for predictions that the user wants, None for none.

        Yields:
            The folder for predictions to give to mteb.
        """
        if hasattr(self._task, "task_specific_scores"):
            with patch.object(self._task, "task_specific_scores", self._ranked_by(self._task.task_specific_scores)):
                yield predictions
            return
        save = self._task._save_task_predictions

        def look(found: Any, model: Any, folder: Path, *, hf_split: str, hf_subset: str) -> None:
            self._predicted(found, hf_split, hf_subset)
            if predictions:
                save(found, model, folder, hf_split=hf_split, hf_subset=hf_subset)

        with patch.object(self._task, "_save_task_predictions", look):
            yield predictions or Path()  # without a folder mteb hands out nothing

    def scored(self, split: str, scores: Mapping[str, Mapping[str, Any]]) -> None:
        """Take what mteb's scores themselves hold: the v-measure of each set or experiment of a clustering task.

        Args:
            split: Name.
            scores: By subset, as ``task.evaluate`` gave them.
        """
        if self._row.main_score != "v_measure":
            return
        for subset, found in scores.items():
            by_level = found.get("v_measures") or []
            if isinstance(by_level, Mapping):
                values = {f"{level} {number}": v for level, its in by_level.items() for number, v in enumerate(its)}
            else:
                values = {f"set {number}": v for number, v in self._numbered(split, subset, by_level)}
            self._keep(split, subset, values)

    @property
    def values(self) -> Values | None:
        """The values of the main score; None where not every split and subset has some."""
        wanted = {split: set(self._row.subsets) for split in self._row.splits}
        if {split: set(parts) for split, parts in self._parts.items()} != wanted:
            return None
        metric = self._row.main_score
        return Values(
            self._row.name,
            {split: {subset: {metric: its} for subset, its in parts.items()} for split, parts in self._parts.items()},
            shared_clusters(self._clusters),
        )

    def files(self) -> dict[str, str]:
        """The text of the files that keep it, by name in the folder of the run; none without values."""
        values, name = self.values, self._row.name
        if values is None:
            return {}
        files = {Values.file(name): values.to_json()}
        if self._worst:
            files[Examples.file(name)] = worst_of(name, self._row.main_score, self._worst).to_json()
        return files

    def _keep(self, split: str, subset: str, values: Mapping[str, float]) -> None:
        if values:
            self._parts.setdefault(split, {})[subset] = {id_: float(value) for id_, value in values.items()}

    def _ranked_by(self, original: Callable[..., dict[str, float]]) -> Callable[..., dict[str, float]]:
        """Keep the metrics per query, in mteb's hook for scores of a retrieval task's own."""

        def look(scores: Any, qrels: Any, results: Any, *, hf_split: str, hf_subset: str) -> dict[str, float]:
            values = self._of_queries(scores, qrels, results)
            if values:
                self._keep(hf_split, hf_subset, values)
                data = self._task.dataset[hf_subset][hf_split]
                queries, corpus, about = data["queries"], data["corpus"], self._task.metadata
                self._clusters.setdefault(hf_split, {})[hf_subset] = _clusters_of(queries, values)
                searched = Searched(
                    hf_split,
                    hf_subset,
                    results,
                    qrels,
                    lambda ids: _inputs(queries, ids, lambda rows: query_inputs(rows, about)),
                    lambda ids: _inputs(corpus, ids, lambda rows: passage_inputs(rows, about, self._separator)),
                )
                self._worst = worst_first([*self._worst, *worst_queries(searched, values)])
            return original(scores, qrels, results, hf_split=hf_split, hf_subset=hf_subset)

        return look

    def _of_queries(
        self, scores: Mapping[str, Mapping[str, float]], qrels: Any, results: Mapping[str, Any]
    ) -> dict[str, float]:
        """The main score of each query that mteb averages; empty where it is none of the usual metrics."""
        main = "recall_at_1" if self._row.main_score == "accuracy" else self._row.main_score
        metric = _metric(main)
        if metric is None:
            return {}
        if metric.family == "mrr":
            if self._task.skip_first_result:
                return {}
            from mteb._evaluators.retrieval_metrics import mrr

            return dict(zip(results, mrr(qrels, results, [metric.cutoff])[f"MRR@{metric.cutoff}"], strict=True))
        return {query: found[metric.measure] for query, found in scores.items() if metric.measure in found}

    def _predicted(self, found: Any, split: str, subset: str) -> None:
        """Take the predictions of a split and subset."""
        kind = self._row.kind
        if kind in PAIRED:
            values = self._of_sts(found, split, subset)
        elif kind == "PairClassification":
            values = self._of_pairs(found, self._labels_of_pairs(split, subset))
        elif kind in CLASSIFIED and self._row.main_score == "accuracy" and self._has_test_rows:
            labels = np.asarray(self._rows(split, subset)[self._task.label_column_name][:])
            values = np.mean([np.asarray(predicted) == labels for predicted in found], axis=0)
        elif kind == "ZeroShotClassification" and self._row.main_score == "accuracy":
            own = self._rows(split, subset)[self._task.label_column_name][:]
            places = {name: place for place, name in enumerate(self._task.get_candidate_labels())}
            labels = np.asarray([places[label] if isinstance(label, str) else label for label in own])
            values = (np.asarray(found).argmax(axis=1) == labels).astype(np.float64)
        else:
            return
        if len(values):
            self._keep(split, subset, {str(number): v for number, v in self._numbered(split, subset, values)})

    def _numbered(self, split: str, subset: str, values: Iterable[float]) -> Iterator[tuple[int, float]]:
        """Values of rows or sets with their numbers among all of the split and subset."""
        places = self._places.get(split, {}).get(subset)
        return zip(places, values, strict=True) if places else enumerate(values)

    @property
    def _has_test_rows(self) -> bool:
        """Tell whether every probe of a classification task predicts the same rows."""
        return not getattr(self._task, "is_cross_validation", True)

    def _of_sts(self, found: Mapping[str, Any], split: str, subset: str) -> NDArray[np.float64]:
        similarity, is_spearman, _ = self._row.main_score.rpartition("spearman")
        if not is_spearman or similarity not in _SIMILARITIES:
            return np.zeros(0)
        return spearman_values(self._rows(split, subset)["score"][:], found[_SIMILARITIES[similarity]])

    def _of_pairs(self, found: Mapping[str, Any], labels: NDArray[np.int64]) -> NDArray[np.float64]:
        similarity, _, metric = self._row.main_score.rpartition("_")
        if metric not in _OF_PAIRS or (similarity != "max" and f"{similarity}_" not in _SIMILARITIES):
            return np.zeros(0)
        # mteb's "max" is that of the similarity with the highest score; the first of equal ones is as good as another.
        names = _SIMILARITIES if similarity == "max" else {f"{similarity}_": _SIMILARITIES[f"{similarity}_"]}
        return max(
            (
                _OF_PAIRS[metric](labels, np.asarray(found[name]) * (-1 if name.endswith("distances") else 1))
                for name in dict.fromkeys(names.values())
            ),
            key=lambda values: float(values.mean()),
        )

    def _labels_of_pairs(self, split: str, subset: str) -> NDArray[np.int64]:
        labels = self._rows(split, subset)[self._task.label_column_name][:]
        return np.asarray(
            labels[0] if len(labels) == 1 else labels, dtype=np.int64
        )  # all pairs in one row: mteb's first form

    def _rows(self, split: str, subset: str) -> Any:
        data = self._task.dataset
        return data[subset][split] if subset in data else data[split]


def _metric(main_score: str) -> Metric | None:
    """The metric that a main score is a mean of; None where it is none of the usual ones."""
    try:
        return Metric.parse(main_score)
    except BadInput:
        return None


def _clusters_of(queries: Any, valued: Collection[str]) -> dict[str, str]:
    """The cluster of each query that has a value; none of data that names no clusters."""
    if CLUSTER not in queries.column_names:
        return {}
    named = zip(queries["id"][:], queries[CLUSTER][:], strict=True)
    return {id_: cluster for id_, cluster in named if cluster is not None and id_ in valued}


def _inputs(rows: Any, ids: Collection[str], read: Callable[[Any], Sequence[Input]]) -> dict[str, Input]:
    """The inputs of some of the rows, by id."""
    wanted = set(ids)
    places = [place for place, id_ in enumerate(rows["id"][:]) if id_ in wanted]
    chosen = rows.select(places)
    return dict(zip(chosen["id"][:], read(chosen), strict=True))
