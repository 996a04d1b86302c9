"""Verdicts of a gate on runs made by hand: each check, inconclusive checks, and how often it is wrong."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flagbench import BadInput
from flagbench.cmteb.published.table import table
from flagbench.results.averages import Slice, weights
from flagbench.results.data_state import DataState
from flagbench.results.gate.judge import Report, Verdict, judge
from flagbench.results.gate.means import Means
from flagbench.results.gate.published import as_baseline
from flagbench.results.gate.rules import Rule, Rules, read_rules
from flagbench.results.record import RunRecord, TaskRecord
from flagbench.results.runs import Run, find_runs, labelled
from flagbench.results.values import Values
from tests.unit.results.test_runs import made_task, write_run

_MACHINE = {"processor": "p", "device": "cpu", "device_name": "p", "threads": 2}


def judged(tmp_path: Path, baseline: Run, candidate: Run, text: str) -> Report:
    file = tmp_path / "gate.toml"
    file.write_text(text, encoding="utf-8")
    return judge(read_rules(file), *labelled([baseline, candidate]))


def one(tmp_path: Path, check: str, baseline: Run, candidate: Run) -> Verdict:
    """The verdict of one check of task A."""
    (verdict,) = judged(tmp_path, baseline, candidate, f'[[rule]]\ntasks = ["A"]\n{check}\n').verdicts
    return verdict


def run_of(*tasks: Any, model: str = "org/one", environment: Any = _MACHINE) -> Run:
    """A run in memory, without values by query."""
    records: dict[str, TaskRecord] = {record.name: record for record, _ in tasks}
    return Run(Path("out"), RunRecord("cmteb", model, "r", {}, (), environment, records), model)


def with_values(tmp_path: Path, name: str, numbers: list[float], *others: Any) -> Run:
    values = {"ndcg_at_10": {f"q{number}": value for number, value in enumerate(numbers)}}
    task = made_task("A", sum(numbers) / len(numbers), values=values)
    (run,) = find_runs(write_run(tmp_path / name, f"org/{name}", task, *others))
    return run


# Each check, at its limit and beyond.


@pytest.mark.parametrize(
    ("check", "before", "after", "outcome"),
    [
        ("max-drop = 0.5", 0.5, 0.495, "pass"),  # 0.5 - 0.495 is a little more than 0.005 in floating point
        ("max-drop = 0.5", 0.5, 0.4949, "FAIL"),
        ("max-drop = 0", 0.5, 0.5, "pass"),
        ("max-drop = 0.5", 0.5, 0.9, "pass"),
        ("max-relative-drop = 10", 0.5, 0.45, "pass"),
        ("max-relative-drop = 10", 0.5, 0.449, "FAIL"),
        ("max-relative-drop = 10", 0.0, 0.5, "inconclusive"),
        ("max-relative-drop = 10", -0.1, 0.5, "inconclusive"),
        ("must-beat = true", 0.5, 0.501, "pass"),
        ("must-beat = true", 0.5, 0.5, "FAIL"),
        ("must-beat = true", 0.5, 0.5 + 1e-12, "FAIL"),
        ("min-score = 50", 0.9, 0.5, "pass"),
        ("min-score = 50", 0.1, 0.4999, "FAIL"),
        ("min-score = -5", 0.1, -0.02, "pass"),
        ("min-score = 29", 0.1, 0.29, "pass"),  # 100 * 0.29 is a little less than 29
        ("max-relative-drop = 10", 0.5, 0.9, "pass"),
        ("max-relative-drop = 5", 0.04, 0.038, "pass"),  # a little more than 5% in floating point
    ],
)
def test_scores(tmp_path: Path, check: str, before: float, after: float, outcome: str) -> None:
    verdict = one(tmp_path, check, run_of(made_task("A", before)), run_of(made_task("A", after)))
    assert verdict.outcome == outcome
    if outcome != "inconclusive":
        assert (verdict.candidate, verdict.unit) == (after, "score")
        assert verdict.baseline == (None if "min-score" in check else before)


@pytest.mark.parametrize(
    ("asked", "unparsed", "limit", "outcome"),
    [(200, 4, 2, "pass"), (200, 5, 2, "FAIL"), (200, 0, 0, "pass"), (25, 7, 28, "pass")],
)
def test_answers_that_name_no_option(tmp_path: Path, asked: int, unparsed: int, limit: int, outcome: str) -> None:
    run = run_of(made_task("A", 0.5, texts={"asked": asked, "answered": 0, "unparsed": unparsed}))
    verdict = one(tmp_path, f"max-unparseable = {limit}", run_of(made_task("A", 0.5)), run)
    assert (verdict.outcome, verdict.candidate, verdict.unit) == (outcome, unparsed / asked, "share of answers")


@pytest.mark.parametrize("texts", [{"asked": 9, "answered": 9}, {"asked": 0, "unparsed": 0}, {"unparsed": 0}])
def test_a_run_that_counts_no_unparseable_answers(tmp_path: Path, texts: dict[str, int]) -> None:
    run = run_of(made_task("A", 0.5, texts=texts))
    assert one(tmp_path, "max-unparseable = 5", run, run).outcome == "inconclusive"


def timed(seconds: float, encoded: int, task: str = "A", environment: Any = _MACHINE) -> Run:
    texts = {"asked": 100, "distinct": 100, "encoded": encoded}
    return run_of(made_task(task, 0.5, seconds={"encode": seconds}, texts=texts), environment=environment)


def test_time_per_text(tmp_path: Path) -> None:
    base = timed(2.0, 100)
    passes, fails = (one(tmp_path, "max-latency-ratio = 1.5", base, timed(seconds, 100)) for seconds in (3.0, 3.1))
    assert (passes.outcome, passes.baseline, passes.candidate) == ("pass", 0.02, 0.03)
    assert (fails.outcome, fails.unit) == ("FAIL", "seconds per text")
    assert "1.550 times" in fails.said


@pytest.mark.parametrize(
    ("baseline", "candidate", "said"),
    [
        (timed(2.0, 100), timed(2.0, 0), "0 texts were encoded against 100"),
        (timed(0.0, 0), timed(0.0, 0), "nothing was encoded"),
        (timed(0.0, 100), timed(1.0, 100), "100 texts in 0 s is no time"),
        (timed(1.0, 100), timed(0.0, 100), "100 texts in 0 s is no time"),
        (timed(1.0, 100), timed(-1.0, 100), "100 texts in -1 s is no time"),
        (timed(1.0, -5), timed(0.5, -5), "-5 texts in"),
        (timed(2.0, 0), timed(2.0, 100), "100 texts were encoded against 0"),
        (timed(2.0, 100, environment={}), timed(2.0, 100), "is not recorded"),
        *(
            (
                timed(2.0, 100),
                timed(2.0, 100, environment=_MACHINE | {part: "x"}),
                f"{part.replace('_', ' ')} x against",
            )
            for part in _MACHINE
        ),
        (timed(2.0, 100), timed(2.0, 100, environment=_MACHINE | {"device": "cuda:0"}), "device cuda:0 against cpu"),
        (timed(2.0, 100), timed(2.0, 100, environment={}), "is not recorded"),
        (timed(2.0, 100), run_of(made_task("A", 0.5)), "how many texts were encoded is not recorded"),
    ],
)
def test_times_that_do_not_compare(tmp_path: Path, baseline: Run, candidate: Run, said: str) -> None:
    verdict = one(tmp_path, "max-latency-ratio = 1.5", baseline, candidate)
    assert verdict.outcome == "inconclusive"
    assert said in verdict.said


def test_times_of_other_machines_where_the_rule_allows_it(tmp_path: Path) -> None:
    check = "max-latency-ratio = 1.5\nany-machine = true"
    assert one(tmp_path, check, timed(2.0, 100), timed(2.0, 100, environment={})).outcome == "pass"


def test_a_significant_drop(tmp_path: Path) -> None:
    base, worse = with_values(tmp_path, "base", [0.5] * 10), with_values(tmp_path, "worse", [0.4] * 10)
    found = one(tmp_path, "no-significant-drop = true", base, worse)
    assert (found.outcome, found.candidate) == ("FAIL", pytest.approx(0.4))
    assert found.said == "dropped 10 points; significant (p = 0.002)"  # 2 / 2^10: all differences point one way
    assert found.p == 2 / 2**10
    assert one(tmp_path, "no-significant-drop = true\nmin-effect = 11", base, worse).outcome == "pass"
    assert one(tmp_path, "no-significant-drop = true\nmin-effect = 10", base, worse).outcome == "FAIL"
    assert one(tmp_path, "no-significant-drop = true", worse, base).outcome == "pass"
    few = [with_values(tmp_path, f"few{value}", [value] * 4) for value in (0.5, 0.4)]
    found = one(tmp_path, "no-significant-drop = true", *few)  # 2 / 2^4
    assert found.outcome == "inconclusive"
    assert "a test over 4 items cannot give a p (Holm) below 0.1250" in found.said


@pytest.mark.parametrize(
    ("queries", "alpha", "outcome"),
    [
        (6, 0.03125, "FAIL"),  # p is 2 / 2^6: equal to the level
        (6, 0.03124, "inconclusive"),  # a test that could not fail
        (5, 0.05, "inconclusive"),
        (5, 0.1, "FAIL"),  # 2 / 2^5
        (10, 0.001, "inconclusive"),  # 2 / 2^10
        (17, 0.00004, "inconclusive"),  # drawn: 1 / 20,000
        (17, 0.00005, "FAIL"),
    ],
)
def test_a_drop_is_significant_at_the_level_of_the_rules(
    tmp_path: Path, queries: int, alpha: float, outcome: str
) -> None:
    runs = [with_values(tmp_path, name, [value] * queries) for name, value in (("base", 0.5), ("worse", 0.4))]
    rules = f'alpha = {alpha}\n[[rule]]\ntasks = ["A"]\nno-significant-drop = true\n'
    report = judged(tmp_path, runs[0], runs[1], rules)
    assert [verdict.outcome for verdict in report.verdicts] == [outcome]
    words = "; significant (p " if outcome == "FAIL" else f"significant is one of at most {alpha:g}"
    assert words in report.verdicts[0].said


def test_holm_is_over_the_tests_of_the_gate_alone(tmp_path: Path) -> None:
    """Seven queries give p = 2 / 2^7 = 0.0156 each: three tests are significant together, and four can never be."""
    values = [{"ndcg_at_10": {f"q{number}": value for number in range(7)}} for value in (0.5, 0.4)]
    runs = []
    for score, its in zip((0.5, 0.4), values, strict=True):
        tasks = [made_task(name, score, values=its) for name in "ABCD"]
        runs += find_runs(write_run(tmp_path / str(score), "org/m", *tasks))
    for tasks, outcome in (('"A"', "FAIL"), ('"A", "B", "C"', "FAIL"), ('"*"', "inconclusive")):
        rules = f'[[rule]]\ntasks = [{tasks}]\nno-significant-drop = true\n[[rule]]\ntasks = ["*"]\nmin-score = 1\n'
        report = judged(tmp_path, runs[0], runs[1], rules)
        assert {each.outcome for each in report.verdicts if each.check == "no-significant-drop"} == {outcome}
        assert report.too_few == (4 if outcome == "inconclusive" else 0)


def test_an_average_s_drop_is_tested_over_the_items_of_its_tasks(tmp_path: Path) -> None:
    """Two tasks of which neither has a test that could fail by itself: 4 items each have 2 / 2^4, 8 have 2 / 2^8."""
    runs = []
    for score in (0.5, 0.4):
        values = {"ndcg_at_10": {f"q{number}": score for number in range(4)}}
        tasks = [made_task(name, score, values=values) for name in "AB"]
        runs += find_runs(write_run(tmp_path / str(score), "org/m", *tasks))
    alone = '[[rule]]\naverages = ["average"]\nno-significant-drop = true\n'
    (verdict,) = judged(tmp_path, runs[0], runs[1], alone).verdicts
    assert (verdict.outcome, verdict.said) == ("FAIL", "dropped 10 points; significant (p = 0.008)")
    assert verdict.p == 2 / 2**8
    assert judged(tmp_path, runs[1], runs[0], alone).exit_code == 0
    both = judged(tmp_path, *runs, alone.replace("averages", 'tasks = ["A"]\naverages'))
    assert both.tests == 2  # and corrected together: 2 / 2^8, twice
    assert [(each.outcome, each.p) for each in both.verdicts] == [("inconclusive", None), ("FAIL", 2 * 2 / 2**8)]


def test_an_average_of_which_a_task_has_no_values_is_not_tested(tmp_path: Path) -> None:
    runs = []
    for score in (0.5, 0.4):
        values = {"ndcg_at_10": {f"q{number}": score for number in range(9)}}
        tasks = [made_task("A", score, values=values), made_task("B", score)]
        runs += find_runs(write_run(tmp_path / str(score), "org/m", *tasks))
    (verdict,) = judged(tmp_path, *runs, '[[rule]]\naverages = ["average"]\nno-significant-drop = true\n').verdicts
    assert verdict.outcome == "inconclusive"
    assert verdict.said.startswith("not tested: B: no values per item in ")


def test_the_seed_of_a_gate_draws_its_signs(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    runs = [with_values(tmp_path, name, rng.uniform(size=40).tolist()) for name in ("base", "other")]
    file = tmp_path / "gate.toml"
    file.write_text('[[rule]]\ntasks = ["A"]\nno-significant-drop = true\n', encoding="utf-8")
    reports = [judge(read_rules(file), *runs, seed=seed) for seed in (1, 1, 2, 3)]
    said = [report.verdicts[0].p for report in reports]
    assert said[0] == said[1]
    assert len(set(said)) == 3
    assert [report.seed for report in reports] == [1, 1, 2, 3]


def test_no_values_no_verdict_on_significance(tmp_path: Path) -> None:
    run = run_of(made_task("A", 0.5))
    verdict = one(tmp_path, "no-significant-drop = true", run, run)
    assert verdict.outcome == "inconclusive"
    assert "no values per item" in verdict.said


# Inconclusive checks.


@pytest.mark.parametrize(
    ("candidate", "said"),
    [
        (made_task("B"), "the candidate lacks A"),
        (made_task("A", None, status="error", error="no memory"), "A failed in the candidate: no memory"),
        (made_task("A", 0.9, status="partial", note="3 videos"), "over a part of its data in the candidate: 3 videos"),
        (made_task("A", None, note="no labels"), "A has no score in the candidate: no labels"),
    ],
)
@pytest.mark.parametrize(
    "check", ["max-drop = 200", "min-score = -100", "max-latency-ratio = 1000", "max-unparseable = 100"]
)
def test_a_task_that_is_missing_failed_or_partial_never_passes(
    tmp_path: Path, candidate: Any, said: str, check: str
) -> None:
    base = run_of(made_task("A"), made_task("B"))
    verdict = one(tmp_path, check, base, run_of(candidate, made_task("C")))
    assert verdict.outcome == "inconclusive"
    assert said in verdict.said


@pytest.mark.parametrize("check", ["max-drop = 200", "min-score = -100"])
def test_what_the_baseline_lacks_is_inconclusive(tmp_path: Path, check: str) -> None:
    base, run = run_of(made_task("B")), run_of(made_task("A"), made_task("B"))
    verdict = one(tmp_path, check, base, run)
    assert (verdict.outcome, verdict.said) == ("inconclusive", "the baseline lacks A")


@pytest.mark.parametrize(
    "changed",
    [
        {"of": {"dataset": "other/A"}},
        {"scores": {"test": {"default": 0.5}}},
        {"data": {"status": "differs", "differences": ["queries: 9 instead of 10"]}},
        {"sample": {"profile": "quick", "items": 10, "of": 100, "error": 0.1}},
    ],
)
def test_other_data(tmp_path: Path, changed: dict[str, Any]) -> None:
    base, run = run_of(made_task("A")), run_of(made_task("A", **changed))
    verdict = one(tmp_path, "max-drop = 200", base, run)
    assert (verdict.outcome, verdict.said.split(":")[0]) == ("inconclusive", "other data")
    assert one(tmp_path, "max-drop = 200", run, run).outcome == "pass"


def test_other_queries_are_other_data(tmp_path: Path) -> None:
    runs = [with_values(tmp_path, name, [0.5] * count) for name, count in (("one", 10), ("two", 11))]
    assert "10 queries against 11" in one(tmp_path, "no-significant-drop = true", *runs).said


def test_data_that_is_not_known_to_be_the_same_is_inconclusive(tmp_path: Path) -> None:
    tasks = [made_task("A", data={"status": "unknown", "differences": []}, of={}) for _ in range(2)]
    other = replace(tasks[1][0], settings=tasks[1][0].settings | {"data": {"source": "folder", "files": "f2"}})
    report = judged(tmp_path, run_of(tasks[0]), run_of((other, None)), '[[rule]]\ntasks = ["A"]\nmax-drop = 1\n')
    assert report.exit_code == 2
    assert "nothing recorded shows that both runs are over the same data" in report.verdicts[0].said
    assert "may be over different data" in report.notes[0]


@pytest.mark.parametrize(
    "data", [{}, {"status": None}, {"status": ""}, {"status": "Official"}, {"status": "fine"}, {"status": 1}], ids=str
)
@pytest.mark.parametrize("odd", [("baseline",), ("candidate",), ("baseline", "candidate")], ids="+".join)
@pytest.mark.parametrize("check", ["max-drop = 200", "min-score = 1", "must-beat = true"])
def test_data_of_a_status_that_is_none_is_inconclusive(
    tmp_path: Path, check: str, odd: tuple[str, ...], data: dict[str, Any]
) -> None:
    """Equal content, or equal files, make it no better: nobody wrote what was compared with what."""
    content = {"content": {"dev": {"rows": 9, "digest": "d" * 64}}}
    official = {"status": "official", "differences": []}
    runs = [
        run_of(made_task("A", score, data=(data if whose in odd else official) | content))
        for whose, score in (("baseline", 0.5), ("candidate", 0.6))
    ]
    verdict = one(tmp_path, check, *runs)
    said = f"A: the {odd[0]} does not record which data it is over; evaluate it again"
    assert (verdict.outcome, verdict.said) == ("inconclusive", said)
    if len(odd) == 2:  # of equal files, without their content
        verdict = one(tmp_path, check, *(run_of(made_task("A", score, data=data)) for score in (0.5, 0.6)))
        assert (verdict.outcome, verdict.said) == ("inconclusive", said)


@pytest.mark.parametrize("state", DataState)
def test_data_of_any_status_that_is_one_is_judged_over_equal_rows(tmp_path: Path, state: DataState) -> None:
    data = {"status": str(state), "differences": [], "content": {"dev": {"rows": 9, "digest": "d" * 64}}}
    runs = [run_of(made_task("A", score, data=data)) for score in (0.5, 0.6)]
    assert one(tmp_path, "must-beat = true", *runs).outcome == "pass"


# Exit codes.


def test_exit_codes(tmp_path: Path) -> None:
    base = run_of(made_task("A"), made_task("B"))
    rules = '[[rule]]\ntasks = ["A", "B"]\nmax-drop = 1\n'
    for tasks, code in (
        ((made_task("A"), made_task("B")), 0),
        ((made_task("A", 0.1), made_task("B")), 1),
        ((made_task("A"),), 2),
        ((made_task("A", 0.1),), 1),  # certain, whatever B is
    ):
        assert judged(tmp_path, base, run_of(*tasks), rules).exit_code == code


# What a rule is of.


def subjects(tmp_path: Path, selector: str, *, base: Run, run: Run, check: str = "max-drop = 200") -> dict[str, str]:
    report = judged(tmp_path, base, run, f"[[rule]]\n{selector}\n{check}\n")
    return {verdict.subject: verdict.outcome for verdict in report.verdicts}


def test_names_patterns_types_and_averages(tmp_path: Path) -> None:
    run = run_of(made_task("T2Retrieval"), made_task("T2[x]"), made_task("LCQMC", kind="STS"))
    both = {"base": run, "run": run}
    assert set(subjects(tmp_path, 'tasks = ["T2*"]', **both)) == {"T2Retrieval", "T2[x]"}
    assert set(subjects(tmp_path, 'tasks = ["T2[x]"]', **both)) == {"T2[x]"}
    assert set(subjects(tmp_path, 'types = ["ST?"]\ntasks = ["LCQMC", "T2R*"]', **both)) == {"LCQMC", "T2Retrieval"}
    assert set(subjects(tmp_path, 'averages = ["*"]', **both)) == {"Retrieval mean", "STS mean", "average"}


@pytest.mark.parametrize(
    ("selector", "said"),
    [
        ('tasks = ["A", "LCQMD"]', "rule 1: unknown task 'LCQMD'; did you mean LCQMC?"),
        ('tasks = ["X*"]', "unknown task 'X*'; known: A, LCQMC"),
        ('types = ["Retrieval", "Sts"]', "unknown type 'Sts'; did you mean STS?"),
        ('averages = ["Avg"]', "unknown average 'Avg'"),
    ],
)
def test_a_rule_of_nothing_that_is_known(tmp_path: Path, selector: str, said: str) -> None:
    run = run_of(made_task("A"), made_task("LCQMC", kind="STS"))
    with pytest.raises(BadInput) as error:
        subjects(tmp_path, selector, base=run, run=run)
    assert said in str(error.value)
    assert str(tmp_path / "gate.toml") in str(error.value)


@pytest.mark.parametrize("label", ["average", "*", "Mean"])
def test_average_with_the_name_of_a_task_is_refused(tmp_path: Path, label: str) -> None:
    """Else one of the two would be judged in the other's place: a data set may have any name."""
    run = run_of(made_task("average", 0.5), made_task("A", 0.5), made_task("Mean", 0.5))
    file = tmp_path / "gate.toml"
    file.write_text(f'[[rule]]\ntasks = ["average"]\naverages = ["{label}"]\nmax-drop = 1\n', encoding="utf-8")
    means = Means({"Mean": weights({"Mean": ("average", "A", "Mean")}, "Mean")})
    with pytest.raises(BadInput, match=f"{'average' if label == '*' else label} is an average and a task as well"):
        judge(read_rules(file), *labelled([run, run]), means=means)


