"""The smallest drop that a gate sees: as often found as is said, and in the rules' own units."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.stats

from flagbench.results.gate.means import Means
from flagbench.results.gate.power import ALIKE, Sight, power, render, to_json
from flagbench.results.gate.rules import read_rules
from flagbench.results.runs import Run, find_runs
from flagbench.results.statistics import sign_flip_test
from flagbench.results.uncertainty import measured
from tests.unit.results.test_runs import made_task, write_run

_RNG = np.random.default_rng(5)
_BEFORE = _RNG.uniform(0.2, 0.8, size=400)
_AFTER = np.clip(_BEFORE + _RNG.normal(0, 0.1, size=400), 0, 1)


def _run(output: Path, **tasks: Any) -> Run:
    """A run whose tasks have values and intervals, as evaluate leaves it."""
    made = []
    for name, values in tasks.items():
        by_query = {"ndcg_at_10": {f"q{number}": float(value) for number, value in enumerate(values)}}
        made.append(made_task(name, float(np.mean(values)), values=by_query))
    (run,) = find_runs(write_run(output, "org/m", *made))
    records = {}
    for name, record in run.record.tasks.items():
        values_of = run.values(name)
        assert values_of is not None
        records[name] = replace(record, interval=measured(values_of, "ndcg_at_10", record.scores, "ndcg_at_10"))
    return replace(run, record=replace(run.record, tasks=records))


def _seen(tmp_path: Path, rules: str, *runs: Run, **more: Any) -> list[Sight]:
    file = tmp_path / "gate.toml"
    file.write_text(rules, encoding="utf-8")
    return power(read_rules(file), runs, Means(), more.pop("profiles", {}), **more)


_TEST = '[[rule]]\ntasks = ["A"]\nno-significant-drop = true\n'


def test_a_drop_of_that_size_is_found_in_four_of_five_cases(tmp_path: Path) -> None:
    (seen,) = _seen(tmp_path, _TEST, _run(tmp_path / "1", A=_BEFORE), _run(tmp_path / "2", A=_AFTER))
    spread = float((_AFTER - _BEFORE).std(ddof=1))
    assert seen.smallest is not None
    rng, found = np.random.default_rng(7), 0
    for _ in range(200):
        change = rng.normal(-seen.smallest / 100, spread, size=400)
        found += sign_flip_test(change, permutations=399).p <= 0.05 and change.mean() < 0
    assert found / 200 == pytest.approx(0.8, abs=3 * (0.8 * 0.2 / 200) ** 0.5)


def test_of_items_that_are_right_or_wrong_it_is_found_as_often(tmp_path: Path) -> None:
    """A score moves by steps, which a hundred items make large: exact, by the numbers of items that turn over."""
    items, rng = 100, np.random.default_rng(11)
    before = (rng.random(items) < 0.7).astype(float)
    after = np.where(rng.random(items) < 0.2, 1 - before, before)
    variance = float((after - before).var(ddof=1))
    rules = '[[rule]]\ntasks = ["A"]\nmax-drop = 2\nno-significant-drop = true\n'
    for seen in _seen(tmp_path, rules, _run(tmp_path / "1", A=before), _run(tmp_path / "2", A=after)):
        assert seen.smallest is not None
        drop = seen.smallest / 100
        both = variance + drop**2
        wrong, right, _ = rng.multinomial(items, [(both + drop) / 2, (both - drop) / 2, 1 - both], size=20_000).T
        p = 2 * scipy.stats.binom.cdf(np.minimum(wrong, right), wrong + right, 0.5)
        found = wrong - right > 2 if seen.check == "max-drop" else (p <= 0.05) & (wrong > right)
        assert found.mean() == pytest.approx(0.8, abs=0.03), seen.check
    (alone,) = _seen(tmp_path, '[[rule]]\ntasks = ["A"]\nmax-drop = 2\n', _run(tmp_path / "3", A=before))
    assert alone.smallest == pytest.approx(2.5 + scipy.stats.norm.ppf(0.8) * 100 * _alone(before), rel=1e-4)


def _alone(values: Any) -> float:
    """Standard error of a difference, of the half width of Wilson's interval of one run."""
    interval = scipy.stats.binomtest(int(values.sum()), len(values)).proportion_ci(method="wilson")
    return float((interval.high - interval.low) / 2 / scipy.stats.norm.ppf(0.975) * (2 * (1 - ALIKE)) ** 0.5)


