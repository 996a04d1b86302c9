"""The four states of data, in one wording; and which runs are over the same data."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from flagbench.cmteb.published.table import table
from flagbench.results.data_state import DataState
from flagbench.results.gate.judge import judge
from flagbench.results.gate.outputs import headline
from flagbench.results.gate.published import as_baseline
from flagbench.results.gate.rules import read_rules
from flagbench.results.migrations import SCHEMA_VERSION
from flagbench.results.page.words import words
from flagbench.results.published.verify import remarks, verify
from flagbench.results.record import RunRecord
from flagbench.results.runs import difference, surely_alike
from tests.unit.results.gate.test_gate import run_of
from tests.unit.results.test_runs import made_task

_MODEL = "BAAI/bge-small-zh-v1.5"
_ONE, _OTHER = ({"test": {"rows": 9, "digest": digit * 32}} for digit in "12")


def _record(status: str = "counts agree", content: Any = None, **more: Any) -> Any:
    data = {"status": status, "differences": [], "source": "folder", "content": content or {}}
    return made_task("LCQMC", 0.5, data=data, **more)[0]


def test_all_that_show_a_state_have_its_words() -> None:
    english = words("en")
    for state in DataState:
        assert english(f"verdict_{state.name.lower()}") == state.words
        assert DataState.of({"status": str(state)}) is state
    for odd in ({}, {"status": "exact"}, {"status": 3}, {"status": ["official"]}):
        assert DataState.of(odd) is DataState.UNKNOWN
    assert [state.comparable() for state in DataState] == [False, False, False, False, True]
    assert [state.comparable(accept_counts=True) for state in DataState] == [False, False, False, True, True]
    assert [state.marked for state in DataState] == [True, True, False, True, False]


def test_content_decides_whether_two_runs_are_alike() -> None:
    same = _record(content=_ONE), _record("official", content=_ONE, commit="c1")
    assert (list(difference(*same)), surely_alike(*same)) == ([], True)
    others = _record(content=_ONE, commit="c1"), _record(content=_OTHER, commit="c1")
    (line,) = difference(*others)
    assert line == "the content of the data in test: 9 rows 11111111… against 9 rows 22222222…"
    assert not surely_alike(*others)


def test_every_part_of_the_data_that_differs_is_named_and_of_its_faults_the_first() -> None:
    single = {"dev": {"rows": 1, "digest": "3" * 32}}
    (line,) = difference(_record(content=_ONE), _record(content=_ONE | single))
    assert line == "the content of the data in dev: none against 1 row 33333333…"
    both = list(difference(_record(content=_ONE | single), _record(content=_OTHER)))
    assert both == [
        "the content of the data in test: 9 rows 11111111… against 9 rows 22222222…",
        "the content of the data in dev: 1 row 33333333… against none",
    ]
    faults = [
        replace(_record("differs"), data={"status": "differs", "differences": list(its)}) for its in ("abc", "axy")
    ]
    assert list(difference(*faults)) == ["data: b against x"]


def test_candidates_that_rerankers_were_given_are_data() -> None:
    def of(digest: str, **settings: Any) -> Any:
        plain = _record(content=_ONE)
        return replace(plain, settings={**plain.settings, "rankings": {"digest": digest}, **settings})

    reranker = {"reranker": {"name": "org/r"}}
    one, other = "a" * 12, "b" * 12
    assert list(difference(of(one, **reranker), of(other, **reranker))) == ["candidates aaaaaaaa… against bbbbbbbb…"]
    assert list(difference(of(one, **reranker), of(one, **reranker))) == []
    assert list(difference(of(one), of(other))) == []  # rankings that are scored as they are
    assert list(difference(of(one, **reranker), of(other))) == []
    assert list(difference(of(one, **reranker), _record(content=_ONE))) == []


def test_a_run_without_content_is_not_known_to_be_alike() -> None:
    new, old = _record(content=_ONE), _record()
    assert (list(difference(new, old)), surely_alike(new, old), surely_alike(old, new)) == ([], False, False)
    assert surely_alike(_record(), _record())  # the very same files, by names, sizes and times
    moved = replace(old, settings={**old.settings, "data": {"source": "folder", "files": "f2"}})
    assert not surely_alike(old, moved)  # though the counts agree
    assert surely_alike(_record(content=_ONE, commit="c1"), _record(commit="c1"))


def test_what_was_exact_is_never_official() -> None:
    record = run_of(made_task("LCQMC", 0.5), made_task("B", 0.5), made_task("C", 0.5)).record
    document = json.loads(record.to_json())
    for name, status in (("LCQMC", "exact"), ("B", "differs"), ("C", "official")):
        document["tasks"][name]["data"] = {"status": status, "differences": [], "source": "folder"}
    read = RunRecord.from_json(json.dumps(document | {"schema_version": 3}))
    assert {name: task.data["status"] for name, task in read.tasks.items()} == {
        "LCQMC": "counts agree",
        "B": "differs",
        "C": "unknown",
    }
    assert all(task.data["content"] == {} for task in read.tasks.values())
    assert read.schema_version == SCHEMA_VERSION


@pytest.mark.parametrize(
    ("status", "accept", "code"),
    [
        ("official", False, 0),
        ("counts agree", False, 2),
        ("counts agree", True, 0),
        ("differs", True, 2),
        ("unknown", True, 2),
    ],
)
def test_published_scores_are_compared_with_official_data(tmp_path: Any, status: str, accept: bool, code: int) -> None:
    rules = tmp_path / "gate.toml"
    rules.write_text('[[rule]]\ntasks = ["LCQMC"]\nmax-drop = 1\n', encoding="utf-8")
    model = table().of_model(_MODEL)
    scores = {split: {"default": score} for split, score in model.scores["LCQMC"].items()}
    task = made_task("LCQMC", scores, kind="STS", data={"status": status, "differences": [], "content": _ONE})
    run = run_of(task)
    baseline, part = as_baseline(model, table(), run, accept_counts=accept)
    report = judge(read_rules(rules), baseline, run, published_part=part)
    assert report.exit_code == code
    assert ("only the counts agree with the official data: LCQMC" in headline(report)) == (accept and code == 0)
    found = verify(run.record, model, table(), only=("LCQMC",), accept_counts=accept)
    taken = status == "counts agree" and accept  # of what is not compared, nothing is accepted
    assert report.accepted == (("LCQMC",) if taken else ())
    assert found.passed == (code == 0)
    assert found.tasks[0].verdict == ("OK" if code == 0 else "not compared")
    assert (DataState(status).words in found.tasks[0].note) == (status != "official")
    assert remarks(found)[0].startswith("reproduced" if code == 0 else "NOT reproduced")
