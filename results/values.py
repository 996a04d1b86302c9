"""Per-query values of a task's score, or per question or row, kept beside the result.

``flagbench/per_query/<task>.json`` in the folder of a run. The mean of the main score's values, taken over each split
and subset and then over these, is the task's score.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import Any, NotRequired, TypeVar

from typing_extensions import TypedDict

from flagbench.results.migrations import SCHEMA_VERSION, current, values_steps
from flagbench.results.shapes import Number, Text, check_range, check_shape, query_range

T = TypeVar("T")

Part = Mapping[str, Mapping[str, float]]
"""Of one split and subset: value by metric and id."""

ClusterNames = Mapping[str, Mapping[str, Mapping[str, str]]]
"""By split and subset, the cluster of each id."""


class _File(TypedDict):
    schema_version: int
    task: Text
    values: Mapping[str, Mapping[str, Mapping[str, Mapping[str, Number]]]]
    clusters: NotRequired[Mapping[str, Mapping[str, Mapping[str, Text]]]]


@dataclass(frozen=True)
class Values:
    """The values of a task's queries, questions or rows.

    Attributes:
        task: Name.
        parts: By split and subset, as the scores of a record are.
        clusters: By split and subset, the cluster of each id: items of one are no independent draws, as questions about
            one video are. Empty where each is a draw of its own, or nothing is known of that.
    """

    task: str
    parts: Mapping[str, Mapping[str, Part]]
    clusters: ClusterNames = field(default_factory=dict)

    @staticmethod
    def file(task: str) -> str:
        """Path of a task's values in the folder of a run."""
        return f"flagbench/per_query/{task}.json"

    def to_json(self) -> str:
        """Text of the file."""
        document: dict[str, Any] = {"schema_version": SCHEMA_VERSION, "task": self.task, "values": self.parts}
        if self.clusters:
            document["clusters"] = self.clusters
        return json.dumps(document, ensure_ascii=False, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str | Mapping[str, Any], scores: Mapping[str, Mapping[str, float]]) -> Values:
        """Read the text of a file, of this version or an earlier one.

        Args:
            text: Of the file, or the object in it; one of version 1 names no version.
            scores: Of the task in the record, by split and subset: they tell what a file of version 1 is of.

        Raises:
            ValueError: It is not a file of values, one of a later version, or a value is not possible.
        """
        document = current(text, values_steps(scores), unmarked=1)
        try:
            check_shape(_File, document)
            for by_subset in document["values"].values():
                for part in by_subset.values():
                    for metric, by_id in part.items():
                        check_range(metric, by_id.values(), query_range(metric))
            for place, its in _placed(document.get("clusters", {})):
                known = document["values"].get(place[0], {}).get(place[1], {}).values()
                if lost := next((id_ for id_ in its if not any(id_ in by_id for by_id in known)), None):
                    raise ValueError(f"{lost!r:.60} has a cluster and no value")
        except ValueError as error:
            raise ValueError(f"it is not a file of values by query ({error})") from error
        return cls(document["task"], document["values"], document.get("clusters", {}))

    @property
    def metrics(self) -> list[str]:
        """Metrics that every split and subset has."""
        parts = [part for by_subset in self.parts.values() for part in by_subset.values()]
        return [metric for metric in (parts[0] if parts else ()) if all(metric in part for part in parts)]

    def means(self, metric: str) -> dict[str, dict[str, float]]:
        """The mean of a metric by split and subset; parts without values are left out."""
        return {
            split: {subset: fmean(part[metric].values()) for subset, part in by_subset.items() if part.get(metric)}
            for split, by_subset in self.parts.items()
        }

    def only(self, metric: str) -> Values:
        """The same, with one metric."""
        parts = {
            split: {subset: {metric: part[metric]} for subset, part in by_subset.items()}
            for split, by_subset in self.parts.items()
        }
        return replace(self, parts=parts)

    def of(self, metric: str, shares: Mapping[tuple[str, str], float] | None = None) -> dict[str, float]:
        """All values of a metric, by an id that is unlike those of other splits and subsets.

        Where there are several of these, values are weighted, so that the mean of all is the mean of their means.

        Args:
            metric: Name.
            shares: Of the splits and subsets that count, which have values, in that mean; they add up to 1. None for
                all of them alike.

        Returns:
            Empty where no split and subset has the metric.
        """
        parts = {
            (split, subset): part[metric]
            for split, by_subset in self.parts.items()
            for subset, part in by_subset.items()
            if part.get(metric)
        }
        if len(parts) <= 1:
            return dict(*parts.values())
        if shares is None:
            shares = dict.fromkeys(parts, 1 / len(parts))
        total = sum(len(parts[cell]) for cell in shares)
        return {
            f"{split}/{subset}/{id_}": value * (share * total / len(by_id))
            for (split, subset), share in shares.items()
            for by_id in (parts[split, subset],)
            for id_, value in by_id.items()
        }

    def clusters_in(self, split: str, subset: str, ids: Iterable[str]) -> list[str] | None:
        """The cluster of each of some items of a split and subset; one without is a cluster of its own.

        Args:
            split, subset: The part.
            ids: Of its items.

        Returns:
            None where no item of the part has one.
        """
        its = self.clusters.get(split, {}).get(subset)
        # A name from the data begins with other letters than that of an item on its own.
        return [f"of {its[id_]}" if id_ in its else f"item {id_}" for id_ in ids] if its else None

    def clusters_of(self, ids: Sequence[str], metric: str) -> list[str] | None:
        """The same of items by the ids that ``of`` gives them; those of different parts are in different clusters.

        Args:
            ids: Of the items.
            metric: Name.
        """
        if not self.clusters:
            return None
        parts = [place for place, part in _placed(self.parts) if part.get(metric)]
        several = len(parts) > 1
        found: dict[str, str] = {}
        for split, subset in parts:
            names = list(self.parts[split][subset][metric])
            before = f"{split}/{subset}/" if several else ""
            clusters = self.clusters_in(split, subset, names) or [f"item {name}" for name in names]
            found |= {f"{before}{name}": f"{before}{its}" for name, its in zip(names, clusters, strict=True)}
        return [found[id_] for id_ in ids]


def shared_clusters(clusters: ClusterNames) -> dict[str, dict[str, Mapping[str, str]]]:
    """The clusters that say something: those of splits and subsets where two items are of one.

    Args:
        clusters: By split, subset and id.
    """
    found: dict[str, dict[str, Mapping[str, str]]] = {}
    for (split, subset), its in _placed(clusters):
        if len(set(its.values())) < len(its):
            found.setdefault(split, {})[subset] = its
    return found


def _placed(by_split: Mapping[str, Mapping[str, T]]) -> Iterator[tuple[tuple[str, str], T]]:
    """The split and subset of each part, and the part."""
    for split, by_subset in by_split.items():
        for subset, part in by_subset.items():
            yield (split, subset), part
