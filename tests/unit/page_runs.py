"""Runs as evaluate leaves them, with all that a page shows."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from flagbench.results.grids import Axis, Grid
from flagbench.results.identity import settings_digest
from flagbench.results.record import RunRecord, TaskRecord
from flagbench.results.store import RunStore
from flagbench.results.values import Values
from flagbench.results.worst_queries import Example, Examples, Passage

GRID = Grid(
    task="A",
    split="flagembedding",
    metric="accuracy",
    share=True,
    rows=Axis("depth", [0, 50]),
    columns=Axis("length", [1000, 20000, 40000]),
    values=[[1.0, 0.5, None], [0.0, 0.25, 1.0]],
    samples=[[1, 2, 0], [3, 4, 1]],
)

KINDS = ("Retrieval", "Reranking", "STS", "Classification", "Clustering")


def page_task(name: str, score: float | None = 0.5, kind: str = "Retrieval", **fields: Any) -> TaskRecord:
    """A task; a score alone is of split dev."""
    main_score = fields.pop("main_score", "ndcg_at_10")
    row = {"name": name, "main_score": main_score, "dataset": f"org/{name}", "revision": "0123456789abcdef"}
    settings: dict[str, Any] = fields.pop("settings", None) or {
        "data": {"source": "folder", "files": "f1"},
        "task": row,
        "instruction": {"query": "为这个句子生成表示", "passage": "", "symmetric": ""},
    }
    plain: dict[str, Any] = {
        "status": "success",
        "scores": {} if score is None else {"dev": {"default": score}},
        "data": {"status": "official", "differences": [], "source": "hub"},
        "search": {"library": "faiss 1.15.1", "index": "flat", "devices": "cpu", "exact": True},
        "seconds": {"data": 1.0, "encode": 2.0, "search": 0.5, "score": 0.5},
        "texts": {"asked": 220, "distinct": 200, "encoded": 200},
        "finished": "2026-01-02T03:04:05+00:00",
    }
    return TaskRecord(name=name, kind=kind, settings=settings, digest=settings_digest(settings), **plain | fields)


def page_run(
    output: Path,
    model: str,
    *tasks: TaskRecord,
    values: Mapping[str, Sequence[float]] | None = None,
    worst: Mapping[str, Examples] | None = None,
    meta: Mapping[str, Any] | None = None,
    **fields: Any,
) -> Path:
    """Write a run; returns its folder.

    Args:
        output: Of all runs.
        model: ``org/name``.
        tasks: Its tasks.
        values: Values of queries by task.
        worst: Worst queries by task.
        meta: What model_meta.json says; None for no such file.
        fields: Of the record.
    """
    plain: dict[str, Any] = {
        "benchmark": "cmteb",
        "revision": "v1",
        "spec": {"pooling": "mean", "normalize": True, "query_max_length": 512, "prompts": [["query", "问："]]},
        "evidence": ("pooling: mean, from modules.json",),
        "environment": {"versions": {"torch": "2.13.0"}, "device": "cpu", "device_name": "a processor", "threads": 2},
    }
    record = RunRecord(model=model, tasks={}, **plain | fields)
    store = RunStore(output, model, record.revision)
    store.prepare()
    for task in tasks:
        files = {f"{task.name}.json": "{}"}
        numbers = (values or {}).get(task.name)
        if numbers is not None:
            part = {"ndcg_at_10": {f"q{at}": value for at, value in enumerate(numbers)}}
            files[Values.file(task.name)] = Values(task.name, {"dev": {"default": part}}).to_json()
        if worst and task.name in worst:
            files[Examples.file(task.name)] = worst[task.name].to_json()
        named = TaskRecord(**{**vars(task), "files": tuple(files)})
        record = store.write_task(record, named, files)
    if not tasks:
        store.run_file.write_text(record.to_json(), encoding="utf-8")
    if meta is not None:
        (store.folder / "model_meta.json").write_text(json.dumps(meta), encoding="utf-8")
    store.release()
    return store.folder


def run_with_grid(output: Path, model: str, grid: Grid = GRID) -> Path:
    """A run with a grid beside its results."""
    folder = page_run(output, model, page_task(grid.task))
    file = folder / Grid.file(grid.task)
    file.parent.mkdir(parents=True)
    file.write_text(grid.to_json(), encoding="utf-8")
    record = folder / "flagbench" / "run.json"
    document = json.loads(record.read_text(encoding="utf-8"))
    document["tasks"][grid.task]["files"].append(Grid.file(grid.task))
    record.write_text(json.dumps(document), encoding="utf-8")
    return folder


def worst_of(task: str, queries: int = 20, characters: int = 600, passages: int = 5) -> Examples:
    """Worst queries with texts in Chinese, each unlike the others."""
    drawn = random.Random(task)

    def text(length: int) -> str:
        return "".join(chr(drawn.randrange(0x4E00, 0x9FA0)) for _ in range(length))

    def passage(at: int, *, gold: bool) -> Passage:
        id_ = f"{'gold' if gold else 'found'}-{at}-{drawn.randrange(10**6)}"
        rank = None if gold and at else (40 + at if gold else at + 1)
        return Passage(id_, text(characters), rank, None if rank is None else 0.9 - at / 100, int(gold))

    return Examples(
        task,
        "ndcg_at_10",
        [
            Example(
                f"query-{at}",
                "dev",
                "default",
                text(min(characters, 40)),
                at / 100,
                [passage(each, gold=False) for each in range(passages)],
                [passage(each, gold=True) for each in range(2)],
            )
            for at in range(queries)
        ],
    )


def many_tasks(count: int, seed: int = 0) -> list[TaskRecord]:
    """Tasks of several types with drawn scores."""
    drawn = random.Random(seed)
    return [page_task(f"Task{at:02}", drawn.uniform(0.2, 0.9), KINDS[at % len(KINDS)]) for at in range(count)]