def test_each_check_has_its_limit_and_unit(tmp_path: Path) -> None:
    runs = _run(tmp_path / "1", A=_BEFORE), _run(tmp_path / "2", A=_AFTER)
    error = 100 * float(scipy.stats.sem(_AFTER - _BEFORE))
    rules = '[[rule]]\ntasks = ["A"]\nmax-drop = 2\nmax-relative-drop = 3\nno-significant-drop = true\nmin-effect = 9\n'
    drop, relative, least = _seen(tmp_path, rules, *runs)
    z = scipy.stats.norm.ppf(0.8)
    assert (drop.smallest, drop.unit) == (pytest.approx(2 + z * error), "points")
    assert (relative.smallest, relative.unit) == (pytest.approx(3 + z * error / _BEFORE.mean()), "% of the score")
    assert least.smallest == pytest.approx(9 + z * error)  # what is significant and smaller would pass
    lines = ["max-drop 2", "max-relative-drop 3", "no-significant-drop (alpha 0.05, min-effect 9)"]
    assert [each.line for each in (drop, relative, least)] == lines
    (column,) = [its for its in render([drop], wanted=0.0, paired=True)[0].columns if its.header == "check"]
    assert list(map(str, column.cells)) == lines[:1]
    (kept, *_) = json.loads(to_json([least], wanted=0.0, paired=True))["checks"]
    assert (kept["limit"], kept["alpha"]) == (9, 0.05)


def test_one_run_has_the_spread_of_its_values_and_an_assumption(tmp_path: Path) -> None:
    (seen,) = _seen(tmp_path, _TEST, _run(tmp_path / "1", A=_BEFORE))
    error = 100 * float(scipy.stats.sem(_BEFORE)) * (2 * (1 - ALIKE)) ** 0.5
    expected = (scipy.stats.t.ppf(0.975, 399) + scipy.stats.norm.ppf(0.8)) * error
    assert seen.smallest == pytest.approx(expected, rel=1e-4)


def test_an_average_sees_smaller_drops_than_its_tasks_and_many_tests_see_larger_ones(tmp_path: Path) -> None:
    run = _run(tmp_path / "1", A=_BEFORE, B=_AFTER, C=_BEFORE[::-1])
    (alone,) = _seen(tmp_path, _TEST, run)
    rules = '[[rule]]\ntasks = ["*"]\naverages = ["average"]\nno-significant-drop = true\n'
    *tasks, mean = _seen(tmp_path, rules, run)
    assert (mean.subject, len(tasks)) == ("average", 3)
    assert None not in (alone.smallest, mean.smallest, tasks[0].smallest)
    assert mean.smallest < tasks[0].smallest * 0.7  # type: ignore[operator]
    assert alone.smallest < tasks[0].smallest  # type: ignore[operator]


def test_the_smallest_profile_that_would_do_is_named(tmp_path: Path) -> None:
    run, profiles = _run(tmp_path / "1", A=_BEFORE), {"smoke": {"A": 100}, "quick": {"A": 200}}
    (seen,) = _seen(tmp_path, _TEST, run)
    assert seen.smallest is not None
    half = seen.smallest * 2**0.5  # of half of the items
    for wanted, profile in ((3 * half, "smoke"), (1.02 * half, "quick"), (1.02 * seen.smallest, "full"), (0.1, "")):
        (found,) = _seen(tmp_path, _TEST, run, profiles=profiles, wanted=wanted)
        assert found.profile == profile


def test_what_is_not_known_is_said(tmp_path: Path) -> None:
    relative = '[[rule]]\ntasks = ["A"]\nmax-relative-drop = 3\n'
    runs = _run(tmp_path / "5", A=np.zeros(50)), _run(tmp_path / "6", A=np.eye(1, 50)[0])
    (nothing,) = _seen(tmp_path, relative, *runs)
    assert (nothing.smallest, nothing.why) == (None, "the baseline's score is 0.00, of which no drop is a share")
    (alike,) = _seen(tmp_path, _TEST, _run(tmp_path / "7", A=_BEFORE), _run(tmp_path / "8", A=_BEFORE))
    assert (alike.smallest, alike.why[:43]) == (None, "the two runs have the same value for each i")
    (few,) = _seen(tmp_path, _TEST, _run(tmp_path / "1", A=_BEFORE[:4]))
    assert few.line == "no-significant-drop (alpha 0.05)"
    assert (few.smallest, few.why) == (None, "a test over 4 items can never fail at this level")
    (old,) = find_runs(write_run(tmp_path / "2", "org/m", made_task("A", 0.5)))
    seen = _seen(tmp_path, _TEST, old)
    assert seen[0].why == "the baseline keeps no values of its items"
    table, lines = render(seen, wanted=1.0, paired=False)
    assert table.row_count == 1
    assert lines[-1] == "not known, the baseline keeps no values of its items: A"
    assert json.loads(to_json(seen, wanted=1.0, paired=False))["checks"][0]["smallest"] is None
