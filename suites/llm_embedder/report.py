"""All metrics of a run on LLM-Embedder's tasks as tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, NotRequired

from typing_extensions import TypedDict

from flagbench import BadData
from flagbench.results.figures import scale_of
from flagbench.results.shapes import Number, Text, check_shape, fields_among_others
from flagbench.suites.llm_embedder.registry import rows

if TYPE_CHECKING:
    from rich.table import Table

    from flagbench.results.runs import Run

_FIX = "run the task again"
_PERPLEXITY = "perplexity"


@fields_among_others
class Result(TypedDict):
    """What is read of a task's result file."""

    task: Text
    metrics: Mapping[str, Number]
    reader: NotRequired[Text]


def read_results(run: Run) -> dict[str, Result]:
    """The results of the tasks of a run, in the order of the table of tasks.

    Raises:
        BadData: A file of results cannot be read.
    """
    found: dict[str, Result] = {}
    for row in rows():
        record = run.record.tasks.get(row.name)
        if record is None or record.status != "success":
            continue
        values = run.json(f"{row.name}.json", _FIX, error=BadData)
        try:
            check_shape(Result, values)
        except ValueError as error:
            raise BadData(f"{run.folder / row.name}.json holds no result ({error}): {_FIX}") from error
        found[row.name] = values
    return found


def tables(found: Mapping[str, Result]) -> Iterator[Table]:
    """A table for each task: its metrics, shares in percent.

    Args:
        found: What ``read_results`` gave.
    """
    from rich.markup import escape
    from rich.table import Table

    for name, result in found.items():
        reader = f", read by {result['reader']}" if "reader" in result else ""
        table = Table(box=None)
        table.add_column(escape(f"{name}{reader}"), no_wrap=True)
        table.add_column("score", justify="right")
        for metric, value in result["metrics"].items():
            shown = f"{value:.4f}" if metric == _PERPLEXITY else scale_of(metric).figure(value)
            table.add_row(escape(metric), shown)
        yield table
