"""The pages of runs, and where things stand on them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from flagbench.results.compare.compare import Comparison
from flagbench.results.page import Language
from flagbench.results.page.benchmark import Benchmark
from flagbench.results.page.render import figure, gain, page
from flagbench.results.page.view import groups
from flagbench.results.runs import Run, find_all
from tests.unit.page_tree import Element, read_page

KNOWN = {
    "cmteb": Benchmark("C-MTEB", {"Retrieval mean": ["A", "B"], "Avg": ["A", "B", "C"]}),
    "mlvu": Benchmark("MLVU", {"M-Avg (dev)": ["Q"]}),
}


def made(folders: list[Path], language: Language = "en", **options: Any) -> tuple[Element, list[Run]]:
    """The page of runs, and the runs."""
    runs = find_all(folders)
    return read_page(page(groups(runs, KNOWN, **options), language)), runs


def tasks_of(tree: Element) -> dict[str, Element]:
    """The body of each task by its name."""
    return {each.attributes["data-task"]: each for each in tree.all("tbody", data_task=None)}


def scores_of(task: Element) -> list[Element]:
    return [each for each in task.all("td") if each.has("score")]


def section(tree: Element, name: str) -> Element:
    return tree.one("section", aria_labelledby=name)


def facts_of(tree: Element) -> dict[str, str]:
    """What stands under each heading of the lists of facts."""
    pairs = [[part for part in each.inside if isinstance(part, Element)] for each in tree.all("div")]
    return {pair[0].words: pair[1].words for pair in pairs if pair and pair[0].name == "dt"}


def assert_same_numbers(tree: Element, comparison: Comparison) -> None:
    bodies = tasks_of(tree)
    assert list(bodies) == [line.task for line in comparison.lines]
    for line in comparison.lines:
        cells = scores_of(bodies[line.task])
        deltas = [each for each in bodies[line.task].all("td") if each.has("delta")]
        assert len(cells) == len(line.cells) == len(deltas) + 1
        for shown, cell in zip(cells, line.cells, strict=True):
            assert shown.attributes["data-status"] == cell.status
            assert shown.attributes["data-value"] == ("" if cell.score is None else repr(cell.score))
            if cell.score is not None:
                assert next(shown.all("span")).words == figure(cell.score, line.scale)
        for shown, cell in zip(deltas, line.cells[1:], strict=True):
            sure = cell.test is not None and cell.test.significant and cell.delta is not None
            assert shown.words == gain(cell.delta, line.scale) + ("†" if sure else "")
    *types, average = comparison.averages
    shown_types = list(tree.all("td", data_type_mean=None))
    assert [each.words for each in shown_types] == [
        figure(score, each.scale) for each in types for score in each.scores
    ]
    averages = [each.words for each in tree.all("td", data_average=None)]
    assert averages == [figure(score, average.scale) for score in average.scores]
