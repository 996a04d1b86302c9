"""What the scores of MLVU look like: every cell, note and line, and the plain values, whole."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from scipy.stats import binomtest

from flagbench.mlvu.commands import _items
from flagbench.mlvu.judgements import Failure, Judged, Judgement
from flagbench.mlvu.loading import Anomaly, Question
from flagbench.mlvu.registry import averaged, find
from flagbench.mlvu.report import RunScores, as_dict, show
from flagbench.mlvu.saved import Saved
from flagbench.results.data_state import DataState

RUN = Path("out/org__model/0123456789abcdef")
RIGHT, ROBUST, WRONG, NOTHING = "B) it is", "B.", "C) it is", "I cannot tell"


def saved(
    task: str,
    answers: Sequence[str | None],
    *,
    question_set: str = "as-released",
    state: DataState = DataState.OFFICIAL,
) -> Saved:
    """Questions whose answer is B, with these answers; None for none."""
    row = find(task)
    labelled = row.set == "dev"
    questions = tuple(
        Question(f"{row.file}:{at}", task, "a.mp4", "v", "?", ("w", "x", "y", "z"), "x" * labelled, "B" * labelled,
                 ("B",) * labelled, labelled, (), 9.0)
        for at in range(len(answers))
    )  # fmt: skip
    given = {question.id: text for question, text in zip(questions, answers, strict=True) if text is not None}
    return Saved(row, question_set, questions, given, "", state)


def interval(right: int, total: int) -> tuple[float, float]:
    found = binomtest(right, total).proportion_ci(method="wilson")
    return found.low, found.high


def shown(*runs: RunScores) -> tuple[list[list[str]], list[str]]:
    """Cells of the tables row by row, and the lines outside them."""
    text = io.StringIO()
    show(runs, Console(width=200, file=text))
    lines = text.getvalue().splitlines()
    rows = [[cell.strip() for cell in line[1:-1].split(line[0])] for line in lines if line.startswith(("│", "┃"))]
    return rows, [line.rstrip() for line in lines if line[:1] not in tuple("│┃┏┡├└")]


def test_labels_that_are_no_candidate_or_unlike_the_questions_are_counted() -> None:
    plain = saved("MLVU-dev_ego", [RIGHT, WRONG, None])
    broken = tuple(replace(each, answer="nowhere", gold="", golds=()) for each in plain.questions[:2])
    odd = replace(
        plain, questions=(*broken, plain.questions[2]), odd=(Anomaly("3_ego:0", "b"), Anomaly("3_ego:1", "b"))
    )
    one = replace(saved("MLVU-dev_order", [RIGHT]), questions=broken[:1], answers={broken[0].id: RIGHT})
    run = RunScores.of(RUN, [odd, one], {})
    cells, lines = shown(run)
    assert {row[0]: row[-1] for row in cells if row[0] in run.tasks} == {
        "MLVU-dev_ego": "2 labels are no candidate; partial",
        "MLVU-dev_order": "1 label is no candidate",
    }
    assert "MLVU-dev_ego: 2 odd questions (b 2)" in lines
    (values,) = as_dict([run]).values()
    assert values["tasks"]["MLVU-dev_ego"]["unmatched_labels"] == 2


HEADINGS = ["task", "answered", "official", "95%", "robust", "no option named", "note"]


def test_a_run_is_a_table_of_its_tasks_in_the_order_of_the_benchmark() -> None:
    run = RunScores.of(
        RUN,
        [
            saved("MLVU-dev_order", [RIGHT, RIGHT], state=DataState.DIFFERS),
            saved("MLVU-dev_count", [RIGHT, ROBUST, None]),
            saved("MLVU-dev_ego", [RIGHT, ROBUST, WRONG, NOTHING]),
            saved("MLVU-dev_plotQA", [WRONG] * 1_200, question_set="cleaned"),
            saved("MLVU-dev_anomaly_reco", [None]),
            saved("MLVU-dev_topic_reasoning", [WRONG], state=DataState.COUNTS_AGREE),
        ],
        {},
    )
    rows, lines = shown(run)
    assert lines == ["MLVU: org/model@01234567"]
    blank = ["", "", "", "", "", "blank while a task is missing or partial"]
    assert rows == [
        HEADINGS,
        ["MLVU-dev_plotQA", "1,200 of 1,200", "0.00", "0.00-0.32", "0.00", "", "cleaned questions"],
        ["MLVU-dev_ego", "4 of 4", "25.00", "4.56-69.94", "50.00", "1", ""],
        ["MLVU-dev_count", "2 of 3", "50.00", "9.45-90.55", "100.00", "", "partial"],
        ["MLVU-dev_order", "2 of 2", "100.00", "34.24-100.00", "100.00", "", "not the official data"],
        ["MLVU-dev_anomaly_reco", "0 of 1", "", "", "", "", "partial"],
        [
            *("MLVU-dev_topic_reasoning", "1 of 1", "0.00", "0.00-79.35", "0.00", ""),
            "only the counts agree with the official data",
        ],
        ["M-Avg (dev), official", *blank],
        ["M-Avg (dev), robust", *blank],
    ]


def whole() -> RunScores:
    """The seven tasks, the first with one question and each with one more, the last of which is robustly right."""
    answers = [[RIGHT] * at + [ROBUST] for at in range(7)]
    return RunScores.of(
        RUN, [saved(row.task_name, each) for row, each in zip(averaged("dev"), answers, strict=True)], {}
    )


def naive_average(right: Sequence[int], totals: Sequence[int]) -> dict[str, Any]:
    """The mean of the shares; its limits by the squares of the distances of theirs."""
    shares = [one / total for one, total in zip(right, totals, strict=True)]
    limits = [interval(one, total) for one, total in zip(right, totals, strict=True)]
    mean = sum(shares) / 7
    below = sum((share - low) ** 2 for share, (low, _) in zip(shares, limits, strict=True)) ** 0.5 / 7
    above = sum((high - share) ** 2 for share, (_, high) in zip(shares, limits, strict=True)) ** 0.5 / 7
    return {
        "value": pytest.approx(mean),
        "interval": (pytest.approx(mean - below), pytest.approx(mean + above)),
        "pooled": pytest.approx(sum(right) / sum(totals)),
        "pooled_interval": pytest.approx(interval(sum(right), sum(totals))),
    }


def test_the_averages_are_there_where_no_task_is_missing() -> None:
    totals = list(range(1, 8))
    official = naive_average([total - 1 for total in totals], totals)
    (plain,) = as_dict([whole()]).values()
    assert plain["M-Avg"] == {
        "dev": {"official": official, "robust": naive_average(totals, totals)},
        "test": {"official": None, "robust": None},
    }
    rows, _ = shown(whole())
    low, high = (100 * each.expected for each in official["interval"])
    assert rows[-2] == [
        *("M-Avg (dev), official", "", "62.96", f"{low:.2f}-{high:.2f}", "", ""),
        "pooled 75.00, which is another number",
    ]
    assert rows[-1][:3] == ["M-Avg (dev), robust", "", "100.00"]
    assert rows[-1][3].endswith("-100.00")


def judged(**other: Any) -> Judged:
    values: dict[str, Any] = {
        "judge": "api/j",
        "judge_settings": {"name": "api/j"},
        "prompt_version": "0123abcd",
        "items": (
            Judgement("8:0", "subPlot", 4.0, 3, points=(5, 3)),
            Judgement("8:1", "subPlot", 1.0, 5, points=(1,), attempts=2),
            Judgement("9:0", "summary", completeness=2, reliability=5),
        ),
        "failed": (),
        "calls": 4,
        "cached": 1,
    }
    return Judged(**values | other)


FAILED = (Failure("9:1", "summary", "it is not one JSON object"), Failure("9:2", "summary", "other"))


@pytest.mark.parametrize(
    ("grades", "lines"),
    [
        (
            judged(),
            [
                "open tasks (dev), judged by api/j (texts 0123abcd): accuracy 2.50, relevance 4.00, completeness 2.00, "
                "reliability 5.00, SSC 6.50, VS 7.00, G-Avg 6.75"
            ],
        ),
        (
            judged(items=judged().items[:2]),
            [
                "open tasks (dev), judged by api/j (texts 0123abcd): accuracy 2.50, relevance 4.00, SSC 6.50, "
                "G-Avg blank",
            ],
        ),
        (
            judged(items=judged().items[2:], failed=FAILED),
            [
                "open tasks (dev), judged by api/j (texts 0123abcd): completeness 2.00, reliability 5.00, VS 7.00, "
                "G-Avg blank",
                "2 answers got no grades and count in no mean: it is not one JSON object",
            ],
        ),
    ],
    ids=["both tasks", "sub-scenes alone", "summaries alone, with failures"],
)
def test_grades_are_told_below_the_table(grades: Judged, lines: list[str]) -> None:
    run = RunScores.of(RUN, [saved("MLVU-dev_ego", [RIGHT])], {"dev": grades})
    assert shown(run)[1] == ["MLVU: org/model@01234567", *lines]


def test_tasks_without_published_answers_are_named_and_not_scored() -> None:
    names = ["MLVU-test_ego", "MLVU-test_count"]
    run = RunScores.of(RUN, [saved(name, ["A"]) for name in names], {})
    rows, lines = shown(run)
    assert rows == []
    assert lines == [
        "MLVU: org/model@01234567",
        "without labels, not scored: MLVU-test_ego, MLVU-test_count; --data adds them, flagbench submit mlvu writes "
        "the predictions",
    ]


def test_the_plain_values_are_all_there_is_to_know() -> None:
    ego = saved("MLVU-dev_ego", [RIGHT, ROBUST, WRONG, NOTHING, None])
    plotted = saved("MLVU-dev_plotQA", [None], question_set="cleaned")
    run = RunScores.of(RUN, [ego, plotted, saved("MLVU-test_ego", ["A"])], {"dev": judged(failed=FAILED[:1])})
    none = {"official": None, "robust": None}
    grades = {"accuracy": None, "relevance": None, "completeness": None, "reliability": None, "points": []}
    assert as_dict([run]) == {
        "org/model@01234567": {
            "folder": str(RUN),
            "tasks": {
                "MLVU-dev_ego": {
                    "task": "MLVU-dev_ego",
                    "asked": 5,
                    "answered": 4,
                    "official": 1,
                    "robust": 2,
                    "unparsed": 1,
                    "unmatched_labels": 0,
                    "question_set": "as-released",
                    "data": "official",
                    "comparable": True,
                    "official_accuracy": 0.25,
                    "robust_accuracy": 0.5,
                    "official_interval": pytest.approx(interval(1, 4)),
                    "robust_interval": pytest.approx(interval(2, 4)),
                },
                "MLVU-dev_plotQA": {
                    "task": "MLVU-dev_plotQA",
                    "asked": 1,
                    "answered": 0,
                    "official": 0,
                    "robust": 0,
                    "unparsed": 0,
                    "unmatched_labels": 0,
                    "question_set": "cleaned",
                    "data": "official",
                    "comparable": False,
                    "official_accuracy": None,
                    "robust_accuracy": None,
                    "official_interval": None,
                    "robust_interval": None,
                },
            },
            "M-Avg": {"dev": none, "test": none},
            "open": {
                "dev": {
                    "judge": "api/j",
                    "judge_settings": {"name": "api/j"},
                    "prompt_version": "0123abcd",
                    "items": [
                        grades
                        | {
                            "id": "8:0",
                            "task": "subPlot",
                            "accuracy": 4.0,
                            "relevance": 3,
                            "points": [5, 3],
                            "attempts": 1,
                        },
                        grades
                        | {
                            "id": "8:1",
                            "task": "subPlot",
                            "accuracy": 1.0,
                            "relevance": 5,
                            "points": [1],
                            "attempts": 2,
                        },
                        grades | {"id": "9:0", "task": "summary", "completeness": 2, "reliability": 5, "attempts": 1},
                    ],
                    "failed": [{"id": "9:1", "task": "summary", "fault": "it is not one JSON object"}],
                    "calls": 4,
                    "cached": 1,
                    "components": {"accuracy": 2.5, "relevance": 4.0, "completeness": 2.0, "reliability": 5.0},
                    "SSC": 6.5,
                    "VS": 7.0,
                    "G-Avg": None,
                    "counts": {"subPlot": {"judged": 2, "failed": 0}, "summary": {"judged": 1, "failed": 1}},
                }
            },
        }
    }


def test_a_run_without_a_judge_has_no_grades() -> None:
    (plain,) = as_dict([whole()]).values()
    assert plain["open"] is None


def test_runs_of_one_label_go_by_their_folders() -> None:
    ego = [saved("MLVU-dev_ego", [RIGHT])]
    folders = [RUN, Path("other") / RUN.parent.name / RUN.name, Path("out/org__other/0123456789abcdef")]
    assert list(as_dict([RunScores.of(folder, ego, {}) for folder in folders])) == [
        str(folders[0]),
        str(folders[1]),
        "org/other@01234567",
    ]
    deep = RunScores.of(Path("out/org__a__b/0123"), ego, {})
    assert deep.label == "org/a__b@0123"


def test_open_tasks_that_nobody_judged_are_named_and_those_without_labels_elsewhere() -> None:
    its = [saved(f"MLVU-{of}_{task}", ["text"]) for of, task in (("dev", "subPlot"), ("dev", "summary"))]
    its += [saved("MLVU-dev_ego", [RIGHT])]
    run = RunScores.of(RUN, its, {})
    assert run.unjudged == ("MLVU-dev_subPlot", "MLVU-dev_summary")
    assert list(run.tasks) == ["MLVU-dev_ego"]
    assert shown(run)[1][1:] == ["not judged yet: MLVU-dev_subPlot, MLVU-dev_summary; --judge MODEL judges them"]
    assert RunScores.of(RUN, its, {"dev": judged()}).unjudged == ()
    assert RunScores.of(RUN, its, {"test": judged()}).unjudged == run.unjudged


def test_what_a_judge_gets_are_the_labelled_answers_to_the_open_questions_of_a_set() -> None:
    scenes, summaries = saved("MLVU-dev_subPlot", ["one", None, "three"]), saved("MLVU-dev_summary", ["all"])
    scenes = replace(scenes, questions=tuple(replace(each, points=("p", "q")) for each in scenes.questions))
    bare = replace(summaries.questions[0], id="bare", labelled=False)
    summaries = replace(summaries, questions=(*summaries.questions, bare), answers={**summaries.answers, "bare": "x"})
    others = [saved("MLVU-dev_ego", [RIGHT]), saved("MLVU-test_SSC", ["y"])]
    first, third, whole_video = _items([scenes, *others, summaries], "dev")
    assert [(each.task, each.response) for each in (first, third, whole_video)] == [
        ("subPlot", "one"),
        ("subPlot", "three"),
        ("summary", "all"),
    ]
    assert (first.id, first.question, first.reference) == (scenes.questions[0].id, "?", "x")
    assert (first.scoring_points, whole_video.scoring_points) == (("p", "q"), ())
    assert _items([scenes, *others, summaries], "test") == []
