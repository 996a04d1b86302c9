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
    plain = {"status": "success", "settings": SETTINGS, "digest": "", "data": {"status": "official"}}
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


def test_data_whose_counts_agree_is_not_to_be_fixed() -> None:
    """Who takes it by --accept-counts is told that its content may be another, and still what else may be."""
    ran = run_of(task("S1", 0.4, data={"status": "counts agree"}), task("S2", 0.5))
    found = verify(ran, against({"S1": 0.5, "S2": 0.5}), TABLE, accept_counts=True)
    assert verdicts(found) == {"S1": "FAIL", "S2": "OK"}
    assert found.hints[0] == (
        "only the counts agree with the official data in S1: rows of other content would be a cause as well"
    )
    assert any(hint.startswith("guess: ") for hint in found.hints)
    assert "fix the data" not in "".join(found.hints)


def test_the_last_line_names_the_flags_that_would_decide() -> None:
    """Each by itself and both; none where a task failed, or where they would not change the verdict."""
    counts, other = ({"data": {"status": status}} for status in ("counts agree", "differs"))
    alone = "--tasks S1 compares the 1 task of this run alone"
    compared_too = "--accept-counts compares 1 task of which only the counts agree"
    for ran, published, said in (
        ([task("S1", 0.5)], ["S1", "S2"], f"to decide: {alone}"),
        ([task("S1", 0.5, **counts)], ["S1"], f"to decide: {compared_too}"),
        ([task("S1", 0.5, **counts)], ["S1", "S2"], f"to decide: {alone}; {compared_too}"),
        ([task("S1", 0.5, **other)], ["S1", "S2"], ""),
        ([task("S1", 0.4)], ["S1", "S2"], ""),
        ([task("S1", 0.5)], ["S1"], ""),
    ):
        scores = against(dict.fromkeys(published, 0.5))
        last = remarks(verify(run_of(*ran), scores, TABLE))[-1]
        assert last == said if said else not last.startswith("to decide")
        if said:
            assert verify(run_of(*ran), scores, TABLE, only=("S1",), accept_counts=True).passed
    five = [task(name, 0.5) for name in list(KINDS)[:5]]
    last = remarks(verify(run_of(*five), against(dict.fromkeys(KINDS, 0.5)), TABLE))[-1]
    assert last == f"to decide: --tasks {','.join(list(KINDS)[:5])} compares the 5 tasks of this run alone"
    # Data that is not the official data cannot be decided on, whatever else could.
    mixed = [task("S1", 0.5, **counts), task("S2", 0.5, **other)]
    assert not remarks(verify(run_of(*mixed), against({"S1": 0.5, "S2": 0.5}), TABLE))[-1].startswith("to decide")
    many = [task(name, 0.5) for name in list(KINDS)[:6]]
    last = remarks(verify(run_of(*many), against(dict.fromkeys(KINDS, 0.5)), TABLE))[-1]
    assert last == "to decide: --tasks with their names compares the 6 tasks of this run alone"


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
    assert hints[0].startswith("first: the data of R1, S1, C1: not the official data")


def test_a_reranker_comes_first() -> None:
    hints = compared({"R1": 0.1, "S1": 0.0}, settings={**SETTINGS, "reranker": {"name": "o/r"}}).hints
    assert hints[0].startswith("first: the run re-ranks with a second model")


def test_fitted_tasks_alone_and_reranking_alone() -> None:
    assert "draw samples" in guesses(compared({"C1": 0.004, "C2": -0.01, "S1": 0.0}))
    assert "average precision" in guesses(compared({"K1": 0.004, "R1": 0.0, "S1": 0.0}, made_by="mteb 1.1.0"))
    assert "average precision" not in guesses(compared({"K1": 0.004, "R1": 0.0, "S1": 0.0}, made_by="mteb 2.1"))
    assert "average precision" not in guesses(compared({"K1": 0.004, "R1": 0.004, "S1": 0.0}, made_by="mteb 1.1.0"))


