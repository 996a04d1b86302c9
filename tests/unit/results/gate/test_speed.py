"""Rules on what flagbench speed measured: limits, machines, and what is inconclusive."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flagbench import BadInput
from flagbench.results.gate.judge import Report, judge
from flagbench.results.gate.outputs import to_json, to_markdown
from flagbench.results.gate.rules import read_rules
from flagbench.results.runs import find_run, labelled
from flagbench.results.speed import Memory, Speed
from tests.unit.results.speeds import MACHINE, level, put, speed, texts
from tests.unit.results.test_runs import made_task, write_run

_OTHER = MACHINE | {"processor": "another"}


def judged(tmp_path: Path, rule: str, before: Speed | None, after: Speed | None) -> Report:
    runs = []
    for name, found in (("before", before), ("after", after)):
        run = find_run(write_run(tmp_path / name, "org/one", made_task("A", 0.5)))
        run = replace(run, record=replace(run.record, environment=MACHINE, spec={"passage_max_length": 512}))
        if found is not None:
            put(run.folder, replace(found, revision=run.record.revision))
        runs.append(run)
    (tmp_path / "gate.toml").write_text(f"[[rule]]\n{rule}\n", encoding="utf-8")
    return judge(read_rules(tmp_path / "gate.toml"), *labelled(runs))


# The p99 of a level is 20 ms, from 18 to 22; its tokens are 1,000 a second, from 900 to 1,100.


@pytest.mark.parametrize(
    ("rule", "outcome"),
    [
        ("max-latency-p99 = 22.5", "pass"),
        ("max-latency-p99 = 17.5", "FAIL"),
        ("max-latency-p99 = 21", "inconclusive"),
        ("max-latency-p99 = 22.5\nconcurrency = 1", "pass"),
        ("max-latency-p99 = 22.5\nconcurrency = 8", "FAIL"),
        ("max-latency-p99 = 99\nconcurrency = 4", "inconclusive"),
        ("min-tokens-per-second = 2600", "pass"),
        ("min-tokens-per-second = 2700", "pass"),
        ("min-tokens-per-second = 3400", "FAIL"),
        ("min-tokens-per-second = 3000", "inconclusive"),
        ("max-peak-memory = 500", "pass"),
        ("max-peak-memory = 499", "FAIL"),
    ],
)
def test_a_figure_is_held_against_its_limit_with_its_interval(tmp_path: Path, rule: str, outcome: str) -> None:
    found = speed(level(1), level(8, p99=0.05, tokens=3_000.0))
    report = judged(tmp_path, rule, speed(), found)
    assert [(each.subject, each.outcome) for each in report.verdicts] == [("speed", outcome)]
    assert report.exit_code == {"pass": 0, "FAIL": 1, "inconclusive": 2}[outcome]
    assert report.verdicts[0].said in to_json(report)
    assert report.verdicts[0].check in to_markdown(report)


@pytest.mark.parametrize(
    ("before", "after", "any_machine", "said"),
    [
        (speed(), None, "", "the candidate has no speed.json: measure org/one with flagbench speed"),
        (None, speed(), "", None),
        (None, speed(environment=_OTHER), "", "processor another against p"),
        (
            None,
            speed(spec={"passage_max_length": 8}),
            "",
            "of other settings than the candidate's (passage max length 8",
        ),
        (None, speed(environment=_OTHER), "any-machine = true", None),
        (speed(environment=_OTHER), speed(), "", "processor p against another"),
        (speed(environment=_OTHER), speed(environment=_OTHER), "", None),
        (speed(), speed(environment={}), "", "where the two runs were made is not recorded"),
        (speed(), speed(level(failed=3, failure="no")), "", "3 requests of the measurement failed"),
        (speed(), speed(level(requests=99)), "", "99 requests at concurrency 1 are too few for a p99"),
        (
            speed(),
            speed(level(rate=5.0), loop="open"),
            "",
            "nothing was measured at concurrency 1, but an open loop: measure it",
        ),
        (speed(), speed(level(4), level(9)), "", "at concurrency 1, but at 4, 9: measure it with flagbench speed --"),
    ],
)
def test_what_is_not_known_is_inconclusive(
    tmp_path: Path, before: Speed | None, after: Speed | None, any_machine: str, said: str | None
) -> None:
    (verdict,) = judged(tmp_path, f"max-latency-p99 = 100\n{any_machine}", before, after).verdicts
    assert verdict.outcome == ("inconclusive" if said else "pass")
    assert said is None or said in verdict.said


@pytest.mark.parametrize(
    ("rule", "after", "said"),
    [
        ("min-tokens-per-second = 1", {"texts": texts(unit="characters")}, "characters were counted and no tokens"),
        ("max-peak-memory = 9999", {"memory": Memory(None, None)}, "it runs on a server"),
    ],
)
def test_what_was_not_measured_is_inconclusive(tmp_path: Path, rule: str, after: dict[str, Any], said: str) -> None:
    (verdict,) = judged(tmp_path, rule, speed(), speed(**after)).verdicts
    assert verdict.outcome == "inconclusive"
    assert said in verdict.said


URL = "http://h:1/v1"


@pytest.mark.parametrize(
    ("measured", "evidence", "said"),
    [
        ({"served": True, "url": URL}, (f"server: {URL} (openai), model m there, weights in fp16",), None),
        (
            {"served": True, "url": URL},
            (f"server: {URL}/v1 (openai), model m there",),
            "the server at http://h:1/v1, and",
        ),
        ({"served": True, "url": f"{URL}/v1"}, (f"server: {URL} (openai), model m there",), "the candidate of another"),
        ({"served": True}, (f"server: {URL} (openai), model m there",), "does not say of which server it is"),
        ({"served": False}, (f"server: {URL} (openai), model m there",), "a model on this machine, and the candidate"),
        ({"served": True, "url": URL}, (), "a model behind a server, and the candidate ran on this machine"),
    ],
)
def test_what_was_measured_of_another_server_is_inconclusive(
    tmp_path: Path, measured: dict[str, Any], evidence: tuple[str, ...], said: str | None
) -> None:
    run = find_run(write_run(tmp_path / "run", "org/one", made_task("A", 0.5)))
    spec = {"served": {"interface": "openai"}} if evidence else {}
    run = replace(run, record=replace(run.record, environment=MACHINE, spec=spec, evidence=evidence))
    put(run.folder, speed(revision=run.record.revision, **measured))
    (tmp_path / "gate.toml").write_text("[[rule]]\nmax-latency-p99 = 99\n", encoding="utf-8")
    (verdict,) = judge(read_rules(tmp_path / "gate.toml"), *labelled([run, run])).verdicts
    assert verdict.outcome == ("inconclusive" if said else "pass")
    assert said is None or said in verdict.said


def test_the_figure_of_the_baseline_stands_beside(tmp_path: Path) -> None:
    (verdict,) = judged(tmp_path, "max-latency-p99 = 99", speed(level(p99=0.01)), speed()).verdicts
    assert (verdict.baseline, verdict.candidate, verdict.unit) == (0.01, 0.02, "seconds")


def test_a_damaged_file_is_bad_input(tmp_path: Path) -> None:
    judged(tmp_path, "max-latency-p99 = 99", speed(), speed())
    file = next((tmp_path / "after").rglob("speed.json"))
    file.write_text("[]", encoding="utf-8")
    runs = [find_run(tmp_path / name) for name in ("before", "after")]
    with pytest.raises(BadInput, match=r"speed\.json cannot be read"):
        judge(read_rules(tmp_path / "gate.toml"), *labelled(runs))


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ('tasks = ["A"]\nmax-latency-p99 = 9', "max-latency-p99 applies to the model: give it a rule without tasks"),
        ("max-peak-memory = 9\nmax-drop = 1", "max-peak-memory applies to the model"),
        ("max-latency-p99 = 9\nconcurrency = 1.5", "concurrency must be a whole number"),
        ("max-peak-memory = 9\nconcurrency = 1", "concurrency belongs to max-latency-p99"),
        ("max-latency-p99 = 0", r"max-latency-p99 must be a number from 0.001 to 1e\+09 \(milliseconds of a request\)"),
    ],
)
def test_rules_that_make_no_sense_are_refused(tmp_path: Path, rule: str, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        judged(tmp_path, rule, speed(), speed())
