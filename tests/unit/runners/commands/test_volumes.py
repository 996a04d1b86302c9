"""How much there is of tasks and how long it may take, as cells and lines: what is not known, what counts once."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from flagbench import BadData
from flagbench.runners.benchmark import Volume
from flagbench.runners.commands.volumes import cells, time_cell, times, totals, volumes
from flagbench.runners.data.snapshots import Snapshots
from flagbench.runners.request import RunRequest
from flagbench.runners.run.expected import Measured
from flagbench.runners.task import Task

SOURCE = Path("/out/run.json")
CACHED = "less where vectors are cached"


def task(name: str, dataset: str = "") -> Task:
    return Task(name, "STS", dataset or f"org/{name}", "main", ("test",), "accuracy", "core")


def benchmark(volume: Any = None) -> Any:
    return SimpleNamespace(counted="texts", volume=volume)


def measured(per_second: float, unit: str = "texts") -> Measured:
    return Measured(per_second, unit, SOURCE)


@pytest.mark.parametrize(
    ("volume", "shown"),
    [
        (Volume(), ["—", "—"]),
        (Volume(0, 0), ["0", "0 B"]),
        (Volume(1_234_567, None), ["1,234,567", "—"]),
        (Volume(None, 5_056_000_000), ["—", "5.06 GB"]),
    ],
)
def test_nothing_is_a_number_and_not_known_is_none(volume: Volume, shown: list[str]) -> None:
    assert cells(volume) == shown


def test_a_task_that_cannot_be_read_is_not_known_and_the_others_are() -> None:
    """Of a sample the size alone is known, of all of the data the texts too."""
    snapshots, asked = Snapshots(None), []

    def volume(of: Task, *others: Any) -> Volume:
        asked.append((of.name, *others))
        if of.name == "B":
            raise BadData("no rows")
        return Volume(len(of.dataset), 9)

    rows = [task("A"), task("B"), task("C", "org/longer")]
    for profile, texts in (("full", (5, 10)), ("quick", (None, None))):
        request = RunRequest("m", "cmteb", profile=profile)  # type: ignore[arg-type]
        found = volumes(benchmark(volume), rows, snapshots, request)
        assert found == {"A": Volume(texts[0], 9), "B": Volume(), "C": Volume(texts[1], 9)}
        assert asked[-3:] == [(name, snapshots, request) for name in "ABC"]


@pytest.mark.parametrize(
    ("texts", "speed", "shown"),
    [
        (None, measured(1), "—"),
        (10, None, "—"),
        (10, measured(1, "questions"), "—"),
        (0, measured(2), "under 1 s"),
        (1, measured(2), "under 1 s"),
        (2, measured(2), "1 s"),
        (600, measured(2), "5 min"),
    ],
)
def test_the_time_of_a_task(texts: int | None, speed: Measured | None, shown: str) -> None:
    assert time_cell(Volume(texts, 7), speed, "texts") == shown


def test_a_dataset_of_several_tasks_counts_once_and_what_is_not_known_is_said() -> None:
    rows = [task("A", "org/one"), task("B", "org/one"), task("C"), task("D")]
    known = {"A": Volume(1_000, 2_000), "B": Volume(500, 2_000), "C": Volume(0, 1_000), "D": Volume(None, None)}
    assert totals(benchmark(), rows, known) == "1,500 texts in 3 of 4 tasks, 3 kB in 2 of 3 datasets"
    assert totals(benchmark(), rows[:3], {name: known[name] for name in "ABC"}) == "1,500 texts, 3 kB"
    assert totals(benchmark(), rows[3:], {"D": Volume(None, 5)}) == "5 B"
    assert totals(benchmark(), rows[3:], {"D": Volume(0, None)}) == "0 texts"
    assert totals(benchmark(), rows[3:], {"D": Volume()}) == "neither texts nor size are known"


def test_the_time_of_all_tasks_and_what_it_is_reckoned_from() -> None:
    rows = [task("A"), task("B")]
    known = {"A": Volume(3_600), "B": Volume(None), "other": Volume(10**9)}
    said = f"about 30 min in 1 of 2 tasks, at 2 texts a second, as {SOURCE} says; {CACHED}"
    assert times(rows, known, measured(2), "texts") == said
    both = known | {"B": Volume(3_600)}
    assert times(rows, both, measured(2), "texts") == f"about 1 h, at 2 texts a second, as {SOURCE} says; {CACHED}"
    assert times(rows, {"A": Volume(1), "B": Volume(1)}, measured(2), "texts").startswith("about 1 s, at ")
    assert times(rows, {"A": Volume(1), "B": Volume(0)}, measured(2), "texts").startswith("under 1 s, at ")
    nothing = f"—, at 2 questions a second, as {SOURCE} says"
    assert times(rows, both, measured(2, "questions"), "texts") == nothing
    assert times(rows, known, None, "frames") == (
        "—, until a task of this model is finished here with as many threads: its record says how many frames a second"
    )
    images = times(rows, both, measured(2), "texts", "texts and images")
    assert images == f"about 1 h, at 2 texts and images a second, as {SOURCE} says; {CACHED}"
    unknown = {"A": Volume(None, 5), "B": Volume(None)}
    for speed in (None, measured(2)):
        said = times(rows, unknown, speed, "texts", "texts and images")
        assert said == "—: how many texts and images there are is not known before they are read"


@pytest.mark.parametrize(
    ("per_second", "figure"), [(1_234.5, "1,234"), (100.0, "100"), (99.94, "99.9"), (0.012345, "0.0123")]
)
def test_a_speed_has_three_digits_or_all_before_the_point(per_second: float, figure: str) -> None:
    assert f", at {figure} texts a second, " in times([task("A")], {"A": Volume(10**6)}, measured(per_second), "texts")
