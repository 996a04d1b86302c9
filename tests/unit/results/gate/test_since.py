"""Rules that compare with a release: small drops add up, and what a release lacks never passes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flagbench import BadInput
from flagbench.results.gate.judge import Report, judge
from flagbench.results.gate.rules import Rules, read_rules
from flagbench.results.gate.since import judge_by_release
from flagbench.results.runs import find_run
from flagbench.results.values import Values
from tests.conftest import ROOT
from tests.e2e.commands import here, one_line
from tests.unit.results.test_runs import made_task, write_run

_BASELINE = '[[rule]]\ntasks = ["A"]\nmax-drop = 0.5\n'
_SINCE = '[[rule]]\nname = "trend"\nsince = "v1.0"\ntasks = ["A"]\nmax-drop = 1\n'
_OFFICIAL = {"status": "official", "differences": []}


@dataclass(frozen=True)
class Gate:
    """A folder with runs and rules, and the command over them."""

    root: Path

    def run(self, name: str, *tasks: Any) -> Path:
        return write_run(self.root / name, f"org/{name}", *tasks)

    def check(self, rules: str, baseline: Path, candidate: Path, *more: str | Path) -> tuple[int, dict[str, Any]]:
        """The exit code, and the report."""
        found = self.root / "found.json"
        result = here(*self.arguments(rules, baseline, candidate, *more, "--json", found, "--overwrite"))
        assert found.is_file(), result.stderr
        return result.returncode, json.loads(found.read_text(encoding="utf-8"))

    def arguments(self, rules: str, baseline: Path, candidate: Path, *more: str | Path) -> Sequence[str | Path]:
        file = self.root / "gate.toml"
        file.write_text(rules, encoding="utf-8")
        return ("check", "--baseline", baseline, "--candidate", candidate, "--rules", file, *more)


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    return Gate(tmp_path)


def by_subject(report: dict[str, Any]) -> dict[tuple[str, str], str]:
    return {(each["since"], each["subject"]): each["outcome"] for each in report["verdicts"]}


def test_small_drops_add_up(gate: Gate) -> None:
    """Each release is 0.4 points below the one before it: the first two steps pass, the third does not."""
    runs = [gate.run(f"r{at}", made_task("A", 0.6 - 0.004 * at)) for at in range(4)]
    release = f"v1.0={runs[0]}"
    for at, code in ((1, 0), (2, 0), (3, 1)):
        # The first step's baseline is the release itself.
        assert gate.check(_BASELINE + _SINCE, runs[at - 1], runs[at], "--release", release)[0] == code, at
    code, report = gate.check(_BASELINE + _SINCE, runs[2], runs[3], "--release", release)
    assert by_subject(report) == {("", "A"): "pass", ("v1.0", "A"): "FAIL"}
    (trend,) = [each for each in report["verdicts"] if each["since"]]
    assert (trend["rule"], trend["baseline"], trend["candidate"]) == ("trend", 0.6, pytest.approx(0.588))
    assert report["releases"]["v1.0"]["model"] == "org/r0"


def test_every_output_says_which_release(gate: Gate, tmp_path: Path) -> None:
    one, two, three = (gate.run(f"r{at}", made_task("A", 0.6 - 0.01 * at)) for at in range(3))
    files = [part for flag in ("--markdown", "--junit") for part in (flag, tmp_path / flag[2:])]
    arguments = gate.arguments(_BASELINE + _SINCE, two, three, "--release", f"v1.0={one}", *files, "--github")
    result = here(*arguments)
    assert result.returncode == 1
    annotations = [line for line in result.stdout.splitlines() if line.startswith("::error")]
    assert annotations[1].startswith("::error title=FAIL%3A A::trend, max-drop 1 since v1.0: ")
    assert f"release v1.0: org/r0 at v1, {one}" in result.stdout
    assert "| trend | max-drop 1 since v1.0 | 60.00 | 58.00 |" in (tmp_path / "markdown").read_text(encoding="utf-8")
    assert 'name="A: max-drop 1 since v1.0"' in (tmp_path / "junit").read_text(encoding="utf-8")


# The situation, its words in docs/ci.md, the release's tasks, the candidate's, the verdict.
_SITUATIONS = [
    (
        "the score is lower than the release's by what the rule allows",
        [("A", {"scores": 0.505})],
        [("A", {})],
        "pass",
        0,
    ),
    ("it is lower by more, and as high as the baseline's", [("A", {"scores": 0.9})], [("A", {})], "FAIL", 1),
    ("the release lacks the task", [("B", {})], [("A", {}), ("B", {})], "inconclusive", 2),
    ("the candidate lacks the task", [("A", {}), ("B", {})], [("B", {})], "inconclusive", 2),
    (
        "the release is over other data",
        [("A", {"data": {"status": "differs", "differences": ["rows: 12 instead of 100"]}})],
        [("A", {"data": _OFFICIAL})],
        "inconclusive",
        2,
    ),
    (
        "the task failed in the release",
        [("A", {"scores": None, "status": "error", "error": "no memory"})],
        [("A", {})],
        "inconclusive",
        2,
    ),
    ("the release and the candidate lack the task", [("B", {})], [("B", {})], "refused", 2),
]


@pytest.mark.parametrize(("words", "release", "candidate", "outcome", "code"), _SITUATIONS, ids=lambda it: str(it)[:40])
def test_situations(gate: Gate, words: str, release: list[Any], candidate: list[Any], outcome: str, code: int) -> None:
    """The rule on the baseline is of task C, which both have alike: the verdict is that of the rule on the release."""
    common = made_task("C", 0.5)
    old = gate.run("old", *(made_task(name, **its) for name, its in release), common)
    base = gate.run("base", *(made_task(name, **its) for name, its in candidate), common)
    new = gate.run("new", *(made_task(name, **its) for name, its in candidate), common)
    rules = _BASELINE.replace('"A"', '"C"') + _SINCE
    if outcome == "refused":
        said = one_line(here(*gate.arguments(rules, base, new, "--release", f"v1.0={old}")))
        assert "trend: unknown task 'A'" in said
        return
    found, report = gate.check(rules, base, new, "--release", f"v1.0={old}")
    assert (found, by_subject(report)) == (code, {("", "C"): "pass", ("v1.0", "A"): outcome})


def test_the_page_on_gates_has_this_table() -> None:
    lines = [f"| {words} | {outcome} | {code} |" for words, _, _, outcome, code in _SITUATIONS]
    page = (ROOT / "docs" / "ci.md").read_text(encoding="utf-8")
    assert "\n".join(lines) in page


def test_what_is_unknown_is_said_of_the_release(gate: Gate) -> None:
    base, new = (gate.run(name, made_task("A"), made_task("B")) for name in ("base", "new"))
    old = gate.run("old", made_task("B", 0.505))
    _, report = gate.check(_BASELINE + _SINCE, base, new, "--release", f"v1.0={old}")
    assert [each["said"] for each in report["verdicts"] if each["since"]] == ["the v1.0 release lacks A"]
    relative = _SINCE.replace("max-drop = 1", "max-relative-drop = 5").replace('"A"', '"B"')
    _, report = gate.check(_BASELINE + relative, base, new, "--release", f"v1.0={old}")
    assert "of the v1.0 release's score" in report["verdicts"][1]["said"]


def test_names_must_lead_somewhere(gate: Gate) -> None:
    old, base, new = (gate.run(name, made_task("A")) for name in ("old", "base", "new"))
    release = ("--release", f"v1.0={old}")
    for rules, more, said in (
        (_BASELINE + _SINCE, (), "trend compares with the release v1.0: name its run or saved baseline with --release"),
        (_BASELINE, release, 'compares with the release v1.0: add since = "v1.0" to a rule, or drop --release'),
        (_SINCE, release, "compares with --baseline, as each has since: add one that does"),
        (_BASELINE + _SINCE, (*release, *release), "--release names v1.0 twice"),
        (_BASELINE + _SINCE, ("--release", f"v1.0={new}"), "--release v1.0 and --candidate are the same run"),
        (_BASELINE + _SINCE, ("--release", f"v1.0={old}/gone"), "does not exist"),
        (_BASELINE + _SINCE, ("--release", str(old)), "expected NAME=PATH"),
        (_BASELINE + _SINCE, ("--release", "=x"), "expected NAME=PATH"),
    ):
        assert said in one_line(here(*gate.arguments(rules, base, new, *more))), said


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ('since = ""\nmax-drop = 1', "since must be the name of a release"),
        ("since = 1.0\nmax-drop = 1", "since must be the name of a release"),
        ('since = "v=1"\nmax-drop = 1', "since has 'v=1': the name of a release has no = and no blanks at its ends"),
        ('since = " v1"\nmax-drop = 1', "since has ' v1': the name"),
        ('since = "\\u202ev1"\nmax-drop = 1', "the name of a release has no ="),
        ('since = "v1"\nmin-score = 1', "since compares with a release, and min-score with nothing"),
        ('since = "v1"\nmax-drop = 1\nmax-unparseable = 1', "and max-unparseable with nothing"),
    ],
)
def test_rules_that_are_none(tmp_path: Path, rule: str, said: str) -> None:
    file = tmp_path / "gate.toml"
    file.write_text(f'[[rule]]\ntasks = ["A"]\n{rule}\n', encoding="utf-8")
    with pytest.raises(BadInput, match=said):
        read_rules(file)


def test_tests_against_two_runs_share_alpha(gate: Gate) -> None:
    """With p between half of alpha and alpha a drop is significant alone, and not beside tests of another run."""
    queries = 6  # all lower: the exact test's p is 2 / 64
    values = [{"ndcg_at_10": {f"q{at}": 0.5 - lower for at in range(queries)}} for lower in (0.0, 0.1)]
    old, base = (gate.run(name, made_task("A", 0.5, values=values[0])) for name in ("old", "base"))
    new = gate.run("new", made_task("A", 0.4, values=values[1]))
    test = _SINCE.replace("max-drop = 1", "no-significant-drop = true")
    code, report = gate.check(_BASELINE.replace("0.5", "50") + test, base, new, "--release", f"v1.0={old}")
    assert (code, report["method"]["tests"], report["method"]["alpha"]) == (1, 1, 0.05)
    both = '[[rule]]\ntasks = ["A"]\nno-significant-drop = true\n' + test
    code, report = gate.check(both, base, new, "--release", f"v1.0={old}")
    assert (code, report["method"]["tests"], report["method"]["alpha"]) == (2, 2, 0.05)
    assert {each["outcome"] for each in report["verdicts"]} == {"inconclusive"}  # no p could be below 0.025
    assert "alpha 0.05 is shared: the tests against each of 2 runs have 0.025" in report["notes"]


def test_false_alarms_over_baseline_and_release_are_at_most_alpha(gate: Gate) -> None:
    """Equal models against two runs: of 200 gates no more than chance explains fail (5% of them are 10)."""
    rng = np.random.default_rng(1)
    rules = '[[rule]]\ntasks = ["A"]\nno-significant-drop = true\n' + _SINCE.replace(
        "max-drop = 1", "no-significant-drop = true"
    )
    (gate.root / "gate.toml").write_text(rules, encoding="utf-8")
    one = find_run(gate.run("one", made_task("A", 0.5, values={"ndcg_at_10": {"q0": 0.5}})))

    def drawn() -> Any:
        numbers = rng.random(12)
        record = replace(one.record.tasks["A"], scores={"dev": {"default": float(numbers.mean())}})
        by_query = {f"q{at}": float(value) for at, value in enumerate(numbers)}
        values = Values("A", {"dev": {"default": {"ndcg_at_10": by_query}}})
        return replace(one, record=replace(one.record, tasks={"A": record}), kept={"A": values})

    failed = 0
    for _ in range(200):
        base, old, new = drawn(), drawn(), drawn()

        def part(rules: Rules, since: str, base: Any = base, old: Any = old, new: Any = new) -> Report:
            return judge(rules, old if since else base, new, since=since)

        failed += judge_by_release(read_rules(gate.root / "gate.toml"), part).exit_code == 1
    assert failed <= 14
