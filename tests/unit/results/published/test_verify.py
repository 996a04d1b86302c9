"""Verdicts at their boundaries, what counts as a failure, and the guesses at a cause."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from flagbench import BadInput, UnknownName
from flagbench.results.published.scores import Doubt, Published, PublishedTable
from flagbench.results.published.verify import Verification, remarks, render, verify
from flagbench.results.record import RunRecord, TaskRecord

KINDS = {
    **dict.fromkeys(("R1", "R2"), "Retrieval"),
    "K1": "Reranking",
    **dict.fromkeys(("S1", "S2", "S3"), "STS"),
    **dict.fromkeys(("C1", "C2"), "Classification"),
}
TABLE = PublishedTable(
    benchmark="small",
    title="Small",
    source="a small table",
    kinds=KINDS,
    splits=dict.fromkeys(KINDS, ("test",)),
    models={},
    groups={},
    doubts=(Doubt("mteb 1.", frozenset({"Reranking"}), "it took the average precision in another way"),),
)
SETTINGS = {
    "model": {"pooling": "cls", "normalize": True, "query_max_length": 512, "passage_max_length": 512, "dtype": "fp16"},
    "instruction": {"query": "为这个句子：", "passage": ""},
}


def task(name: str, score: float | None, **values: Any) -> TaskRecord:
    plain = {"status": "success", "settings": SETTINGS, "digest": "", "data": {"status": "exact"}}
    scores = {} if score is None else {"test": {"default": score}}
    return TaskRecord(**{"name": name, "kind": KINDS.get(name, "STS"), "scores": scores, **plain, **values})


def run_of(*tasks: TaskRecord, benchmark: str = "cmteb") -> RunRecord:
    return RunRecord(benchmark, "me/mine", "r", {}, (), {}, {each.name: each for each in tasks})


def against(scores: dict[str, float], made_by: str = "mteb 2.1") -> Published:
    return Published("o/model", "abc", made_by, {name: {"test": score} for name, score in scores.items()})


def compared(differences: dict[str, float], made_by: str = "mteb 2.1", **values: Any) -> Verification:
    """A run that is off by these."""
    record = run_of(*(task(name, 0.5 + off, **values) for name, off in differences.items()))
    return verify(record, against(dict.fromkeys(differences, 0.5), made_by), TABLE)


def verdicts(verification: Verification) -> dict[str, str]:
    return {each.task: each.verdict for each in verification.tasks}


@pytest.mark.parametrize(
    ("published", "off", "verdict"),
    [
        (0.5, 0.0, "OK"),
        (0.5, 0.0005, "OK"),
        (0.5, -0.0005, "OK"),
        (0.743335, 0.0005, "OK"),
        (0.5, 0.000501, "near"),
        (0.5, -0.000501, "near"),
        (0.5, 0.005, "near"),
        (0.7, -0.005, "near"),
        (0.743335, 0.005, "near"),
        (0.5, 0.005001, "FAIL"),
        (0.5, -0.3, "FAIL"),
    ],
)
def test_boundaries(published: float, off: float, verdict: str) -> None:
    result = verify(run_of(task("S1", published + off)), against({"S1": published}), TABLE)
    assert verdicts(result) == {"S1": verdict}
    assert result.tasks[0].difference == pytest.approx(off, abs=1e-9)
    assert result.passed == (verdict != "FAIL")


def test_tolerances_are_parameters() -> None:
    record, scores = run_of(task("S1", 0.51)), against({"S1": 0.5})
    assert verdicts(verify(record, scores, TABLE, tolerance=0.01, near=0.01)) == {"S1": "OK"}
    assert verdicts(verify(record, scores, TABLE, tolerance=0.0, near=0.02)) == {"S1": "near"}
    for tolerance, near in ((0.02, 0.01), (-0.1, 0.1), (0.1, 1.0), (float("nan"), 0.1)):
        with pytest.raises(BadInput, match=r"expected 0 <= tolerance <= near < 1"):
            verify(record, scores, TABLE, tolerance=tolerance, near=near)


def test_what_is_missing_fails_and_what_is_not_published_is_not_judged() -> None:
    record = run_of(task("S1", 0.5), task("S2", 0.4), task("Other", 0.3))
    result = verify(record, against({"S1": 0.5, "S3": 0.5}), TABLE)
    assert verdicts(result) == {"S1": "OK", "S2": "not judged", "S3": "missing", "Other": "not judged"}
    assert not result.passed
    assert result.counts() == {"OK": 1, "missing": 1, "not judged": 2}
    assert verify(record, against({"S1": 0.5}), TABLE).passed


def test_failed_and_partial_tasks_fail() -> None:
    record = run_of(task("S1", None, status="error", error="no disk"), task("S2", 0.5, status="partial"))
    result = verify(record, against({"S1": 0.5, "S2": 0.5}), TABLE)
    assert verdicts(result) == {"S1": "FAIL", "S2": "FAIL"}
    assert [each.note for each in result.tasks] == ["failed: no disk", "scored on a part of the data"]
    assert not any(hint.startswith("guess") for hint in result.hints)


def test_only_the_published_splits_are_compared() -> None:
    both = {"validation": {"default": 0.5}, "test": {"default": 0.9}}
    record = run_of(task("C1", None, scores=both))
    result = verify(record, Published("o/m", "r", "", {"C1": {"validation": 0.5}}), TABLE)
    assert verdicts(result) == {"C1": "OK"}
    assert result.tasks[0].note == "only validation is published"
    whole = verify(record, Published("o/m", "r", "", {"C1": {"validation": 0.6, "test": 0.8}}), TABLE)
    assert verdicts(whole) == {"C1": "OK"}
    lacking = verify(record, Published("o/m", "r", "", {"C1": {"dev": 0.5}}), TABLE)
    assert verdicts(lacking) == {"C1": "missing"}
    assert lacking.tasks[0].note == "the run lacks the split dev"


def test_chosen_tasks_alone() -> None:
    record = run_of(task("S1", 0.5), task("S2", 0.9), task("Other", 0.1))
    scores = against({"S1": 0.5, "S2": 0.5, "R1": 0.5})
    result = verify(record, scores, TABLE, only=("S1",))
    assert verdicts(result) == {"S1": "OK"}
    assert result.passed
    with pytest.raises(UnknownName, match="unknown task 'S9'; did you mean S"):
        verify(record, scores, TABLE, only=("S9",))
    with pytest.raises(BadInput, match="nothing is published of o/model for C1"):
        verify(record, scores, TABLE, only=("C1",))


def test_a_run_of_another_benchmark() -> None:
    with pytest.raises(BadInput, match=r"this run \(of mlvu: plotQA\) has no task of Small"):
        verify(run_of(task("plotQA", 0.5), benchmark="mlvu"), against({"S1": 0.5}), TABLE)


def test_nothing_off_nothing_guessed() -> None:
    assert compared({"S1": 0.0, "R1": 0.0005}).hints == ()


def guesses(verification: Verification) -> str:
    assert verification.hints
    assert all(hint.startswith(("guess: ", "first: ")) for hint in verification.hints)
    return "\n".join(verification.hints)


def test_ranking_alone_off_is_the_query_instruction() -> None:
    said = guesses(compared({"R1": -0.03, "R2": -0.02, "K1": -0.001, "S1": 0.0}))
    assert "the query instruction may be another" in said
    assert "query '为这个句子：'" in said
    assert "instruction" not in guesses(compared({"R1": -0.03, "R2": -0.02}))  # nothing to tell them from
    assert "instruction" not in guesses(compared({"R1": -0.03, "S1": 0.03, "S2": 0.0}))  # STS is off as well


def test_all_off_by_a_little_is_length_or_precision() -> None:
    off = {"R1": -0.004, "S1": 0.003, "S2": -0.006, "C1": 0.002, "C2": 0.0}
    said = guesses(compared(off))
    assert "length of texts or the precision" in said
    assert "query_max_length 512, passage_max_length 512, dtype 'fp16'" in said
    assert "--store-fp16" not in said
    assert "--store-fp16" in guesses(compared(off, settings={**SETTINGS, "store": "fp16"}))


def test_all_far_off_is_pooling_or_normalisation() -> None:
    said = guesses(compared({"R1": -0.3, "S1": -0.2, "S2": -0.1, "C1": -0.02}))
    assert "pooling, the normalisation" in said
    assert "pooling 'cls', normalize True" in said


def test_rows_come_first() -> None:
    hints = compared({"R1": -0.3, "S1": -0.2, "C1": -0.1}, data={"status": "differs"}).hints
    assert hints[0].startswith("first: the data of R1, S1, C1 is not the official data")


def test_a_reranker_comes_first() -> None:
    hints = compared({"R1": 0.1, "S1": 0.0}, settings={**SETTINGS, "reranker": {"name": "o/r"}}).hints
    assert hints[0].startswith("first: the run re-ranks with a second model")


def test_fitted_tasks_alone_and_reranking_alone() -> None:
    assert "draw samples" in guesses(compared({"C1": 0.004, "C2": -0.01, "S1": 0.0}))
    assert "average precision" in guesses(compared({"K1": 0.004, "R1": 0.0, "S1": 0.0}, made_by="mteb 1.1.0"))
    assert "average precision" not in guesses(compared({"K1": 0.004, "R1": 0.0, "S1": 0.0}, made_by="mteb 2.1"))
    assert "average precision" not in guesses(compared({"K1": 0.004, "R1": 0.004, "S1": 0.0}, made_by="mteb 1.1.0"))


def test_no_pattern_is_said() -> None:
    assert guesses(compared({"S1": 0.03, "S2": 0.0, "R1": 0.0})).startswith("guess: no usual pattern")


def test_settings_that_the_record_lacks() -> None:
    assert "not in its record" in guesses(compared({"R1": -0.03, "S1": 0.0}, settings={}))


def test_the_table_and_its_lines() -> None:
    record = run_of(task("S1", 0.5), task("S2", 0.49), task("R1", None, status="error", error="[red]no[/red] disk"))
    result = verify(record, against({"S1": 0.5, "S2": 0.5, "R1": 0.5}, "mteb 1.1.0"), TABLE)
    console = Console(file=io.StringIO(), width=140)
    console.print(render(result))
    assert isinstance(console.file, io.StringIO)
    said = console.file.getvalue()
    assert "-1.000" in said
    assert "[red]no[/red] disk" in said
    lines = remarks(result)
    assert lines[0] == "NOT reproduced: 1 OK, 2 FAIL (OK within 0.05 points, near within 0.5)"
    assert lines[1] == "published: a small table, revision abc, by mteb 1.1.0"
    values = result.as_dict()
    assert values["passed"] is False
    assert [each["difference"] for each in values["tasks"]] == [None, 0.0, -0.01]
