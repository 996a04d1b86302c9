"""The tables of ``flagbench score longctx``: plain means of the answers, once for each protocol and benchmark."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean

import pytest

from flagbench.suites.longctx.registry import row_of
from flagbench.suites.longctx.sample import Answer, Cell
from flagbench.suites.longctx.saved import Saved
from flagbench.suites.longctx.tables import Scored, tables


def scored(task: str, answers: Sequence[Answer], protocol: str = "") -> Scored:
    row = row_of(task)
    return Scored(Saved(row, protocol or row.protocols[0], tuple(answers)))


def ruler(task: str, lengths: Sequence[int], right: int) -> Scored:
    """Four samples of each length, some of which are right."""
    return scored(
        task,
        [
            Answer(f"{length}/{at}", str(length), ("key",), text="the key" if at < right else "no")
            for length in lengths
            for at in range(4)
        ],
    )


def test_scores_are_means_of_each_subset() -> None:
    task = ruler("ruler_vt", (4096, 8192), 3)
    assert task.scores == {"4096": 0.75, "8192": 0.75}
    assert task.grid is None


def test_grids_are_of_tasks_whose_samples_have_a_place() -> None:
    texts = {(512, 0): "12345", (512, 100): "none", (1024, 0): "12345"}
    found = scored(
        "Passkey",
        [
            Answer(f"{length}/{depth}", str(length), ("12345",), Cell(length, depth), text=text)
            for (length, depth), text in texts.items()
        ],
    ).grid
    assert found is not None
    assert (list(found.columns.values), list(found.rows.values)) == ([512, 1024], [0, 100])
    assert [list(row) for row in found.values] == [[1.0, 1.0], [0.0, None]]


def test_ruler_has_its_own_means_where_all_tasks_have_the_same_lengths() -> None:
    tasks = [ruler("ruler_vt", (4096, 8192), 4), ruler("ruler_fwe", (4096, 8192), 2)]
    by_task, over = tables("org/m", tasks)
    assert by_task.title == "RULER, official"
    assert by_task.headings == ["task", "4,096", "8,192"]
    assert by_task.rows == [["vt", "100.00", "100.00"], ["fwe", "50.00", "50.00"]]
    assert over.title == "RULER, means over 2 of 13 tasks"
    assert "75.0" in over.rows[0]


def test_lengths_that_a_task_lacks_are_shown_as_such_and_no_mean_is_over_them() -> None:
    (by_task,) = tables("m", [ruler("ruler_vt", (4096, 8192), 4), ruler("ruler_fwe", (8192,), 4)])
    assert by_task.rows == [["vt", "100.00", "100.00"], ["fwe", "-", "100.00"]]


def test_two_protocols_have_two_tables() -> None:
    answers = [Answer("0", "default", ("Berlin",), text="Berlin"), Answer("1", "default", ("Rome",), text="Paris")]
    first, second = tables(
        "m",
        [scored("LongBench-hotpotqa", answers), scored("LongBench-2wikimqa", answers, "official")],
    )
    assert (first.title, second.title) == ("LongBench, flagembedding, means of rounded scores", "LongBench, official")
    assert ["hotpotqa", "50.0"] in [list(row) for row in first.rows]
    assert ["2wikimqa", "50.0"] in [list(row) for row in second.rows]


def test_mmlu_has_means_over_subjects() -> None:
    def asked(at: int, subject: str, *, right: bool) -> Answer:
        return Answer(str(at), subject, ("B",), numbers=(-9.0, -1.0 if right else -8.0, -2.0, -9.0))

    answers = [asked(0, "astronomy", right=True), asked(1, "astronomy", right=False), asked(2, "anatomy", right=True)]
    (table,) = tables("m", [scored("MMLU", answers)])
    cells = dict(zip(table.headings, table.rows[0], strict=True))
    assert cells == {"STEM": "50.00", "Others": "100.00", "All": "75.00"}


def test_perplexity_is_that_of_the_mean_over_texts() -> None:
    # Two windows of the first text, nats and scored tokens of each: 20 nats of 10 tokens; 3 of 3 of the second.
    losses = {"0": ((12.0, 6.0, 8.0, 4.0), (6, 4)), "1": ((3.0, 3.0), (3,))}
    answers = [
        Answer(name, "default", facts={"targets": list(targets)}, numbers=numbers)
        for name, (numbers, targets) in losses.items()
    ]
    (table,) = tables("m", [scored("PG19", answers)])
    mean = fmean([20 / 10, 3 / 3])
    assert table.rows == [["2", f"{-mean:.4f}", f"{math.exp(mean):.4f}"]]


@pytest.mark.parametrize("task", ["Needle", "TopicRetrieval"])
def test_grids_have_no_table(task: str) -> None:
    assert not list(tables("m", [scored(task, [Answer("5/0", "5", ("bees",), Cell(5, 0), text="bees")])]))