def test_averages_by_hand(tmp_path: Path) -> None:
    base = run_of(made_task("A", 0.2), made_task("B", 0.4), made_task("C", 0.9, kind="STS"))
    run = run_of(made_task("A", 0.3), made_task("B", 0.1), made_task("C", 0.8, kind="STS"))
    rules = '[[rule]]\naverages = ["Retrieval mean", "average"]\nmax-drop = 10\n'
    mean, average = judged(tmp_path, base, run, rules).verdicts
    assert (mean.baseline, mean.candidate, mean.outcome) == (pytest.approx(0.3), pytest.approx(0.2), "pass")
    assert (average.baseline, average.candidate) == (pytest.approx(0.5), pytest.approx(0.4))
    short = run_of(made_task("A", 0.9), made_task("C", 0.9, kind="STS"))
    assert {each.outcome for each in judged(tmp_path, base, short, rules).verdicts} == {"inconclusive"}
    assert subjects(tmp_path, 'averages = ["average"]', base=base, run=short, check="min-score = 1") == {
        "average": "inconclusive"
    }


def test_an_average_of_the_benchmark_asks_for_all_of_its_tasks(tmp_path: Path) -> None:
    run = run_of(made_task("A", 0.2), made_task("B", 0.4), made_task("C", 0.9, kind="STS"))
    its = {"M-Avg": ["A", "B"], "Whole": ["A", "B", "Z"], "STS mean": ["A", "C"], "Mean (TaskType)": ["M-Avg", "C"]}
    means = Means({label: weights(its, label) for label in its})

    def judged(label: str, candidate: Run, check: str = "min-score = 1\nmax-drop = 1") -> list[Verdict]:
        file = tmp_path / "gate.toml"
        file.write_text(f'[[rule]]\naverages = ["{label}"]\n{check}\n', encoding="utf-8")
        return list(judge(read_rules(file), *labelled([run, candidate]), means=means).verdicts)

    for verdict in judged("M-Avg", run):
        assert (verdict.subject, verdict.kind, verdict.outcome) == ("M-Avg", "", "pass")
        assert verdict.candidate == pytest.approx(0.3)
    # The mean of a mean and a task: (0.3 + 0.9) / 2, where that of the three tasks is 0.5.
    drop, least = judged("Mean (TaskType)", run, "min-score = 60\nmax-drop = 1")
    assert (least.outcome, drop.outcome, drop.baseline) == ("pass", "pass", pytest.approx(0.6))
    assert [each.outcome for each in judged("Mean (TaskType)", run, "min-score = 60.1")] == ["FAIL"]
    assert [(each.outcome, each.said) for each in judged("Whole", run)] == [("inconclusive", "neither run has Z")] * 2
    short = run_of(made_task("A", 0.9), made_task("C", 0.9, kind="STS"))
    said = {each.said for each in judged("M-Avg", short) if each.outcome == "inconclusive"}
    assert said == {"the candidate lacks B"}
    # A mean over what both have, of the same name, is the gate's own; and patterns are of these alone.
    assert [each.candidate for each in judged("STS mean", run, "min-score = 1")] == [pytest.approx(0.9)]
    assert {each.subject for each in judged("*", run)} == {"Retrieval mean", "STS mean", "average"}


