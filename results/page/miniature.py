"""Miniature data on pages: no mean is over it and other data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from flagbench.results.compare.averages import Average
from flagbench.results.compare.compare import Comparison
from flagbench.results.record import TaskRecord

if TYPE_CHECKING:
    from flagbench.results.page.benchmark import Benchmark


def of_one_kind(comparison: Comparison, benchmarks: Mapping[str, Benchmark]) -> Comparison:
    """A comparison whose averages are blank for a run of which some tasks ran over miniature data, and others not.

    Args:
        comparison: Any.
        benchmarks: By the name that records have.
    """
    return replace(
        comparison, averages=tuple(_of_one_kind(each, comparison, benchmarks) for each in comparison.averages)
    )


def _of_one_kind(average: Average, comparison: Comparison, benchmarks: Mapping[str, Benchmark]) -> Average:
    kind = average.label.removesuffix(" mean")
    lines = [line for line in comparison.lines if kind in (line.kind, average.label)]
    blank = [
        mixed([run.record.tasks[line.task] for line in lines if line.task in run.record.tasks], benchmarks)
        for run in comparison.runs
    ]
    return replace(
        average,
        note="over miniature and other data, of which there is no mean" if any(blank) else "",
        scores=tuple(None if no else score for no, score in zip(blank, average.scores, strict=True)),
        deltas=tuple(None if no or blank[0] else delta for no, delta in zip(blank, average.deltas, strict=True)),
        tests=tuple(None if no or blank[0] else its for no, its in zip(blank, average.tests, strict=False)),
        untested=tuple("" if no or blank[0] else why for no, why in zip(blank, average.untested, strict=False)),
        ends=tuple(None if no else its for no, its in zip(blank, average.ends, strict=False)),
    )


def mixed(records: Iterable[TaskRecord], benchmarks: Mapping[str, Benchmark]) -> bool:
    """Tell whether some of these tasks ran over miniature data, and others not."""
    return len({is_mini(record, benchmarks) for record in records}) > 1


def is_mini(record: TaskRecord, benchmarks: Mapping[str, Benchmark]) -> bool:
    """Tell whether a task ran over the miniature data of a benchmark."""
    return any(each.is_mini(record) for each in benchmarks.values())
