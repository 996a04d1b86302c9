"""The line on settings that differ between two runs: all of them, in plain words, once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flagbench.results.compare.compare import side_by_side
from flagbench.results.compare.screen import render
from flagbench.results.compare.settings import settings_differ
from flagbench.results.compare.text import to_json, to_markdown
from flagbench.results.gate.ci import to_junit
from flagbench.results.gate.judge import judge
from flagbench.results.gate.outputs import notes
from flagbench.results.gate.outputs import to_json as gate_json
from flagbench.results.gate.outputs import to_markdown as gate_markdown
from flagbench.results.gate.rules import Rule, Rules
from flagbench.results.record import RunRecord
from flagbench.results.runs import Run
from tests.unit.results.test_runs import made_task

_PLAIN: Mapping[str, Any] = {
    "name": "org/m",
    "revision": "r",
    "query_max_length": 256,
    "passage_max_length": 256,
    "adapter": "dense",
    "pooling": "cls",
    "normalize": True,
    "video": {"fps": 1.0},
}


def run(folder: str = "a", *, score: float = 0.5, settings: Mapping[str, Any] | None = None, **model: Any) -> Run:
    task, _ = made_task("A", score)
    own = {"model": {**_PLAIN, **model}, "instruction": {"query": ""}, **(settings or {})}
    task = replace(task, settings={**task.settings, **own})
    record = RunRecord("cmteb", "org/m", "r", {}, (), {}, {"A": task})
    return Run(Path(folder), record, folder, {})


@pytest.mark.parametrize(
    ("model", "settings", "words"),
    [
        ({"query_max_length": 8, "passage_max_length": 8}, {}, "max length 256 → 8"),
        ({"query_max_length": 8}, {}, "query max length 256 → 8"),
        ({"pooling": "mean", "normalize": False}, {}, "pooling cls → mean, normalize on → off"),
        ({"pooling": None, "video": {"fps": 2.0}}, {}, "pooling cls → none, video fps 1.0 → 2.0"),
        ({"adapter": "m3", "weights": [1.0], "video": None}, {}, "loaded as dense → m3, video fps 1.0 → none"),
        (
            {"adapter": "served", "pooling": None, "query_max_length": 0, "passage_max_length": 0, "normalize": False},
            {},
            "loaded as dense → served, normalize on → off",
        ),
        (
            {"adapter": "served", "pooling": None, "query_max_length": 90, "passage_max_length": 90},
            {},
            "max length 256 → 90, loaded as dense → served",
        ),
        ({"adapters": []}, {}, ""),
        ({"name": "org/other", "revision": "s", "licence": "mit"}, {}, ""),
        ({}, {"instruction": {"query": "问：\n"}}, "query instruction none → 问：�"),
        ({}, {"instruction": {"query": "x" * 99}}, f"query instruction none → {'x' * 40}…"),
        ({}, {"store": "fp16"}, "cached vectors full precision → fp16"),
        ({}, {"reranker": {"name": "org/r", "top_k": 9}}, "reranker none → org/r"),
        ({}, {"data": {"source": "hub"}, "task": {"main_score": "map"}}, ""),
    ],
)
def test_each_setting_that_differs(model: dict[str, Any], settings: dict[str, Any], words: str) -> None:
    line = settings_differ(run().record, run(settings=settings, **model).record)
    assert line == (f"settings differ: {words}" if words else "")


_HALF = [[0.5, "org/a@" + "1" * 40], [0.5, "org/b@" + "2" * 40]]


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        ({}, {"view": {"dims": 64, "vectors": "fp32"}}, "dimensions all → 64"),
        ({"view": {"dims": "full", "vectors": "int8"}}, {}, "vectors int8 → fp32"),
        ({"view": {"dims": 64}}, {"view": {"vectors": "binary"}}, "dimensions 64 → all, vectors fp32 → binary"),
        (
            {"mixture": _HALF},
            {"mixture": [[0.25, _HALF[0][1]], [0.75, _HALF[1][1]]]},
            "weights 0.5 org/a + 0.5 org/b → 0.25 org/a + 0.75 org/b",
        ),
        ({}, {"mixture": _HALF}, "weights of no mixture → 0.5 org/a + 0.5 org/b"),
        (
            {"mixture": _HALF},
            {"mixture": [_HALF[0], [0.5, "org/b@" + "3" * 40]]},
            "weights 0.5 org/a@11111111 + 0.5 org/b@22222222 → 0.5 org/a@11111111 + 0.5 org/b@33333333",
        ),
    ],
)
def test_views_and_mixtures_are_said_in_words(first: dict[str, Any], second: dict[str, Any], words: str) -> None:
    assert settings_differ(run(**first).record, run(**second).record) == f"settings differ: {words}"


def test_settings_of_rerankers() -> None:
    records = [
        run(settings={"reranker": {"name": name, "top_k": k}}).record for name, k in (("org/r", 9), ("org/s", 5))
    ]
    assert settings_differ(*records) == "settings differ: reranker top k 9 → 5, reranker org/r → org/s"


def test_what_has_no_settings_differs_in_nothing_that_is_known() -> None:
    published = RunRecord("cmteb", "org/p", "r", {}, (), {}, {"A": made_task("A")[0]})
    assert settings_differ(published, run().record) == ""


def test_the_line_is_in_every_output(tmp_path: Path) -> None:
    line = "settings differ: pooling cls → mean"
    runs = [run(), run("b", pooling="mean")]
    comparison = side_by_side(runs)
    assert [str(each) for each in render(comparison)].count(line) == 1
    assert to_markdown(comparison).count(line) == 1
    assert json.loads(to_json(comparison))["settings"] == [{"label": "b", "line": line}]
    report = judge(Rules(tmp_path, (Rule("r", {"tasks": ("A",)}, {"max-drop": 1.0}),)), *runs)
    assert (report.exit_code, notes(report).count(line)) == (0, 1)
    assert gate_markdown(report).count(line) == 1
    assert json.loads(gate_json(report))["settings"] == line
    assert '<property name="settings differ" value="pooling cls → mean" />' in to_junit(report)


def test_losses_are_red_and_gains_green() -> None:
    worse, better, same = (run(name, score=score) for name, score in (("w", 0.4), ("b", 0.6), ("s", 0.5)))
    table = render(side_by_side([run(), worse, better, same]))[0]
    cells = [list(column.cells) for column in table.columns if str(column.header) == "Δ"]  # type: ignore[union-attr]
    assert [str(its[0].style) for its in cells] == ["red", "green", ""]  # type: ignore[union-attr]
