"""Facts about a benchmark that tables and pages need: from the benchmark itself, or from runs that recorded them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from flagbench.results.averages import cells_digest
from flagbench.results.page.benchmark import Benchmark as Facts
from flagbench.runners.request import RunRequest

if TYPE_CHECKING:
    from flagbench.results.record import RunRecord
    from flagbench.runners.benchmark import Benchmark


def facts_of(benchmark: Benchmark) -> Facts:
    """The facts about one benchmark."""
    whole, mini = (
        benchmark.averages(RunRequest(model="", benchmark=benchmark.name, mini=mini)) for mini in (False, True)
    )
    folder = benchmark.mini_data()
    parts = {task: cells_digest(cells) for task, cells in benchmark.parts().items()}
    return Facts(benchmark.title, whole, mini, folder.parts[-2:] if folder else (), parts)


def facts_for(name: str, records: Iterable[RunRecord]) -> Facts:
    """The facts about the benchmark of some runs: those that all of these recorded, else those that hold here today.

    Args:
        name: Of the benchmark.
        records: Of runs that are shown together; those of other benchmarks are not looked at.

    Raises:
        UnknownName: They recorded none, or not the same, and no benchmark has this name here.
        BadInput: A package names it, and it cannot be loaded.
    """
    from flagbench.runners.registry import find_benchmark

    found = [record.definition for record in records if record.benchmark == name]
    if found and found[0] and all(each == found[0] for each in found):
        return Facts.from_definition(found[0])
    return facts_of(find_benchmark(name))