def test_tasks_of_images_that_are_fitted_are_told_from_those_that_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = {"P1": "ImageClassification", "P2": "ImageClustering", "P3": "MultilabelClassification", "P4": "Regression"}
    kinds |= {"Z1": "ZeroShotClassification", "V1": "VisualSTS(eng)"}

    for name, kind in kinds.items():
        monkeypatch.setitem(KINDS, name, kind)
    assert "draw samples" in guesses(compared({"P1": 0.004, "P2": -0.01, "P3": 0.004, "P4": 0.004, "V1": 0.0}))
    assert "draw samples" in guesses(compared({"P1": 0.004, "Z1": 0.0}))
    assert "draw samples" not in guesses(compared({"Z1": 0.004, "V1": 0.0}))


def test_no_pattern_is_said() -> None:
    assert guesses(compared({"S1": 0.03, "S2": 0.0, "R1": 0.0})).startswith("guess: no usual pattern")


def test_settings_that_the_record_lacks() -> None:
    assert "not in its record" in guesses(compared({"R1": -0.03, "S1": 0.0}, settings={}))


def test_the_table_its_lines_and_its_dictionary_whole() -> None:
    both = {"test": {"default": 0.505}, "dev": {"default": 0.1}}
    tasks = (
        task("S1", 0.5),
        task("S2", 0.49),
        task("S3", None, scores=both),
        task("R1", None, status="error", error="[red]no[/red] disk"),
        task("C1", 0.75),
    )
    result = verify(
        run_of(*tasks), against(dict.fromkeys(("S1", "S2", "S3", "R1", "R2"), 0.5), "mteb 1.1.0"), TABLE, near=0.006
    )
    table = render(result)
    assert table.title == "me/mine against the published scores of o/model"
    assert [(column.header, column.justify) for column in table.columns] == [
        *(("task", "left"), ("type", "left"), ("run", "right"), ("published", "right"), ("difference", "right")),
        *(("verdict", "left"), ("note", "left")),
    ]
    console = Console(file=io.StringIO(), width=160)
    console.print(table)
    assert isinstance(console.file, io.StringIO)
    rows = [line.split("│")[1:-1] for line in console.file.getvalue().splitlines() if line.startswith("│")]
    assert [[cell.strip() for cell in row] for row in rows] == [
        ["R1", "Retrieval", "", "50.000", "", "FAIL", "failed: [red]no[/red] disk"],
        ["R2", "Retrieval", "", "50.000", "", "missing", "not in the run"],
        ["S1", "STS", "50.000", "50.000", "+0.000", "OK", ""],
        ["S2", "STS", "49.000", "50.000", "-1.000", "FAIL", ""],
        ["S3", "STS", "50.500", "50.000", "+0.500", "near", "only test is published"],
        ["C1", "Classification", "75.000", "", "", "not judged", "no score is published"],
    ]
    styles = [str(cell) for cell in table.columns[5].cells]
    assert styles[0] == "[bold red]FAIL[/]"
    assert styles[1:3] == ["[bold red]missing[/]", "[green]OK[/]"]
    assert styles[4:] == ["[yellow]near[/]", "not judged"]
    assert remarks(result) == [
        "NOT reproduced: 1 OK, 1 near, 2 FAIL, 1 missing, 1 not judged (OK within 0.05 points, near within 0.6)",
        "published: a small table, revision abc, by mteb 1.1.0",
        _NONE,
    ]
    parts = ("task", "kind", "verdict", "ours", "published", "note", "difference", "metric")
    values = (
        ("R1", "Retrieval", "FAIL", None, 0.5, "failed: [red]no[/red] disk", None),
        ("R2", "Retrieval", "missing", None, 0.5, "not in the run", None),
        ("S1", "STS", "OK", 0.5, 0.5, "", 0.0),
        ("S2", "STS", "FAIL", 0.49, 0.5, "", -0.01),
        ("S3", "STS", "near", 0.505, 0.5, "only test is published", 0.005),
        ("C1", "Classification", "not judged", 0.75, None, "no score is published", None),
    )
    assert result.as_dict() == {
        "model": "me/mine",
        "against": "o/model",
        "published_revision": "abc",
        "source": "a small table",
        "tolerance": 0.0005,
        "near": 0.006,
        "passed": False,
        "counts": {"OK": 1, "near": 1, "FAIL": 2, "missing": 1, "not judged": 1},
        "tasks": [dict(zip(parts, (*its, ""), strict=True)) for its in values],
        "hints": [_NONE],
    }