def test_an_average_over_parts_of_a_task_is_judged_by_these(tmp_path: Path) -> None:
    """A drop in the languages that do not count is none, and a published score over all of them shows nothing."""
    part = Slice("S", frozenset({("test", "en")}))
    means = Means({"Eng": weights({"Eng": [part, "A"]}, "Eng")})
    file = tmp_path / "gate.toml"
    file.write_text('[[rule]]\naverages = ["Eng"]\nmax-drop = 1\n', encoding="utf-8")

    def run(**scores: float) -> Run:
        return run_of(made_task("S", {"test": scores}), made_task("A", 0.4))

    base, of_all = run(en=0.8, de=0.9), run(all=0.9)
    for before, candidate, outcome, mean in (
        (base, run(en=0.79, de=0.1), "pass", 0.595),
        (base, run(en=0.7, de=0.9), "FAIL", 0.55),
        (of_all, of_all, "inconclusive", None),
    ):
        (verdict,) = judge(read_rules(file), *labelled([before, candidate]), means=means).verdicts
        assert (verdict.outcome, verdict.candidate) == (outcome, pytest.approx(mean) if mean else None)
    assert verdict.said == "there are no scores of S by subset, of which only some count"


def test_averages_sum_times_and_answers(tmp_path: Path) -> None:
    def run(seconds: float, unparsed: int) -> Run:
        counts = {name: {"asked": n, "answered": n, "unparsed": unparsed} for name, n in (("A", 10), ("B", 30))}
        return run_of(
            *(made_task(name, 0.5, seconds={"answer": seconds}, texts=texts) for name, texts in counts.items())
        )

    rules = '[[rule]]\naverages = ["average"]\nmax-latency-ratio = 2\nmax-unparseable = 5\n'
    answers, times = judged(tmp_path, run(1.0, 0), run(4.0, 1), rules).verdicts
    assert (answers.candidate, answers.outcome) == (2 / 40, "pass")
    assert (times.baseline, times.candidate, times.outcome) == (2 / 40, 8 / 40, "FAIL")


