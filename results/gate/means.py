"""Averages that a rule can name, as the benchmark of two runs takes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from flagbench.results.averages import Averages, Weights, alike, weights
from flagbench.results.record import TaskRecord
from flagbench.results.runs import Run


@dataclass(frozen=True)
class Means:
    """The averages of a benchmark.

    Attributes:
        weights: Of their tasks, by label: they are not alike in a mean of means.
        takes: Tells whether a task ran over the splits and subsets that count in them.
    """

    weights: Mapping[str, Weights] = field(default_factory=dict)
    takes: Callable[[TaskRecord], bool] = lambda _: True


def means_of(runs: Sequence[Run], averages_of: Callable[[Run], Averages], takes: Callable[[TaskRecord], bool]) -> Means:
    """The averages of runs of one benchmark.

    An average that the runs take over different tasks, because one of them has lost a data set of its folder, is over
    all that either has: what is left of it is not judged in its place.

    Args:
        runs: Those that are compared, of which the last one's benchmark counts.
        averages_of: The averages of the data that a run is over.
        takes: See ``Means``.
    """
    benchmark = runs[-1].record.benchmark
    found: dict[str, Weights] = {}
    for run in runs:
        averages = averages_of(run)
        own = {label: weights(averages, label) for label in averages}
        recorded: dict[str, list[str]] = {}
        for record in run.record.tasks.values():
            if record.average and record.average["benchmark"] == benchmark:
                recorded.setdefault(record.average["label"], []).extend(record.average["tasks"])
        # Of several with one label, each has its tasks in its label in ``averages``; by the label alone all are meant.
        own |= {label: alike(names) for label, names in recorded.items()}
        for label, of in own.items():
            found[label] = of if found.get(label, of) == of else alike([*found[label], *of])
    return Means(found, takes)
