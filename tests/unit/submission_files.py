"""Runs over C-MTEB as ``evaluate`` leaves them, with scores that were made up, in mteb's own files."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import mteb
from mteb.results import TaskResult

from flagbench.cmteb.benchmark import CMTEB
from flagbench.models.loading.registry import published
from flagbench.models.spec import ModelSpec
from flagbench.results.identity import settings_digest
from flagbench.results.record import RunRecord, TaskRecord
from flagbench.results.store import RunStore
from flagbench.runners.mteb.bridge import model_meta

SPEC = published()["BAAI/bge-small-zh-v1.5"]
OWN = replace(SPEC, name="org/mine", revision="c" * 40, licence="")
"""A model that nobody has published."""
FOLDER = replace(SPEC, name="local/mine", revision="a" * 40)
"""The same, read from a folder."""
SPLITS = {row.name: row.splits for row in CMTEB.tasks() if row.group == "core"}
CORE = tuple(SPLITS)


def score_of(name: str, split: str) -> float:
    """A score of its own for each split, with more decimals than mteb writes."""
    return (sum(map(ord, name + split)) % 997) / 1000 + 0.0000123


def result_of(name: str, splits: Sequence[str] = (), subsets: Sequence[str] = ()) -> TaskResult:
    """What mteb makes of a task; with a metric beside the main score."""
    task = mteb.get_task(name)
    scores: Any = {
        split: {
            subset: {"main_score": score_of(name, split), "other": 0.5}
            for subset in subsets or task.metadata.hf_subsets
        }
        for split in splits or SPLITS.get(name) or task.eval_splits
    }
    return TaskResult.from_task_results(task, scores, evaluation_time=1.5)


def text_of(result: TaskResult) -> str:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "result.json"
        result.to_disk(path)
        return path.read_text(encoding="utf-8")


def task_record(name: str, spec: ModelSpec = SPEC, result: TaskResult | None = None, **fields: Any) -> TaskRecord:
    """The record of a task that was scored on the published rows."""
    metadata = mteb.get_task(name).metadata
    result = result or result_of(name)
    model = spec.as_dict()
    del model["prompts"]
    instruction = {role: spec.instruction(name, metadata.type, role) for role in ("query", "passage", "symmetric")}  # type: ignore[arg-type]
    task = {"name": name, "dataset": metadata.dataset["path"], "revision": metadata.dataset["revision"]}
    settings = {"model": model, "instruction": instruction, "data": {"source": "folder"}, "task": task}
    scores = {
        split: {each["hf_subset"]: score_of(name, split) for each in rows} for split, rows in result.scores.items()
    }
    plain: dict[str, Any] = {
        "kind": metadata.type,
        "status": "success",
        "scores": scores,
        "data": {"status": "official", "differences": [], "source": f"folder {Path.home()}/snapshots"},
        "files": (f"{name}.json",),
    }
    return TaskRecord(name=name, settings=settings, digest=settings_digest(settings), **plain | fields)


def write_run(
    output: Path,
    records: Sequence[TaskRecord],
    spec: ModelSpec = SPEC,
    *,
    reranker: Mapping[str, Any] | None = None,
    name: str = "",
    results: Mapping[str, TaskResult] | None = None,
) -> Path:
    """A run as it lies on disk; returns its folder."""
    store = RunStore(output, name or spec.name, spec.revision)
    store.prepare()
    environment = {"versions": {"flagbench": "0.1.0", "torch": "2.9"}, "platform": "here", "device_name": "its name"}
    evidence = (f"pooling: cls, from {Path.home()}/checkpoint",)
    run = store.read() or RunRecord(
        "cmteb", name or spec.name, spec.revision, spec.as_dict(), evidence, environment, {}, reranker
    )
    for record in records:
        result = (results or {}).get(record.name) or (result_of(record.name) if record.files else None)
        run = store.write_task(run, record, {f"{record.name}.json": text_of(result)} if result else {})
    store.release()
    meta = model_meta(spec).model_copy(update={"embed_dim": 512})
    (store.folder / "model_meta.json").write_text(json.dumps(meta.to_dict(), default=str), encoding="utf-8")
    return store.folder