def test_tasks_without_a_score_are_judged_by_their_name_alone(tmp_path: Path) -> None:
    """Such as those of a test split whose labels are private."""
    run = run_of(made_task("A"), made_task("hidden", None))
    both = {"base": run, "run": run}
    assert subjects(tmp_path, 'tasks = ["*"]', **both) == {"A": "pass"}
    assert subjects(tmp_path, 'types = ["Retrieval"]', **both) == {"A": "pass"}
    assert subjects(tmp_path, 'averages = ["average"]', **both) == {"average": "pass"}
    assert subjects(tmp_path, 'tasks = ["hidden"]', **both) == {"hidden": "inconclusive"}
    with pytest.raises(BadInput, match="has a score"):
        subjects(tmp_path, 'tasks = ["hid*"]', **both)


@pytest.mark.parametrize(
    "missed",
    [
        {"scores": None, "status": "error", "error": "no memory"},
        {"scores": 0.5, "status": "partial"},
        {"scores": None, "status": "partial"},
    ],
)
@pytest.mark.parametrize(
    ("selector", "name"), [('tasks = ["*"]', "B"), ('types = ["STS"]', "B"), ('averages = ["average"]', "average")]
)
def test_a_task_that_failed_in_both_runs_is_not_passed_over(
    tmp_path: Path, missed: dict[str, Any], selector: str, name: str
) -> None:
    """It has a score to be had: nothing passes for want of it."""
    runs = [run_of(made_task("A"), made_task("B", kind="STS", **missed)) for _ in range(2)]
    assert subjects(tmp_path, selector, base=runs[0], run=runs[1])[name] == "inconclusive"


