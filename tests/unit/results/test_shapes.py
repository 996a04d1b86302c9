"""What files of results must hold: types, ranges and names, the first fault named by its place."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flagbench import BadInput
from flagbench.results.record import RunRecord, TaskRecord
from flagbench.results.runs import find_runs
from flagbench.results.shapes import LARGEST, check_range, query_range, score_range
from flagbench.results.values import Values
from flagbench.results.worst_queries import Example, Examples, Passage

Change = Callable[[dict[str, Any], dict[str, Any]], None]


def record(main_score: str = "ndcg_at_10", score: float = 0.5) -> dict[str, Any]:
    settings = {"task": {"main_score": main_score}, "data": {}, "options": {}}
    task = TaskRecord("A", "Retrieval", "success", settings, "0" * 16, {"test": {"default": score}}, files=("A.json",))
    plain: dict[str, Any] = json.loads(RunRecord("b", "o/m", "r", {}, (), {}, {"A": task}).to_json())
    return plain


def put(*path: str, value: Any) -> Change:
    def change(run: dict[str, Any], task: dict[str, Any]) -> None:
        place = task if path[0] in task else run
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = value

    return change


HUGE = 10**400
FAULTS: list[tuple[Change, str]] = [
    (lambda run, _: run.update(environment=None), "at environment: "),
    (put("environment", value=[]), "at tasks.A.environment: "),
    (put("spec", value=[]), "at spec: "),
    (put("reranker", value="r"), "at reranker: "),
    (put("evidence", value=[1]), "at evidence.0: "),
    (put("evidence", value="line"), "at evidence: "),
    (put("tasks", value=[]), "no layout|at tasks"),
    (put("seconds", value=5), "at tasks.A.seconds: "),
    (put("seconds", value={"encode": -1}), "at tasks.A.seconds.encode: .* greater than or equal to 0"),
    (put("seconds", value={"encode": 1e300}), "at tasks.A.seconds.encode: "),
    (put("seconds", value={"encode": "1"}), "at tasks.A.seconds.encode: "),
    (put("seconds", value={"encode": True}), "at tasks.A.seconds.encode: "),
    (put("texts", value=None), "at tasks.A.texts: "),
    (put("texts", value={"asked": -1}), "at tasks.A.texts.asked: "),
    (put("texts", value={"asked": 1.5}), "at tasks.A.texts.asked: "),
    (put("texts", value={"asked": HUGE}), "at tasks.A.texts.asked: "),
    (put("scores", value={"test": {"default": 1e308}}), "at tasks.A.scores.test.default: "),
    (put("scores", value={"test": {"default": HUGE}}), "at tasks.A.scores.test.default: "),
    (put("scores", value={"test": {"default": True}}), "at tasks.A.scores.test.default: "),
    (put("scores", value={"test": {"default": 1.5}}), "1.5 is no ndcg_at_10, which is from 0 to 1"),
    (put("scores", value={"test": {"default": -0.1}}), "-0.1 is no ndcg_at_10"),
    (put("settings", value={"task": {"main_score": 3}}), "at tasks.A.settings.task.main_score: "),
    (put("settings", value={"data": []}), "at tasks.A.settings.data: "),
    (put("data", value={"status": 1}), "at tasks.A.data.status: "),
    (put("data", value={"differences": "one"}), "at tasks.A.data.differences: "),
    (put("search", value=3), "at tasks.A.search: "),
    (put("sample", value={"items": -1}), "at tasks.A.sample.items: "),
    (put("sample", value={"error": "0.1"}), "at tasks.A.sample.error: "),
    (put("finished", value=7), "at tasks.A.finished: "),
    (put("backend", value=None), "at tasks.A.backend: "),
    (put("digest", value="../../up"), "at tasks.A.digest: "),
    (put("files", value=["../up.json"]), "at tasks.A.files.0: '../up.json' is no name of a file in the folder"),
    (put("files", value=["/etc/passwd"]), "at tasks.A.files.0: "),
    (put("files", value=["a/../../b"]), "at tasks.A.files.0: "),
    (put("files", value=[""]), "at tasks.A.files.0: "),
    (put("files", value=["a\0b"]), "at tasks.A.files.0: "),
    (put("name", value="B"), "task A has the name 'B' in its record"),
    (put("more", value=1), "at more: "),
]


@pytest.mark.parametrize(("change", "said"), FAULTS)
def test_a_fault_in_a_record_is_named_by_its_place_in_one_line(change: Change, said: str, tmp_path: Path) -> None:
    run = record()
    change(run, run["tasks"]["A"])
    with pytest.raises(ValueError, match=said):
        RunRecord.from_json(json.dumps(run))
    path = tmp_path / "run.json"
    path.write_text(json.dumps(run), encoding="utf-8")
    with pytest.raises(BadInput) as caught:
        find_runs(path)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (json.dumps(record()).replace('"o/m"', '"o/m", "model": "o/n"'), "it has the key 'model' twice"),
        (json.dumps(record()).replace("0.5", "NaN"), "it holds NaN"),
        (json.dumps(record()).replace("0.5", "1e999"), "it holds the number 1e999"),
        (json.dumps(record()).replace("o/m", "o/\\ud800"), "it holds half a surrogate pair"),
    ],
)
def test_a_record_is_read_strictly(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        RunRecord.from_json(text)


def test_what_a_benchmark_hands_over_is_checked_as_a_file_is() -> None:
    good = TaskRecord("A", "STS", "success", {"task": {"main_score": "accuracy"}}, "0" * 16, {"test": {"d": 1.0}})
    good.check()
    for fields in ({"scores": {"test": {"d": 1.1}}}, {"seconds": {"encode": -1.0}}, {"texts": {1: 1, "1": 2}}):
        with pytest.raises(ValueError):  # noqa: PT011 - each has its own
            TaskRecord(**{**vars(good), **fields}).check()


@pytest.mark.parametrize(
    ("metric", "low", "high"),
    [
        ("ndcg_at_10", 0, 1),
        ("map_at_1000", 0, 1),
        ("recall_at_5", 0, 1),
        ("accuracy", 0, 1),
        ("v_measure", 0, 1),
        ("qa_f1_zh", 0, 1),
        ("string_match_part", 0, 1),
        ("cosine_spearman", -1, 1),
        ("dot_pearson", -1, 1),
        ("kendalltau", -1, 1),
        ("points", -LARGEST, LARGEST),
        ("p-MRR", -LARGEST, LARGEST),
        ("", -LARGEST, LARGEST),
    ],
)
def test_the_range_of_a_metric(metric: str, low: float, high: float) -> None:
    assert score_range(metric) == (low, high)
    check_range(metric, [low, high, low - 1e-6, high + 1e-6], score_range(metric))
    for beyond in (low - 1e-3, high + 1e-3):
        with pytest.raises(ValueError, match="which is from"):
            check_range(metric, [beyond], score_range(metric))


def test_a_part_of_a_mean_may_be_beyond_what_the_mean_can_be() -> None:
    assert query_range("ndcg_at_10") == (0, 1)
    assert query_range("cosine_spearman") == query_range("max_ap") == (-LARGEST, LARGEST)
    assert Values.from_json(Values("A", {"t": {"d": {"cosine_spearman": {"1": 3.5}}}}).to_json(), {})


@pytest.mark.parametrize("value", [1.5, -0.1, 1e300, True, None, "0.5", HUGE])
def test_a_value_of_a_query_that_is_not_possible(value: Any) -> None:
    text = json.dumps({"schema_version": 3, "task": "A", "values": {"t": {"d": {"ndcg_at_10": {"q": value}}}}})
    with pytest.raises(ValueError, match="not a file of values by query"):
        Values.from_json(text, {})


@pytest.mark.parametrize(
    "old",
    ['"rank": 1', '"score": 0.5', '"relevance": 0', '"value": 0.0', '"text": "a query"', '"metric": "m"', '"id": "q"'],
)
@pytest.mark.parametrize("new", ["[]", "true", "{}"])
def test_a_part_of_a_worst_query_that_is_not_possible(old: str, new: str) -> None:
    text = Examples("A", "m", [Example("q", "dev", "zh", "a query", 0.0, [Passage("p", "a", 1, 0.5, 0)], [])]).to_json()
    Examples.from_json(text)
    assert old in text
    with pytest.raises(ValueError, match="not a file of worst queries"):
        Examples.from_json(text.replace(old, f"{old.partition(': ')[0]}: {new}"))
