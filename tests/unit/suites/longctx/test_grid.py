"""From answers to grids, effective lengths as RULER prints them, and maps for a terminal."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from flagbench.results.effective_length import EffectiveLength, by_length, effective_length, effective_length_of
from flagbench.results.grids import Axis, Grid
from flagbench.suites.longctx.grid import grid_of
from flagbench.suites.longctx.heat_map import show
from flagbench.suites.longctx.registry import row_of
from flagbench.suites.longctx.sample import Answer, Cell

# Of the README of NVIDIA/RULER: scores at 4K to 128K, and the effective length that it prints.
_RULER = {
    "Llama3.1-8B": ([95.5, 93.8, 91.6, 87.4, 84.7, 77.0], 32),
    "ProLong-8B": ([94.5, 92.5, 92.3, 89.3, 83.2, 81.6], 32),
    "GPT-4-1106": ([96.6, 96.3, 95.2, 93.2, 87.0, 81.2], 64),
    "Jamba-1.5-mini": ([95.6, 95.6, 94.8, 94.6, 92.8, 90.0], None),
    "Qwen3-32B": ([98.4, 96.0, 96.2, 94.4, 91.8, 85.6], None),
    "Gradient-Llama3-8B": ([92.8, 90.3, 85.7, 79.9, 76.3, 69.5], 16),
    "InternLM2.5-7B": ([88.1, 85.5, 84.5, 82.7, 75.5, 68.9], 4),
    "LWM-7B": ([82.3, 78.4, 73.7, 69.1, 68.1, 65.0], 0),
}


@pytest.mark.parametrize("model", _RULER)
def test_effective_lengths_are_those_that_are_published(model: str) -> None:
    """0 stands for less than the shortest, None for more than the longest."""
    scores, printed = _RULER[model]
    found = effective_length({4 * 2**at: score / 100 for at, score in enumerate(scores)})
    assert found.longer == (printed is None)
    assert found.length == (128 if printed is None else printed or None)


def test_a_length_counts_only_where_all_shorter_ones_do() -> None:
    assert effective_length({4: 0.9, 8: 0.7, 16: 0.9}).length == 4
    assert effective_length({16: 0.2, 4: 0.5}, threshold=0.4).length == 4
    assert effective_length({4: 0.856, 8: 0.8559999, 16: 0.8554}).length == 8  # as printed with one decimal
    assert effective_length({}).length is None


def answer(length: int, depth: int, at: int = 0) -> Answer:
    return Answer(f"{length}/{depth}/{at}", str(length), ("x",), Cell(length, depth))


def test_a_grid_has_the_means_of_its_places() -> None:
    answers = [answer(2000, 50), answer(1000, 0), answer(1000, 0, 1), answer(1000, 50), Answer("no cell", "default")]
    values = {"2000/50/0": 1.0, "1000/0/0": 1.0, "1000/0/1": 0.0, "no cell": 1.0}
    made = grid_of(row_of("Passkey"), "qlora", answers, values)
    assert made is not None
    assert (made.task, made.split, made.metric, made.share) == ("Passkey", "qlora", "accuracy", True)
    assert (made.rows, made.columns) == (Axis("depth", [0, 50]), Axis("length", [1000, 2000]))
    assert (made.values, made.samples) == ([[0.5, None], [None, 1.0]], [[2, 0], [0, 1]])
    assert by_length(made) == {1000: 0.5, 2000: 1.0}
    assert grid_of(row_of("Passkey"), "qlora", answers[-1:], values) is None
    many = [answer(1000 + at, 0) for at in range(201)]
    assert grid_of(row_of("Passkey"), "qlora", many, {each.id: 1.0 for each in many}) is None


def grid(lengths: int, depths: int, *, share: bool = True) -> Grid:
    """Right up to the middle of the longest length."""
    columns = [1000 * (at + 1) for at in range(lengths)]
    rows = [round(100 * at / (depths - 1)) for at in range(depths)]
    values = [[float(not (length == columns[-1] and depth > 50)) for length in columns] for depth in rows]
    counts = [[1] * lengths for _ in rows]
    metric = "accuracy" if share else "rouge_l"
    return Grid("Passkey", "official", metric, share, Axis("depth", rows), Axis("length", columns), values, counts)


def printed(made: Grid, width: int = 80) -> list[str]:
    out = io.StringIO()
    show(made, Console(file=out, width=width, color_system=None))
    return [line.rstrip() for line in out.getvalue().splitlines()]


def test_a_map_has_its_numbers_without_colours() -> None:
    lines = printed(grid(2, 5))
    assert lines == [
        "Passkey (official), accuracy in percent",
        "length      0    25    50    75   100           mean",
        " 1,000    100   100   100   100   100 100.0 (57-100)",
        " 2,000    100   100   100     0     0   60.0 (23-88)",
        "  mean    100   100   100    50    50",
        "across: the depth in percent",
        "in brackets: 95% intervals of the shares (Wilson's)",
        "effective length at RULER's threshold of 85.6: 1,000 tokens",
    ]


@pytest.mark.parametrize(("lengths", "depths"), [(1, 2), (10, 10), (20, 10), (35, 35), (3, 11)])
def test_a_map_fits_into_eighty_columns(lengths: int, depths: int) -> None:
    lines = printed(grid(lengths, depths))
    assert max(map(len, lines)) <= 80
    assert len(lines) == lengths + 6 + (depths > 20)


def test_a_narrow_map_has_a_sign_for_each_tenth() -> None:
    made = grid(2, 35, share=False)
    lines = printed(made)
    assert lines[2] == f" 1,000 {'#' * 35} 100.0"
    assert lines[3] == f" 2,000 {'#' * 18}{'0' * 17}  51.4"
    assert lines[4] == f"  mean {'#' * 18}{'5' * 17}"
    assert lines[1].split() == ["length", "0", "100", "mean"]
    assert "signs: tenths, 0 for less than 10 percent and # for 100" in lines


def test_cells_without_samples_are_dashes() -> None:
    made = grid(2, 5)
    empty = Grid(
        "T",
        "s",
        "accuracy",
        True,
        made.rows,
        made.columns,
        [[None, 1.0], *made.values[1:]],
        [[0, 1], *made.samples[1:]],
    )
    assert printed(empty)[2].split()[1] == "-"


def test_effective_lengths_are_of_lengths_alone() -> None:
    grid = Grid("A", "s", "m", False, Axis("depth", [0]), Axis("length", [4, 8]), [[0.9, 0.5]], [[1, 1]])
    found = effective_length_of(grid)
    assert found is not None
    assert (found.length, found.longer, found.said(4)) == (4, False, "4 tokens")
    topics = Grid("A", "s", "m", False, Axis("depth", [0]), Axis("topics", [4, 8]), [[0.9, 0.5]], [[1, 1]])
    assert effective_length_of(topics) is None
    assert EffectiveLength(None, longer=False).said(1024) == "below 1,024 tokens"
    assert EffectiveLength(2048, longer=True).said(1024) == "at least 2,048 tokens"