# Published scores.

_MODEL = "BAAI/bge-small-zh-v1.5"


def published_run(off: float = 0.0) -> Run:
    """A run that has the published score of every task, and another split where all but one are published."""
    tasks = []
    for name, by_split in table().of_model(_MODEL).scores.items():
        splits = {split: {"default": score + off} for split, score in by_split.items()}
        unpublished = {split: {"default": 0.1} for split in table().splits[name] if split not in by_split}
        tasks.append(made_task(name, splits | unpublished, kind=table().kinds[name]))
    return run_of(*tasks)


def against_published(tmp_path: Path, run: Run, text: str) -> Report:
    file = tmp_path / "gate.toml"
    file.write_text(text, encoding="utf-8")
    baseline, held = as_baseline(table().of_model(_MODEL), table(), run)
    return judge(read_rules(file), baseline, run, published_part=held)


def test_a_published_model_as_the_baseline(tmp_path: Path) -> None:
    rules = '[[rule]]\ntasks = ["*"]\naverages = ["average"]\nmax-drop = 0.5\n'
    same = against_published(tmp_path, published_run(), rules)
    assert (same.exit_code, len(same.verdicts)) == (0, 32)
    model = table().of_model(_MODEL)
    mean = sum(score for task in model.scores if (score := model.score(task))) / 31
    assert same.verdicts[-1].baseline == pytest.approx(mean)
    assert against_published(tmp_path, published_run(-0.006), rules).counts == {"FAIL": 32}


