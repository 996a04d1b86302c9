"""The JSON Schemas and the code say the same: fields, statuses, versions, and what both take for a valid file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import fields, replace
from importlib.resources import files
from pathlib import Path
from typing import Any, get_args

import pytest
from jsonschema import Draft202012Validator, ValidationError

from flagbench.models.contract import Capability
from flagbench.results.averages import Averages, Slice, cells_digest
from flagbench.results.grids import MOST, Axis, Grid
from flagbench.results.migrations import SCHEMA_VERSION
from flagbench.results.page.benchmark import Benchmark
from flagbench.results.record import RunRecord, Status, TaskRecord
from flagbench.results.runs import find_runs
from flagbench.results.speed import Estimate, Level, Memory, Speed, Texts
from flagbench.results.values import Values
from flagbench.results.worst_queries import CHARACTERS, COUNT, PASSAGES, Example, Examples, Passage
from flagbench.runners.benchmark import DataVerdict
from flagbench.runners.search.index import IndexInfo
from tests.conftest import ROOT

KINDS = ("run", "values", "worst_queries", "grid", "speed")


def schema(kind: str) -> dict[str, Any]:
    text = (files("results") / "schema" / f"{kind}.schema.json").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text)
    return found


def faults(kind: str, text: str) -> list[str]:
    """What a validator says of the text of a file."""
    errors = Draft202012Validator(schema(kind)).iter_errors(json.loads(text))
    return [f"{error.json_path}: {error.message}" for error in errors]


def properties(node: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """All properties of a schema, at any depth."""
    if isinstance(node, dict):
        named = node.get("properties", {})
        yield from ((name, its) for name, its in named.items() if "description" in its or "type" in its)
        for key, value in node.items():
            yield from properties(list(value.values()) if key == "properties" else value)
    elif isinstance(node, list):
        for each in node:
            yield from properties(each)


def run(**changes: Any) -> str:
    settings = {
        "model": {"name": "o/m", "revision": "r", "family": "f", "ability": "encode"},
        "instruction": {"query": ""},
        "data": {"source": "hub", "commit": "c"},
        "task": {"name": "A", "kind": "STS", "dataset": "o/A", "main_score": "cosine_spearman"},
    }
    verdict = {
        "status": "official",
        "differences": (),
        "source": "hub",
        "content": {"test": {"rows": 2, "digest": "0" * 32}},
    }
    sample = {"profile": "quick", "items": 10, "of": 100, "error": 0.02}
    plain = {"scores": {"test": {"default": 0.5}}, "data": verdict, "files": ("A.json",), "sample": sample}
    times = {"seconds": {"encode": 0.5}, "texts": {"asked": 2}, "finished": "2026-01-01T00:00:00+00:00"}
    task = TaskRecord("A", "STS", "success", settings, "0" * 16, **plain | times)
    environment = {"versions": {"python": "3", "flagbench": "1"}, "platform": "", "processor": "", "threads": None}
    environment |= {"device": "cpu", "device_name": ""}
    record = json.loads(RunRecord("b", "o/m", "r", settings["model"], ("line",), environment, {"A": task}).to_json())
    record["tasks"]["A"] |= changes
    return json.dumps(record)


@pytest.mark.parametrize("kind", KINDS)
def test_they_are_schemas_of_todays_version_that_say_what_each_field_is(kind: str) -> None:
    Draft202012Validator.check_schema(schema(kind))
    assert schema(kind)["properties"]["schema_version"]["const"] == SCHEMA_VERSION
    assert f"schema version {SCHEMA_VERSION}" in schema(kind)["title"]
    named = list(properties(schema(kind)))
    assert len(named) >= 3
    assert [name for name, its in named if not its.get("description")] == []


@pytest.mark.parametrize(
    ("kind", "path", "owner"),
    [
        ("run", [], RunRecord),
        ("run", ["$defs", "task"], TaskRecord),
        ("run", ["$defs", "task", "properties", "search", "oneOf", 1], IndexInfo),
        ("run", ["$defs", "task", "properties", "data", "oneOf", 1], DataVerdict),
        ("worst_queries", ["properties", "queries", "items"], Example),
        ("worst_queries", ["$defs", "passage"], Passage),
        ("grid", ["$defs", "axis"], Axis),
        ("speed", [], Speed),
        ("speed", ["$defs", "level"], Level),
        ("speed", ["$defs", "estimate"], Estimate),
        ("speed", ["properties", "texts"], Texts),
        ("speed", ["properties", "memory"], Memory),
    ],
)
def test_each_field_is_in_both(kind: str, path: list[Any], owner: type) -> None:
    node: Any = schema(kind)
    for step in path:
        node = node[step]
    names = {field.name for field in fields(owner)}
    assert set(node["properties"]) == names
    younger = {
        "labels",
        "average",
        "file_digests",
        "picture",
        "vectors",
        "failure",
        "interval",
        "url",
        "definition",
    } | ({"environment"} if owner is TaskRecord else set())  # than the layout
    assert set(node["required"]) == names - younger
    assert node["additionalProperties"] is False


def test_choices_and_limits_are_those_of_the_code() -> None:
    task = schema("run")["$defs"]["task"]["properties"]
    assert task["status"]["enum"] == list(get_args(Status))
    assert schema("run")["$defs"]["model"]["properties"]["ability"]["enum"] == list(get_args(Capability))
    queries = schema("worst_queries")["properties"]["queries"]
    passage = schema("worst_queries")["$defs"]["passage"]["properties"]
    assert (queries["maxItems"], queries["items"]["properties"]["found"]["maxItems"]) == (COUNT, PASSAGES)
    assert queries["items"]["properties"]["relevant"]["maxItems"] == PASSAGES
    assert schema("grid")["$defs"]["axis"]["properties"]["values"]["maxItems"] == MOST
    assert queries["items"]["properties"]["text"]["maxLength"] == passage["text"]["maxLength"] == CHARACTERS


def test_what_the_code_writes_is_valid() -> None:
    assert faults("run", run()) == []
    assert faults("run", run(environment=json.loads(run())["environment"])) == []
    assert faults("run", run(status="error", error="no memory", scores={}, data={}, files=[], sample=None)) == []
    averages: Averages = {"A": ["A"], "Mean": ["A", Slice("B", frozenset({("dev", "zh"), ("dev", "en")}))]}
    known = Benchmark("The Benchmark", averages, {"Mean": ["A"]}, ("b", "mini"), {"A": cells_digest({("dev", "zh")})})
    for its in (known, replace(known, mini=())):
        assert faults("run", json.dumps(json.loads(run()) | {"definition": its.definition()})) == []
    assert faults("values", Values("A", {"dev": {"zh": {"m": {"q": 0.5}}}}).to_json()) == []
    found, missed = Passage("p1", "a", 1, 0.5, 0), Passage("p2", "b", None, None, 2)
    examples = Examples("A", "m", [Example("q", "dev", "zh", "a query", 0.0, [found], [missed])])
    assert faults("worst_queries", examples.to_json()) == []
    cells = Axis("depth", [0, 50]), Axis("length", [1000])
    assert faults("grid", Grid("A", "s", "accuracy", True, *cells, [[1.0], [None]], [[2], [0]]).to_json()) == []
    assert "picture" not in examples.to_json()
    seen = replace(examples, queries=[replace(examples.queries[0], picture="a")], pictures={"a": "/9j/" + 8_188 * "A"})
    assert faults("worst_queries", seen.to_json()) == []
    assert Examples.from_json(seen.to_json()) == seen


@pytest.mark.parametrize(
    "changes",
    [
        {"scores": 3},
        {"scores": {"dev": 0.5}},
        {"scores": {"dev": {"default": "high"}}},
        {"settings": None},
        {"settings": {"task": 1}},
        {"data": {"differences": 1}},
        {"status": "fine"},
        {"status": "error"},
        {"error": "one"},
        {"files": []},
        {"kind": 1},
        {"digest": "d"},
        {"sample": []},
        {"sample": {"profile": "quick"}},
        {"finished": "today"},
        {"surplus": 1},
    ],
    ids=str,
)
def test_what_is_no_task_is_not(changes: dict[str, Any]) -> None:
    assert any(fault.startswith("$.tasks.A") for fault in faults("run", run(**changes)))


def test_old_files_are_valid_once_they_are_read() -> None:
    for old in find_runs(Path(__file__).parents[1] / "old_results"):
        written = old.folder / "flagbench" / "run.json"
        assert len(faults("run", written.read_text(encoding="utf-8"))) > len(old.record.tasks)
        assert faults("run", old.record.to_json()) == []
        for task in old.record.tasks:
            values = old.values(task)
            assert values is None or faults("values", values.to_json()) == []


def test_the_page_names_each_field() -> None:
    page = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    for kind in KINDS:
        missing = {name for name, _ in properties(schema(kind)) if f"`{name}`" not in page}
        assert not missing, (kind, missing)
    blocks = [block.split("```")[0] for block in page.split("```json\n")[1:]]
    examples = {kind: [text for text in blocks if _kind(text) == kind] for kind in KINDS}
    for kind, texts in examples.items():
        assert len(texts) == 1, kind
        assert faults(kind, texts[0]) == []


def test_the_page_checks_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    code = page.split("```python\n")[1].split("```")[0]
    path = tmp_path / "flagbench" / "run.json"
    path.parent.mkdir()
    monkeypatch.chdir(tmp_path)
    path.write_text(run(), encoding="utf-8")
    exec(code, {})
    path.write_text(run(status="fine"), encoding="utf-8")
    with pytest.raises(ValidationError, match="'fine' is not one of"):
        exec(code, {})


def _kind(text: str) -> str:
    document = json.loads(text)
    marks = {"speed": "levels", "run": "tasks", "grid": "columns", "values": "values", "worst_queries": "queries"}
    return next(kind for kind, mark in marks.items() if mark in document)
