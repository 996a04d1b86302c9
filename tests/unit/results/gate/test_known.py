"""What has to be known of both runs, each role by itself, and which runs are one and the same."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flagbench import BadInput
from flagbench.results.compare.compare import Cell, Line
from flagbench.results.gate import known
from flagbench.results.gate.known import Pair, Unknown, check_known, refuse_itself
from flagbench.results.record import RunRecord, TaskRecord
from flagbench.results.runs import Run

_TASK = TaskRecord("A", "STS", "success", {}, "d", data={"status": "official"}, finished="2026-01-01T00:00:00Z")
_CELL = Cell("success", 0.5)


def _run(folder: str, *tasks: TaskRecord, **fields: Any) -> Run:
    named = {"benchmark": "cmteb", "model": "org/m", "revision": "1", "spec": {}, "evidence": (), "environment": {}}
    return Run(Path(folder), RunRecord(**named | fields, tasks={task.name: task for task in tasks}), "m")


def _said(cells: tuple[Cell, Cell], before: TaskRecord = _TASK, after: TaskRecord = _TASK, **pair: Any) -> str:
    line = Line("A", "STS", "cosine_spearman", cells)
    try:
        check_known((line,), Pair(_run("b", before), _run("c", after), **pair))
    except Unknown as unknown:
        return str(unknown)
    return ""


@pytest.fixture(autouse=True)
def sound(monkeypatch: pytest.MonkeyPatch) -> dict[Path, str]:
    """What contradicts the values of a run, by its folder."""
    said: dict[Path, str] = {}
    monkeypatch.setattr(known, "contradiction", lambda run, task: said.get(run.folder, ""))
    return said


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        (Cell("missing"), "the {} lacks A"),
        (Cell("error", note="no memory"), "A failed in the {}: no memory"),
        (Cell("partial", 0.5), "A is over a part of its data in the {}"),
        (Cell("partial", 0.5, note="half"), "A is over a part of its data in the {}: half"),
        (Cell("success"), "A has no score in the {}"),
        (Cell("success", note="no labels"), "A has no score in the {}: no labels"),
        (Cell("success", 0.0), ""),
        (_CELL, ""),
    ],
)
def test_a_whole_score_is_needed_of_either_run(cell: Cell, said: str) -> None:
    assert _said((cell, _CELL)) == said.format("baseline")
    assert _said((_CELL, cell)) == said.format("candidate")


@pytest.mark.parametrize("data", [{}, {"status": "fine"}])
def test_either_run_has_to_record_its_data_unless_the_baseline_is_published_scores(data: dict[str, str]) -> None:
    bare = replace(_TASK, data=data)
    said = "A: the {} does not record which data it is over; evaluate it again"
    assert _said((_CELL, _CELL), before=bare) == said.format("baseline")
    assert _said((_CELL, _CELL), after=bare) == said.format("candidate")
    assert _said((_CELL, _CELL), before=bare, published=True) == ""


def test_only_a_later_failure_of_the_candidate_makes_its_score_an_older_one() -> None:
    failed = replace(_TASK, later_error="no disk")
    line = "A failed when the candidate was last evaluated, and its score is older: no disk"
    assert _said((_CELL, _CELL), after=failed) == line
    assert _said((_CELL, _CELL), before=failed) == ""


def test_values_that_contradict_the_score_are_named_in_either_run(sound: dict[Path, str]) -> None:
    for folder, whose in (("b", "baseline"), ("c", "candidate")):
        sound.clear()
        sound[Path(folder)] = "its values give another score"
        assert _said((_CELL, _CELL)) == f"A in the {whose}: its values give another score"
        published = _said((_CELL, _CELL), published=True)  # of published scores there are no values
        assert published == ("" if whose == "baseline" else f"A in the {whose}: its values give another score")


def _refused(one: Run, other: Run) -> bool:
    try:
        refuse_itself(one, other)
    except BadInput as error:
        return "are the same run of org/m" in str(error)
    return False


def test_a_run_is_itself_by_its_place_or_by_its_results(tmp_path: Path) -> None:
    other = replace(_TASK, name="B", finished="2026-01-02T00:00:00Z")
    again = replace(_TASK, finished="2026-01-03T00:00:00Z")
    (tmp_path / "link").symlink_to(tmp_path)
    run = _run("r", _TASK)
    assert _refused(_run(str(tmp_path), _TASK), _run(str(tmp_path / "link"), again, revision="2"))
    assert _refused(run, _run("copy", _TASK))
    assert _refused(run, _run("more", _TASK, other))
    assert _refused(_run("more", _TASK, other), run)
    assert _refused(_run("none"), _run("empty"))
    assert not _refused(run, _run("again", again))
    assert not _refused(_run("two", _TASK, other), _run("half", _TASK, replace(other, finished="later")))
    assert not _refused(run, _run("apart", other))
    assert not _refused(run, _run("r2", _TASK, revision="2"))
    assert not _refused(run, _run("m2", _TASK, model="org/n"))
    bare = replace(_TASK, finished="")
    assert not _refused(_run("bare", bare), _run("bare too", bare, other))


@pytest.mark.parametrize(
    ("second", "after", "said"),
    [
        (_CELL, {}, ""),
        (Cell("partial", 0.5), {}, "B is over a part of its data in the candidate"),
        (_CELL, {"later_error": "no disk"}, "B failed when the candidate was last evaluated, and its score is older: "
                                            "no disk"),
        (_CELL, {"data": {}}, "B: the candidate does not record which data it is over; evaluate it again"),
    ],
)  # fmt: skip
def test_every_task_of_an_average_is_looked_at(second: Cell, after: dict[str, Any], said: str) -> None:
    other = replace(_TASK, name="B")
    lines = (Line("A", "STS", "m", (_CELL, _CELL)), Line("B", "STS", "m", (_CELL, second)))
    pair = Pair(_run("b", _TASK, other), _run("c", _TASK, replace(other, **after)))
    if said:
        with pytest.raises(Unknown) as unknown:
            check_known(lines, pair)
        assert str(unknown.value) == said
    else:
        check_known(lines, pair)
    differs = (lines[0], replace(lines[1], cells=(_CELL, _CELL), differences=("splits",)))
    with pytest.raises(Unknown, match="other data: splits"):
        check_known(differs, Pair(_run("b", _TASK, other), _run("c", _TASK, other)))
    lacking = tuple(replace(line, cells=(Cell("missing"), _CELL)) for line in lines)
    with pytest.raises(Unknown, match="the baseline lacks A, B"):
        check_known(lacking, pair)