def test_a_gate_against_published_scores_says_that_the_run_is_a_point(tmp_path: Path) -> None:
    run = published_run()
    settings = {"model": {"mixture": [[0.5, "o/a@r"], [0.5, "o/b@r"]]}}
    tasks = {name: replace(its, settings={**its.settings, **settings}) for name, its in run.record.tasks.items()}
    point = replace(run, record=replace(run.record, tasks=tasks))
    rules = '[[rule]]\ntasks = ["*"]\nmax-drop = 0.5\n'
    note = "the candidate has other settings than those of published scores: weights that are a mixture of o/a and o/b"
    assert note in against_published(tmp_path, point, rules).notes
    assert note not in against_published(tmp_path, run, rules).notes


def test_what_published_scores_cannot_tell(tmp_path: Path) -> None:
    run = published_run()
    for check in ("no-significant-drop = true", "max-latency-ratio = 2\nany-machine = true"):
        report = against_published(tmp_path, run, f'[[rule]]\ntasks = ["LCQMC"]\n{check}\n')
        assert report.exit_code == 2
    tasks = dict(run.record.tasks)
    tasks["LCQMC"] = replace(tasks["LCQMC"], data={"status": "differs", "differences": ["rows: 9 instead of 10"]})
    other = replace(run, record=replace(run.record, tasks=tasks))
    report = against_published(tmp_path, other, '[[rule]]\ntasks = ["LCQMC"]\nmax-drop = 9\n')
    assert "other data" in report.verdicts[0].said
    del tasks["LCQMC"]
    short = replace(run, record=replace(run.record, tasks=tasks))
    report = against_published(tmp_path, short, '[[rule]]\ntypes = ["STS"]\nmax-drop = 9\n')
    assert {each.subject: each.said for each in report.verdicts if each.outcome != "pass"} == {
        "LCQMC": "the candidate lacks LCQMC"
    }


