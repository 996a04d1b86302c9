"""All metrics of a run on composed retrieval as tables, with the means that the authors of a task report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from statistics import fmean
from typing import TYPE_CHECKING

from typing_extensions import TypedDict

from flagbench import BadData
from flagbench.results.shapes import Number, Text, check_shape, fields_among_others
from flagbench.suites.composed.registry import MEANS, rows

if TYPE_CHECKING:
    from rich.table import Table

    from flagbench.results.runs import Run

_FIX = "run the task again"


@fields_among_others
class _File(TypedDict):
    task: Text
    metrics: Mapping[str, Number]


def read_metrics(run: Run) -> dict[str, Mapping[str, float]]:
    """The metrics of the tasks of a run that have labels, by task, in the order of the table of tasks.

    Raises:
        BadData: A file of results cannot be read.
    """
    found = {}
    for row in rows():
        record = run.record.tasks.get(row.name)
        if record is None or record.status != "success" or not row.labelled:
            continue
        values = run.json(f"{row.name}.json", _FIX, error=BadData)
        try:
            check_shape(_File, values)
        except ValueError as error:
            raise BadData(f"{run.folder / row.name}.json holds no result ({error}): {_FIX}") from error
        found[row.name] = values["metrics"]
    return found


def means_of(found: Mapping[str, Mapping[str, float]]) -> dict[str, Mapping[str, float]]:
    """The mean of each metric over the tasks of a data set that has several, where all of them are there.

    Args:
        found: Metrics by task.
    """
    made: dict[str, Mapping[str, float]] = {}
    for layout, title in MEANS.items():
        names = [row.name for row in rows() if row.layout == layout]
        if all(name in found for name in names):
            shared = [metric for metric in found[names[0]] if all(metric in found[name] for name in names)]
            made[title] = {metric: fmean(found[name][metric] for name in names) for metric in shared}
    return made


def tables(found: Mapping[str, Mapping[str, float]]) -> Iterator[Table]:
    """A table for the tasks of each layout, in percent as papers have them.

    Args:
        found: Metrics by task.
    """
    from rich.table import Table

    means = means_of(found)
    for layout in dict.fromkeys(row.layout for row in rows() if row.name in found):
        its = {row.name: found[row.name] for row in rows() if row.layout == layout and row.name in found}
        title = MEANS.get(layout, "")
        lines = its | ({f"{title} mean": means[title]} if title in means else {})
        metrics = list(dict.fromkeys(metric for each in its.values() for metric in each))
        cells = {(name, metric): f"{100 * its[metric]:.2f}" for name, its in lines.items() for metric in its}
        down, across = (metrics, list(lines)) if len(metrics) > len(lines) else (list(lines), metrics)
        table = Table(box=None)
        table.add_column("metric" if down is metrics else "task")
        for heading in across:
            table.add_column(heading, justify="right")
        for heading in down:
            keys = ((each, heading) if down is metrics else (heading, each) for each in across)
            table.add_row(heading, *(cells.get(key, "") for key in keys))
        yield table
