"""Grids of scores: means against plain sums, their file, and what is no grid."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from scipy.stats import binomtest

from flagbench.results.grids import Axis, Grid, Mean

GRID = Grid(
    task="Passkey",
    split="flagembedding",
    metric="accuracy",
    share=True,
    rows=Axis("depth", [0, 50]),
    columns=Axis("length", [1000, 2000, 4000]),
    values=[[1.0, 0.5, None], [0.0, 0.25, 1.0]],
    samples=[[1, 2, 0], [3, 4, 1]],
)


def test_means_are_those_of_all_samples() -> None:
    drawn = random.Random(1)
    answers = [[[float(drawn.random() < 0.6) for _ in range(drawn.randrange(5))] for _ in range(4)] for _ in range(3)]
    made = Grid(
        task="T",
        split="s",
        metric="accuracy",
        share=True,
        rows=Axis("depth", [0, 10, 20]),
        columns=Axis("length", [1, 2, 3, 4]),
        values=[[sum(each) / len(each) if each else None for each in line] for line in answers],
        samples=[[len(each) for each in line] for line in answers],
    )
    for at in range(3):
        every = [value for each in answers[at] for value in each]
        interval = binomtest(int(sum(every)), len(every)).proportion_ci(method="wilson")
        found = made.row(at)
        assert found.samples == len(every)
        assert [found.value, found.low, found.high] == pytest.approx(
            [sum(every) / len(every), interval.low, interval.high], abs=1e-12
        )
    for at in range(4):
        every = [value for line in answers for value in line[at]]
        assert made.column(at).samples == len(every)
        assert made.column(at).value == (pytest.approx(sum(every) / len(every)) if every else None)


def test_what_is_no_share_has_no_interval() -> None:
    made = Grid("T", "s", "rouge_l", False, GRID.rows, GRID.columns, GRID.values, GRID.samples)
    assert made.cell(1, 1) == Mean(0.25, 4)
    assert made.row(0) == Mean(pytest.approx(2 / 3), 3)  # type: ignore[arg-type]
    assert GRID.cell(0, 2) == Mean(None, 0)


def test_a_file_gives_back_what_was_written() -> None:
    document = json.loads(GRID.to_json())
    assert document["low"][0] == [pytest.approx(0.2065, abs=1e-4), pytest.approx(0.0945, abs=1e-4), None]
    read = Grid.from_json(GRID.to_json())
    assert read == GRID
    assert Grid.file("Passkey") == "flagbench/grids/Passkey.json"


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"values": [[1.0, 0.5, None]]}, "its tables have not a value for each row and column"),
        ({"samples": [[1, 2, 0], [3, 4]]}, "its tables have not a value for each row and column"),
        ({"high": []}, "its tables have not a value for each row and column"),
        ({"samples": [[1, 2, 1], [3, 4, 1]]}, "a cell has a value without samples, or samples without a value"),
        ({"values": [[1.0, 0.5, None], [0.0, 0.25, 1.5]]}, "1.5 is no share"),
        ({"values": [[1.0, 0.5, None], [0.0, 0.25, "x"]]}, "at values.1.2"),
        ({"rows": {"name": "depth", "values": [50, 0]}}, "its values of depth do not rise"),
        ({"rows": {"name": "depth", "values": []}}, "it has 0 values of depth, from 1 to 200 are possible"),
        ({"columns": {"name": "length", "values": list(range(201))}}, "it has 201 values of length"),
        ({"columns": {"name": "length", "values": [1, 2, 3], "x": 1}}, "at columns.x: no such key"),
        ({"task": 3}, "at task"),
        ({"schema_version": 99}, "its schema_version is 99"),
    ],
)
def test_what_is_no_grid_is_refused(changes: dict[str, Any], fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        Grid.from_json(json.dumps(json.loads(GRID.to_json()) | changes))