@pytest.mark.parametrize("accepted", [(), ("LCQMC",), ("LCQMC", "BQ"), ("LCQMC", "BQ", "ATEC")], ids=len)
@pytest.mark.parametrize(("allowed", "outcome"), [(9.0, "pass"), (0.5, "FAIL")])
def test_counts_that_were_accepted_of_some_tasks_are_said_of_each_average_with_one(
    tmp_path: Path, accepted: tuple[str, ...], allowed: float, outcome: str
) -> None:
    run = published_run(-0.02)
    counts = {"status": "counts agree", "differences": []}
    tasks = {name: replace(its, data=counts) if name in accepted else its for name, its in run.record.tasks.items()}
    run = replace(run, record=replace(run.record, tasks=tasks))
    baseline, part = as_baseline(table().of_model(_MODEL), table(), run, accept_counts=True)
    names = ["LCQMC", "BQ", "ATEC"]
    rules = Rules(
        tmp_path / "gate.toml",
        (Rule("rule 1", {"tasks": tuple(names), "averages": ("STS mean", "Retrieval mean")}, {"max-drop": allowed}),),
    )
    report = judge(rules, baseline, run, published_part=part)
    assert {each.outcome for each in report.verdicts} == {outcome}
    said = {
        each.subject: each.said.endswith("; only the counts agree with the official data") for each in report.verdicts
    }
    assert said == {name: name in accepted for name in names} | {
        "STS mean": bool(accepted),
        "Retrieval mean": False,
    }
    assert sorted(report.accepted) == sorted(accepted)


