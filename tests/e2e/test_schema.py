"""What real runs of every benchmark write is valid by the published schemas; an old folder is gone on with."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from flagbench.results.migrations import SCHEMA_VERSION
from flagbench.results.runs import find_runs
from flagbench.results.values import Values
from flagbench.results.worst_queries import Examples
from tests.e2e.commands import here
from tests.unit.results.test_schema import faults

AIR = "AIR-Bench_24.05_qa_wiki_zh_default"
RUNS = {
    "cmteb": ["flagbench/random", "--tasks", "STSB,CovidRetrieval,T2Reranking,TNews"],
    "behind-a-reranker": [
        *("flagbench/random", "--tasks", "CovidRetrieval", "--store-fp16"),
        *("--reranker", "flagbench/random-reranker", "--rerank-top-k", "5"),
    ],
    "words": ["bm25", "--tasks", "CovidRetrieval"],
    "air-bench": ["flagbench/random", "--benchmark", "air-bench"],
    "mlvu": ["flagbench/first-letter", "--benchmark", "mlvu"],
}


def evaluate(output: Path, arguments: Sequence[str]) -> str:
    result = here("evaluate", *arguments, "--mini", "--output", output)
    assert result.returncode == 0, result.stderr
    return result.stderr


@pytest.mark.parametrize("which", RUNS)
def test_what_a_run_writes_is_valid(which: str, tmp_path: Path) -> None:
    evaluate(tmp_path, RUNS[which])
    (run,) = find_runs(tmp_path)
    assert faults("run", (run.folder / "flagbench" / "run.json").read_text(encoding="utf-8")) == []
    for task in run.record.tasks.values():
        for kind, name in (("values", Values.file(task.name)), ("worst_queries", Examples.file(task.name))):
            path = run.folder / name
            assert path.is_file() == (name in task.files)
            assert not path.is_file() or faults(kind, path.read_text(encoding="utf-8")) == []


def test_a_failed_task_is_valid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("no memory\nand more")

    monkeypatch.setattr("flagbench.runners.mteb.bridge.EncoderBridge.encode", fail)
    result = here("evaluate", "flagbench/random", "--mini", "--tasks", "STSB", "--output", tmp_path)
    assert result.returncode == 1
    (run,) = find_runs(tmp_path)
    assert run.record.tasks["STSB"].status == "error"
    assert faults("run", (run.folder / "flagbench" / "run.json").read_text(encoding="utf-8")) == []


def as_version_1(folder: Path) -> None:
    """Turn a run of AIR-Bench into what version 1 would have written."""
    path = folder / "flagbench" / "run.json"
    record = json.loads(path.read_text(encoding="utf-8")) | {"schema_version": 1}
    for name, task in record["tasks"].items():
        del task["sample"], task["file_digests"]
        values = folder / Values.file(name)
        if values.is_file():
            ((split, by_subset),) = json.loads(values.read_text(encoding="utf-8"))["values"].items()
            ((_, its),) = by_subset.items()
            values.write_text(json.dumps({"task": name, "split": split, "values": its}), encoding="utf-8")
    path.write_text(json.dumps(record, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


def test_a_run_goes_on_in_a_folder_of_version_1(tmp_path: Path) -> None:
    command = ["flagbench/random", "--benchmark", "air-bench", "--domains", "wiki", "--languages"]
    evaluate(tmp_path, [*command, "zh"])
    (new,) = find_runs(tmp_path)
    values = new.values(AIR)
    assert values is not None
    as_version_1(new.folder)
    path = new.folder / "flagbench" / "run.json"
    old = path.read_bytes()
    assert f"{AIR}: finished before with the same settings, skipped" in evaluate(tmp_path, [*command, "zh"])
    assert path.read_bytes() == old
    evaluate(tmp_path, [*command, "zh,de"])
    written = json.loads(path.read_text(encoding="utf-8"))
    assert (written["schema_version"], len(written["tasks"])) == (SCHEMA_VERSION, 2)
    before = json.loads(old)["tasks"][AIR]
    today = {"sample": None, "later_error": "", "file_digests": {}, "data": before["data"] | {"content": {}}}
    assert written["tasks"][AIR] == before | today
    (run,) = find_runs(tmp_path)
    assert run.values(AIR) == values


def test_runs_of_two_versions_are_compared(tmp_path: Path) -> None:
    command = ["flagbench/random", "--benchmark", "air-bench", "--domains", "wiki", "--languages", "zh"]
    for name in ("old", "new"):
        evaluate(tmp_path / name, command)
    (old,) = find_runs(tmp_path / "old")
    as_version_1(old.folder)
    result = here("compare", tmp_path / "old", tmp_path / "new", "--format", "json")
    assert (result.returncode, result.stderr) == (0, "")
    (task,) = json.loads(result.stdout)["tasks"]
    assert task["cells"][1]["test"]["queries"] == [10, 10]
