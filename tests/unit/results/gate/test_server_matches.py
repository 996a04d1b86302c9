"""The rule ``server-matches``: it passes with a report on this very checkpoint or server alone."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flagbench import BadInput
from flagbench.results.gate.judge import Verdict, judge
from flagbench.results.gate.outputs import to_markdown
from flagbench.results.gate.rules import read_rules
from flagbench.results.record import RunRecord
from flagbench.results.runs import Run, labelled
from flagbench.results.server_match import Cause, Group, Served, ServerMatch, read_match
from tests.unit.results.test_runs import made_task

SERVED = Served("http://h:1/v1", "openai", "m", "server")
LINE = "server: http://h:1/v1 (openai), model m there"
GOOD = ServerMatch(
    name="org/one",
    revision="r1",
    served=SERVED,
    measure="cosine",
    tolerance=1e-4,
    groups=(Group("short", 4, 0.99995, 1.0),),
    worst=0.99995,
    lengths_differ=False,
    same=True,
)


def run_of(model: str, spec: dict[str, Any], evidence: tuple[str, ...] = ()) -> Run:
    record = RunRecord("cmteb", model, spec["revision"], spec, evidence, {}, {"A": made_task("A", 0.5)[0]})
    return Run(Path("out"), record, model)


LOCAL = run_of("org/one", {"revision": "r1", "pooling": "cls", "dtype": "bf16"})
BEHIND = run_of(
    "api/m", {"revision": "server", "served": {"dimensions": 0}}, (f"{LINE}, weights in float16", "key: none")
)

NAMED = run_of("api/m", {"revision": "cls", "served": {"dimensions": 0}}, (LINE,))


def verdict(
    tmp_path: Path, matched: ServerMatch | None, candidate: Run = LOCAL, limit: float = 0.9999
) -> tuple[Verdict, str]:
    file = tmp_path / "gate.toml"
    file.write_text(f"[[rule]]\nserver-matches = {limit}\n")
    baseline = run_of("org/base", {"revision": "r0"})
    report = judge(read_rules(file), *labelled([baseline, candidate]), matched=matched)
    return report.verdicts[0], to_markdown(report)


def test_at_its_limit_it_passes_and_below_it_names_the_cause(tmp_path: Path) -> None:
    passed, shown = verdict(tmp_path, GOOD, limit=0.99995)
    assert passed.outcome == "pass"
    assert "0.999950" in shown
    broken = replace(GOOD, causes=(Cause("cut", "texts are cut at 90 tokens"),))
    failed, _ = verdict(tmp_path, broken, limit=0.99996)
    assert failed.outcome == "FAIL"
    assert failed.said.endswith("at least 0.99996 is required: texts are cut at 90 tokens")


def test_vectors_of_other_lengths_fail_whatever_their_cosine(tmp_path: Path) -> None:
    assert verdict(tmp_path, replace(GOOD, lengths_differ=True), limit=0.5)[0].outcome == "FAIL"


def test_a_server_that_gives_now_this_and_now_that_fails_whatever_came_first(tmp_path: Path) -> None:
    unusable = replace(GOOD, unusable=True, same=False, unexplained="its replies differ")
    assert verdict(tmp_path, unusable, limit=0.5)[0].said.endswith("its replies differ")
    assert verdict(tmp_path, unusable, limit=0.5)[0].outcome == "FAIL"


def test_what_was_not_compared_is_said_of_a_pass(tmp_path: Path) -> None:
    short = replace(GOOD, notes=("no text is longer than 40 tokens",), settings={"dtype": "fp32", "pooling": "cls"})
    found, _ = verdict(tmp_path, short)
    assert found.outcome == "pass"
    assert found.said.endswith("no text is longer than 40 tokens")


def test_a_reranker_is_judged_by_its_largest_difference(tmp_path: Path) -> None:
    scores = replace(GOOD, measure="score", groups=(Group("short", 4, 0.02, 0.001),), worst=0.02)
    assert verdict(tmp_path, scores, limit=0.98)[0].outcome == "pass"
    assert verdict(tmp_path, scores, limit=0.981)[0].outcome == "FAIL"


@pytest.mark.parametrize(
    ("matched", "candidate", "said"),
    [
        (None, LOCAL, "there is no report of flagbench match"),
        (replace(GOOD, revision="r2"), LOCAL, "of org/one at r2, and this run of r1"),
        (replace(GOOD, served=replace(SERVED, url="http://h:2/v1")), BEHIND, "m at http://h:2/v1, and this run of"),
        (replace(GOOD, served=replace(SERVED, model="n")), BEHIND, "of another server or model"),
        (replace(GOOD, served=replace(SERVED, url="http://h:1/v")), BEHIND, "of another server or model"),
        (
            replace(GOOD, served=replace(SERVED, revision="c0")),
            BEHIND,
            "of revision c0 on the server, and this run of server: run it again without --api-",
        ),
        (GOOD, NAMED, "of revision server on the server, and this run of cls: run it again with --api-revision cls"),
        (replace(GOOD, settings={"pooling": "mean"}), LOCAL, "(pooling 'mean' against 'cls')"),
        (replace(GOOD, asked={"dimensions": 64}), BEHIND, "(dimensions 64 against 0)"),
    ],
)
def test_without_a_report_on_this_very_one_nothing_is_known(
    tmp_path: Path, matched: ServerMatch | None, candidate: Run, said: str
) -> None:
    found, _ = verdict(tmp_path, matched, candidate, limit=0)
    assert found.outcome == "inconclusive"
    assert said in found.said


def test_a_run_of_the_served_model_is_known_by_its_server(tmp_path: Path) -> None:
    assert verdict(tmp_path, replace(GOOD, revision="any"), BEHIND)[0].outcome == "pass"


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"worst": 0.99999},
        {"worst": "1"},
        {"same": 1},
        {"groups": []},
        {"groups": [{"name": "short"}]},
        {"measure": "dot"},
        {"served": None},
        {"notes": [3]},
        {"causes": "none"},
        {"same": False},
        {"unusable": True},  # and the same
        {"tolerance": 2},
        {"tolerance": 1e-9},  # and the same
        {"settings": []},
        {"worst": 7.0, "groups": [{"name": "short", "count": 4, "worst": 7.0, "median": 7.0}]},
        {"groups": [{"name": "short", "count": 0, "worst": 0.99995, "median": 1.0}]},
        {"groups": [{"name": "short", "count": 4, "worst": 0.99995, "median": 0.9}]},
    ],
)
def test_a_report_that_is_damaged_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    file = tmp_path / "match.json"
    file.write_text(json.dumps(json.loads(GOOD.to_json()) | change))
    with pytest.raises(BadInput, match="flagbench match"):
        read_match(file)
    file.write_text(GOOD.to_json())
    assert read_match(file) == GOOD
