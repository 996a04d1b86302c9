"""Each line that a verdict gives for its reason, and each line that refuses a file of rules, word by word."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flagbench import BadInput
from flagbench.results.gate.judge import judge
from flagbench.results.gate.rules import read_rules
from flagbench.results.runs import Run, labelled
from tests.unit.results.gate.test_gate import judged, one, run_of, timed, with_values
from tests.unit.results.test_runs import made_task


def _answers(**texts: int) -> Run:
    return run_of(made_task("A", 0.5, texts=texts))


def _of(score: float | None, **fields: Any) -> Run:
    return run_of(made_task("A", score, **fields))


_ELSEWHERE = {"processor": "p", "device": "cpu", "device_name": "q", "threads": 2}

VERDICTS: list[tuple[str, Run, Run, str, str]] = [
    ("max-drop = 0.25", _of(0.5), _of(0.75), "pass", "rose 25 points; a drop of 0.25 is allowed"),
    ("max-drop = 1", _of(0.5), _of(0.48999), "FAIL", "dropped 1.001 points; 1 is allowed"),
    ("max-drop = 1", _of(0.5), _of(0.5 - 1e-9), "pass", "unchanged; a drop of 1 is allowed"),
    ("max-relative-drop = 10", _of(0.5), _of(0.4), "FAIL",
     "dropped 20% of the baseline's score; 10% is allowed"),
    ("max-relative-drop = 2.5", _of(0.4), _of(0.5), "pass",
     "rose 25% of the baseline's score; a drop of 2.5% is allowed"),
    ("max-relative-drop = 1", _of(0.0), _of(0.5), "inconclusive",
     "the baseline's score is 0.00: a relative drop is not defined"),
    ("must-beat = true", _of(0.5), _of(0.625), "pass", "rose 12.5 points"),
    ("must-beat = true", _of(0.5), _of(0.25), "FAIL", "dropped 25 points; it must rise"),
    ("min-score = 60.5", _of(0.1), _of(0.5), "FAIL", "50.00; at least 60.5 is required"),
    ("min-score = 1", _of(0.1), _of(0.123456), "pass", "12.35; at least 1 is required"),
    ("max-unparseable = 2.5", _of(0.5), _answers(asked=20_000, unparsed=1_234), "FAIL",
     "1,234 of 20,000 answers name no option (6.17%); 2.5% is allowed"),
    ("max-unparseable = 2.5", _of(0.5), _answers(asked=20_000), "inconclusive",
     "A: the run keeps no count of answers that name no option"),
    ("max-unparseable = 2.5", _of(0.5), _answers(asked=0, unparsed=0), "inconclusive",
     "A: the run keeps no count of answers that name no option"),
    ("max-unparseable = 100", _of(0.5), _answers(asked=1_000, unparsed=1_001), "inconclusive",
     "A: 1,001 of 1,000 answers is no count"),
    ("max-unparseable = 100", _of(0.5), _answers(asked=1_000, unparsed=1_000), "pass",
     "1,000 of 1,000 answers name no option (100.00%); 100% is allowed"),
    ("max-unparseable = 100", _of(0.5), _answers(asked=1_000, unparsed=-1), "inconclusive",
     "A: -1 of 1,000 answers is no count"),
    ("max-latency-ratio = 1.25", timed(2.0, 100), timed(2.5, 100), "pass",
     "1.250 times the baseline's time per text; 1.25 is allowed"),
    ("max-latency-ratio = 1.25", timed(2.0, 100), timed(2.502, 100), "FAIL",
     "1.251 times the baseline's time per text; 1.25 is allowed"),
    ("max-latency-ratio = 2", timed(2.0, 10_000), timed(2.0, 0), "inconclusive",
     "A: 0 texts were encoded against 10,000, the others were cached: evaluate both with --no-store"),
    ("max-latency-ratio = 2", timed(0.0, 0), timed(0.0, 0), "inconclusive",
     "nothing was encoded, all was cached: evaluate both with --no-store"),
    ("max-latency-ratio = 2", timed(2.0, 1_000), timed(0.0, 1_000), "inconclusive",
     "A: 1,000 texts in 0 s is no time: evaluate it again"),
    ("max-latency-ratio = 2", timed(2.0, 100), _of(0.5), "inconclusive",
     "A: how many texts were encoded is not recorded"),
    ("max-latency-ratio = 2", timed(2.0, 100), timed(2.0, 100, environment=_ELSEWHERE), "inconclusive",
     "device name q against p: any-machine = true compares times all the same"),
    ("max-latency-ratio = 2", timed(2.0, 100), timed(2.0, 100, environment={"device": "cpu"}), "inconclusive",
     "where the two runs were made is not recorded: any-machine = true compares them all the same"),
    ("no-significant-drop = true", _of(0.5), _of(0.5), "inconclusive",
     "not tested: no values per item in org/one (out) and org/one (out)"),
    ("max-drop = 1", _of(0.5), _of(0.5, later_error="no disk"), "inconclusive",
     "A failed when the candidate was last evaluated, and its score is older: no disk"),
    ("max-drop = 1", _of(0.5), _of(0.5, of={"main_score": "map"}), "inconclusive",
     "other data: org/one (out) and org/one (out) differ in A: main score ndcg_at_10 against map"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("check", "baseline", "candidate", "outcome", "said"),
    VERDICTS,
    ids=[f"{check}: {said[:30]}" for check, *_, said in VERDICTS],
)
def test_a_verdict_says_why(tmp_path: Path, check: str, baseline: Run, candidate: Run, outcome: str, said: str) -> None:
    verdict = one(tmp_path, check, baseline, candidate)
    assert (verdict.outcome, verdict.said) == (outcome, said)


def test_a_test_says_what_would_be_significant_and_which_drops_are_too_small(tmp_path: Path) -> None:
    base, worse = with_values(tmp_path, "base", [0.5] * 10), with_values(tmp_path, "worse", [0.4] * 10)
    said = "dropped 10 points; significant (p = 0.002)"
    assert one(tmp_path, "no-significant-drop = true", base, worse).said == said
    small = one(tmp_path, "no-significant-drop = true\nmin-effect = 10.5", base, worse)
    assert (small.outcome, small.said) == ("pass", f"{said}, and a drop of 10.5 points or more would fail")
    few = [with_values(tmp_path, f"few{value}", [value] * 4) for value in (0.5, 0.4)]
    assert one(tmp_path, "no-significant-drop = true", *few).said == (
        "too few items to judge: a test over 4 items cannot give a p (Holm) below 0.1250, and significant is "
        "one of at most 0.05"
    )


def test_answers_come_after_texts_where_a_task_has_both(tmp_path: Path) -> None:
    """A video model answers, an embedding model encodes: what was timed is the first that is recorded whole."""
    both = {"seconds": {"encode": 1.0, "answer": 9.0}, "texts": {"encoded": 10, "answered": 3}}
    lone = {"seconds": {"encode": 1.0, "answer": 9.0}, "texts": {"answered": 3}}
    for fields, pace in ((both, 0.1), (lone, 3.0)):
        verdict = one(tmp_path, "max-latency-ratio = 2", _of(0.5, **fields), _of(0.5, **fields))
        assert (verdict.candidate, verdict.baseline, verdict.unit) == (pace, pace, "seconds per text")


def test_notes_are_said_once_with_the_tasks_that_they_are_of(tmp_path: Path) -> None:
    unknown = {"status": "unknown"}
    runs = [run_of(*(made_task(name, 0.5, data=unknown) for name in "ABCDEFG"), made_task("H")) for _ in range(2)]
    rules = '[[rule]]\ntasks = ["*"]\nmax-drop = 1\n[[rule]]\ntasks = ["A"]\nmin-score = 1\n'
    report = judged(tmp_path, *runs, rules)
    assert report.notes == ("not known to be the official data: A, B, C, D, E and 2 more",)


_RULE = '[[rule]]\ntasks = ["A"]\n'
_CHECKS = (
    "max-drop, max-relative-drop, no-significant-drop, must-beat, min-score, max-unparseable, max-latency-ratio, "
    "max-latency-p99, min-tokens-per-second, max-peak-memory, server-matches"
)

REFUSED: list[tuple[str, str]] = [
    ("", "there is no [[rule]]"),
    ("[rule]\nmax-drop = 1\n", "rules are tables of their own, [[rule]] with two brackets"),
    ("defaults = 1\n", "defaults must be a table, [defaults]"),
    ("[defaults]\nmax-drop = 1\n",
     "[defaults]: unknown key 'max-drop'; known: any-machine, concurrency, min-effect; docs/ci.md lists them"),
    ("[defaults]\nany-machine = 1\n", "[defaults]: any-machine must be true or false"),
    ('[defaults]\nmin-effect = "1"\n',
     "[defaults]: min-effect must be a number from 0 to 200 (points of the score in percent), not '1'"),
    ("[[rule]]\nname = 1\n", "rule 1: name must be a text in quotes"),
    ("[[rule]]\nmax-drop = 1\n", "rule 1: it selects nothing: add tasks, types or averages"),
    ('[[rule]]\nname = "n"\nmax-drop = 1\n', "rule 1 (n): it selects nothing: add tasks, types or averages"),
    (_RULE, f"rule 1: it has no check: add one or more of {_CHECKS}"),
    ("[[rule]]\ntypes = []\nmax-drop = 1\n", 'rule 1: types must be a list of names, such as types = ["…"]'),
    (f"{_RULE}must-beat = 1\n", "rule 1: must-beat can only be true; leave it out to turn it off"),
    (f"{_RULE}no-significant-drop = false\n",
     "rule 1: no-significant-drop can only be true; leave it out to turn it off"),
    (f"{_RULE}min-score = 1\nmin-effect = 1\n",
     "rule 1: min-effect belongs to no-significant-drop, which this rule does not have"),
    (f"{_RULE}min-score = 1\nany-machine = true\n",
     "rule 1: any-machine belongs to max-latency-ratio, max-latency-p99, min-tokens-per-second, max-peak-memory, "
     "which this rule does not have"),
    ("alpha = 0.6\n" + _RULE, "alpha must be a number from 1e-06 to 0.5 (the chance of a false alarm), not 0.6"),
    ("x = 1\n", "unknown key 'x'; known: alpha, defaults, rule; docs/ci.md lists them"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "said"), REFUSED, ids=[said[:40] for _, said in REFUSED])
def test_a_file_of_rules_is_refused_with_what_to_change(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "gate.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(BadInput) as error:
        read_rules(file)
    assert str(error.value) == f"{file}: {said}"


def test_defaults_are_of_rules_that_have_the_check(tmp_path: Path) -> None:
    file = tmp_path / "gate.toml"
    defaults = "[defaults]\nmin-effect = 0.5\nany-machine = true\n"
    file.write_text(f"{defaults}{_RULE}no-significant-drop = true\nmin-effect = 2\n{_RULE}min-score = 1\n", "utf-8")
    first, second = read_rules(file).rules
    assert (first.min_effect, first.any_machine) == (2.0, True)
    assert (second.min_effect, second.checks) == (0.5, {"min-score": 1.0})


def test_what_else_is_known_of_a_task_is_a_note_where_it_is_judged(tmp_path: Path) -> None:
    """It moves no verdict."""
    file = tmp_path / "gate.toml"
    file.write_text('[[rule]]\ntasks = ["A"]\nmax-drop = 1\n', encoding="utf-8")
    runs = [run_of(made_task("A", 0.5), made_task("B", 0.5)) for _ in range(2)]
    found = judge(read_rules(file), *labelled(runs), known={"A": "said", "B": "not judged"})
    assert found.notes == ("said: A",)
    assert [each.outcome for each in found.verdicts] == ["pass"]
