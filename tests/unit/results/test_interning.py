"""Records that are read hold equal settings once, and stay what they were."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from flagbench.results.compare.settings import settings_differ, settings_mixed
from flagbench.results.interning import Interned
from flagbench.results.record import RunRecord
from flagbench.results.runs import find_all
from tests.unit.page_runs import page_run, page_task

_MODEL: Mapping[str, Any] = {"name": "org/m", "adapter": "dense", "query_max_length": 512, "passage_max_length": 512}


def _settings(name: str, **model: Any) -> dict[str, Any]:
    task = {"name": name, "main_score": "ndcg_at_10", "dataset": f"org/{name}"}
    return {"model": {**_MODEL, **model}, "task": task, "instruction": {"query": "问：", "passage": ""}}


def test_equal_values_are_one_object_at_any_depth() -> None:
    interned = Interned()
    first = interned({"a": [1, {"b": "text"}], "c": None})
    assert interned({"a": [1, {"b": "text"}], "c": None}) is first
    assert interned([{"b": "text"}])[0] is first["a"][1]
    assert interned(("x", "y")) is interned(("x", "y"))


@pytest.mark.parametrize(
    "pair",
    [
        ([0], [False]),
        ([1], [1.0]),
        ([0.0], [-0.0]),
        ([""], [None]),
        (["1"], [1]),
        ([0.1 + 0.2], [0.3]),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        (["a"], ("a",)),
        ({}, []),
        (["a", "b"], ["ab"]),
        ([["a"], "b"], [["a", "b"]]),
        (["\ud800"], ["\udfff"]),
    ],
)
def test_what_is_written_otherwise_stays_apart(pair: tuple[Any, Any]) -> None:
    interned = Interned()
    assert [repr(interned(value)) for value in pair] == [repr(value) for value in pair]


def test_runs_that_are_read_together_share_what_they_have_in_common(tmp_path: Path) -> None:
    tasks = [page_task(name, settings=_settings(name)) for name in ("A", "B")]
    folders = [page_run(tmp_path, f"org/{model}", *tasks) for model in ("m", "n")]
    one, other = (run.record for run in find_all(folders))
    models = [record.tasks[name].settings["model"] for record in (one, other) for name in ("A", "B")]
    assert all(model is models[0] for model in models)
    assert one.environment is other.environment
    assert one.tasks["A"].settings["task"] is other.tasks["A"].settings["task"]
    assert one.tasks["A"].settings["task"] != one.tasks["B"].settings["task"]
    for folder, record in zip(folders, (one, other), strict=True):
        text = (folder / "flagbench" / "run.json").read_text(encoding="utf-8")
        assert record.to_json() == text
        assert list(record.tasks["A"].settings) == list(json.loads(text)["tasks"]["A"]["settings"])


def test_a_line_on_settings_is_that_of_records_that_share_nothing(tmp_path: Path) -> None:
    """Of each setting the first task that differs counts, whether equal settings are one object or several."""
    kinds = {"A": "STS", "B": "Retrieval", "C": "Retrieval", "D": "STS", "E": "STS"}
    changed: Mapping[str, Any] = {
        "B": {"retrieval": "sparse"},
        "C": {"retrieval": "sparse"},
        "D": {"query_max_length": 8, "passage_max_length": 8},
        "E": {"query_max_length": 8, "passage_max_length": 8, "pooling": "cls"},
    }
    made = [
        page_task(name, kind=kind, settings=_settings(name, **changed.get(name, {}))) for name, kind in kinds.items()
    ]
    page_run(tmp_path, "org/m", *made)
    same = page_run(tmp_path, "org/n", *(page_task(name, kind=kinds[name], settings=_settings(name)) for name in kinds))
    mixed, plain = (run.record for run in find_all([tmp_path]))
    assert same.parent.name == plain.model.replace("/", "__")
    spec = {"prompts": [["query", "问："]]}
    expected = "settings differ: max length 512 → 8, pooling none → cls"
    assert settings_mixed(mixed.tasks.values(), spec) == settings_mixed(made, spec) == expected
    ranked = [mixed.tasks[name] for name in ("B", "C")]
    assert settings_mixed([plain.tasks["B"], *ranked], spec) == "settings differ: retrieval none → sparse"
    assert settings_mixed(ranked, spec) == ""
    other = RunRecord("cmteb", "org/m", "r", {}, (), {}, {task.name: task for task in made})
    assert (
        settings_differ(plain, mixed)
        == settings_differ(plain, other)
        == "settings differ: retrieval none → sparse, max length 512 → 8, pooling none → cls"
    )


def test_an_instruction_of_one_task_alone_is_among_the_differences_of_two_runs(tmp_path: Path) -> None:
    """It is the only setting that tells the tasks apart, and must not go with the models that they share."""
    other = _settings("B") | {"instruction": {"query": "查：", "passage": ""}}
    page_run(tmp_path, "org/m", page_task("A", settings=_settings("A")), page_task("B", settings=_settings("B")))
    page_run(tmp_path, "org/n", page_task("A", settings=_settings("A")), page_task("B", settings=other))
    first, second = (run.record for run in find_all([tmp_path]))
    assert settings_differ(first, second) == "settings differ: query instruction 问： → 查："