def test_a_run_that_reproduces_says_so_and_what_it_does_not_know() -> None:
    scores = Published("o/model", "", "", {"S1": {"test": 0.5}})
    assert remarks(verify(run_of(task("S1", 0.5)), scores, TABLE)) == [
        "reproduced: 1 OK (OK within 0.05 points, near within 0.5)",
        "published: a small table, revision unknown",
    ]


_INSTRUCTION = (
    "guess: only retrieval and reranking are off: the query instruction may be another; "
    "the run's is query '为这个句子：', passage '' (--query-instruction)"
)
_FITTED = (
    "guess: only tasks that fit a probe or clusters are off, by little: they draw samples and fit, "
    "which versions of mteb and scikit-learn do not do alike"
)
_LITTLE = (
    "guess: nearly all tasks are off by a little: the length of texts or the precision may be another; the run's: "
    "query_max_length 512, passage_max_length 512, dtype 'fp16' (--max-length, --dtype)"
)
_FAR = (
    "guess: nearly all tasks are far off: the pooling, the normalisation or the weights may be others; the run's: "
    "pooling 'cls', normalize True (--pooling, --normalize, --revision)"
)
_DOUBT = "guess: mteb 1.2 made the published scores: it took the average precision in another way"
_NONE = "guess: no usual pattern; compare the settings in run.json with those that the model's card states"
_RERANKS = "first: the run re-ranks with a second model, which the published scores may not; evaluate without it"


@pytest.mark.parametrize(
    ("off", "hints"),
    [
        ({"R1": 0.006, "K1": -0.3, "S1": 0.0005}, [_INSTRUCTION]),
        ({"R1": 0.006, "K1": 0.0}, [_NONE]),  # nothing but ranking to tell it from
        ({"R1": 0.006, "S1": 0.006, "S2": 0.0}, [_NONE]),
        ({"C1": 0.02, "S1": 0.0}, [_FITTED]),  # the limit
        ({"C1": 0.0201, "S1": 0.0}, [_NONE]),
        ({"C1": -0.0201, "S1": 0.0}, [_NONE]),
        ({"C1": 0.01, "C2": 0.0}, [_NONE]),
        ({"C1": 0.01, "R1": 0.01, "S1": 0.0}, [_NONE]),
        ({"R1": 0.02, "S1": -0.02, "S2": 0.001, "C1": 0.001, "C2": 0.0}, [_LITTLE]),  # 4 of 5
        ({"R1": 0.02, "S1": -0.02, "S2": 0.001, "C1": 0.0, "C2": 0.0}, [_NONE]),  # 3 of 5
        ({"R1": 0.02, "S1": 0.02}, [_NONE]),  # two are not many
        ({"S1": 0.02, "S2": 0.02, "S3": 0.02}, [_NONE]),  # of one type
        ({"R1": 0.021, "S1": -0.02, "S2": 0.02}, [_NONE]),  # neither little nor far
        ({"R1": 0.0501, "S1": -0.0501, "S2": 0.001}, [_FAR]),
        ({"R1": 0.05, "S1": -0.05, "S2": 0.05}, [_NONE]),
        ({"R1": 0.3, "S1": 0.01, "S2": 0.01}, [_NONE]),  # half are beyond, and not one
        ({"K1": 0.01, "S1": 0.0}, [_INSTRUCTION, _DOUBT]),
        ({"K1": 0.0005, "S1": 0.0005}, []),
    ],
)
def test_a_guess_is_made_of_the_pattern_and_of_nothing_near_it(off: dict[str, float], hints: list[str]) -> None:
    assert list(compared(off, "mteb 1.2").hints) == hints