def test_a_task_is_compared_with_the_splits_that_are_published(tmp_path: Path) -> None:
    run = run_of(made_task("LCQMC", {"test": {"zh": 0.9, "en": 0.8}, "validation": {"zh": 0.1}}))
    report = against_published(tmp_path, run, '[[rule]]\ntasks = ["LCQMC"]\nmax-drop = 9\nmin-score = 50\n')
    drop, least = report.verdicts
    assert (drop.candidate, drop.baseline) == (pytest.approx(0.85), table().of_model(_MODEL).score("LCQMC"))
    assert least.candidate == pytest.approx(0.6)  # of the whole run, as its own table has it


# How often it is wrong.


def simulated(rng: np.random.Generator, tasks: str, queries: int, drop: float) -> list[Run]:
    """Two runs whose answers are right or wrong, each query as hard for one as for the other, but for the drop."""
    hardness = {name: rng.beta(2, 0.7, size=queries) for name in tasks}
    runs = []
    for fall in (0.0, drop):
        right = {name: (rng.random(queries) < its - fall).astype(float) for name, its in hardness.items()}
        values = {
            name: Values(name, {"dev": {"default": {"acc": dict(enumerate(map(float, its)))}}})  # type: ignore[dict-item]
            for name, its in right.items()
        }
        run = run_of(*(made_task(name, float(its.mean())) for name, its in right.items()))
        runs.append(replace(run, kept=values))
    return runs


_SIGNIFICANT = '[[rule]]\ntasks = ["*"]\nno-significant-drop = true\n'


def test_equal_models_seldom_fail(tmp_path: Path) -> None:
    """200 pairs of equal models on three tasks: at most 5% may fail in any of them."""
    rng = np.random.default_rng(7)
    codes = [judged(tmp_path, *simulated(rng, "ABC", 40, 0.0), _SIGNIFICANT).exit_code for _ in range(200)]
    assert set(codes) == {0, 1}
    assert codes.count(1) <= 10


@pytest.mark.slow
def test_a_drop_of_two_points_on_data_of_lcqmc_s_size_fails(tmp_path: Path) -> None:
    rng = np.random.default_rng(11)
    codes = [judged(tmp_path, *simulated(rng, "A", 12_500, 0.02), _SIGNIFICANT).exit_code for _ in range(40)]
    assert codes.count(1) >= 38