def test_what_comes_first_stands_before_the_guesses() -> None:
    verification = compared({"R1": 0.02, "S1": 0.0}, settings={**SETTINGS, "reranker": {"name": "o/r"}})
    assert list(verification.hints) == [_RERANKS, _INSTRUCTION]


@pytest.mark.parametrize(
    ("differences", "made_by", "before", "said"),
    [
        ({"S1": 0.02, "C1": 0.01}, "mteb 2.1", "query: ", True),
        ({"S1": 0.02, "C1": 0.01}, "mteb 2.1", "", False),
        ({"S1": 0.02, "C1": 0.01}, "mteb 1.12", "query: ", False),
        ({"S1": 0.02, "K1": 0.01}, "mteb 2.1", "query: ", False),
    ],
)
def test_an_instruction_before_texts_of_tasks_without_queries_is_a_cause(
    differences: dict[str, float], made_by: str, before: str, said: bool
) -> None:
    settings = {**SETTINGS, "instruction": {"query": "query: ", "passage": "passage: ", "symmetric": before}}
    hints = " ".join(compared(differences, made_by, settings=settings).hints)

    assert ("puts 'query: ' before their texts" in hints) is said


def test_a_success_does_not_outlive_a_later_failure() -> None:
    record = run_of(task("S1", 0.5, later_error="no memory"), task("S2", 0.5))
    found = verify(record, against({"S1": 0.5, "S2": 0.5}), TABLE)
    assert {each.task: each.verdict for each in found.tasks} == {"S1": "FAIL", "S2": "OK"}
    assert "failed when it was last evaluated: no memory" in found.tasks[0].note or "no memory" in found.tasks[1].note


POINT = {"model": {**SETTINGS["model"], "view": {"dims": 8, "vectors": "int8"}}}
MIXTURE = {"model": {**SETTINGS["model"], "mixture": [[0.5, "o/model@abc"], [0.5, "o/other@def"]]}}


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (POINT, "the first 8 numbers of each vector (--dims) and vectors of int8 values (--vectors)"),
        (MIXTURE, "weights that are a mixture of o/model and o/other"),
    ],
)
def test_a_point_and_a_mixture_reproduce_nothing(settings: dict[str, Any], words: str) -> None:
    """Also with the very scores that are published."""
    record = run_of(task("S1", 0.5, settings=settings), task("S2", 0.5))
    with pytest.raises(BadInput) as error:
        verify(record, against({"S1": 0.5, "S2": 0.5}), TABLE)
    assert str(error.value) == (
        f"this run has other settings than those of published scores: {words}; so it reproduces none: evaluate "
        "o/model without that, or see how far from them it is with flagbench check --baseline published:o/model"
    )
    assert verify(record, against({"S1": 0.5, "S2": 0.5}), TABLE, only=["S2"]).passed


def test_a_view_that_keeps_all_is_the_model_itself() -> None:
    whole = {"model": {**SETTINGS["model"], "view": {"dims": "full", "vectors": "fp32"}}}
    assert verify(run_of(task("S1", 0.5, settings=whole)), against({"S1": 0.5}), TABLE).passed


def test_mixed_queries_are_other_settings_where_there_are_queries() -> None:
    mixed = {"model": {**SETTINGS["model"], "query_mix": {"weights": [1.0]}}}
    assert verify(run_of(task("S1", 0.5, settings=mixed)), against({"S1": 0.5}), TABLE).passed
    with pytest.raises(BadInput, match=r"queries that are mixed \(--query-mix\)"):
        verify(run_of(task("R1", 0.5, settings=mixed)), against({"R1": 0.5}), TABLE)
