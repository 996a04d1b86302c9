"""Synthetic runs of a series: models of known quality at each setting, with the values of items behind their scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from tests.unit.page_runs import page_run, page_task

REVISION = "0123456789abcdef0123456789abcdef01234567"


def spec_of(**settings: Any) -> dict[str, Any]:
    """Settings of a model as results record them."""
    plain = {
        "name": "org/model",
        "revision": REVISION,
        "family": "detected",
        "adapter": "dense",
        "ability": "encode",
        "query_max_length": 512,
        "passage_max_length": 512,
        "pooling": "cls",
        "normalize": True,
        "prompts": [],
    }
    return plain | settings


def draws(mean: float, items: int, seed: int, noise: float = 0.05) -> list[float]:
    """Values around a mean: those of one seed have the same hard and easy items."""
    hard = np.random.default_rng(seed).uniform(-0.3, 0.3, items)
    own = np.random.default_rng([seed, round(1e6 * mean)]).normal(0, noise, items)
    return [float(each) for each in np.clip(mean + hard + own, 0, 1)]


def series_run(
    output: Path,
    name: str,
    spec: Mapping[str, Any],
    values: Mapping[str, Sequence[float] | None],
    *,
    kinds: Mapping[str, str] | None = None,
    reranker: Mapping[str, Any] | None = None,
    kept: bool = True,
    changed: Mapping[str, Mapping[str, Any]] | None = None,
    **fields: Any,
) -> Path:
    """A run whose tasks record the settings of its model.

    Args:
        output: Of all runs.
        name: ``org/name`` of the results.
        spec: Settings of the model.
        values: Of the items of each task, whose mean is its score; None for a task that failed.
        kinds: Types of tasks, Retrieval by default.
        reranker: Settings of a reranker behind it.
        kept: Whether the values are kept beside the scores.
        changed: Fields of the records of tasks.
        fields: Of the record of the run.
    """
    settings = {**spec, "name": name}
    beside = {} if reranker is None else {"reranker": dict(reranker)}
    tasks = []
    for task, numbers in values.items():
        made = page_task(task, None if numbers is None else fmean(numbers), (kinds or {}).get(task, "Retrieval"))
        plain = {"query": "", "passage": "", "symmetric": ""}
        made = replace(made, settings={"model": settings, **beside, **made.settings, "instruction": plain})
        if numbers is None:
            made = replace(made, status="error", error="out of memory", data={})
        tasks.append(replace(made, **(changed or {}).get(task, {})))
    per_item = {task: numbers for task, numbers in values.items() if numbers is not None} if kept else {}
    of_run = {"spec": settings, "revision": str(spec.get("revision", REVISION))}
    return page_run(output, name, *tasks, values=per_item, **of_run | fields)


def dims_run(output: Path, dims: int | None, vectors: str, means: Mapping[str, float], **options: Any) -> Path:
    """A run of some dimensions (None for all, of which there are 384) and a precision of vectors."""
    plain = dims is None and vectors == "fp32"
    view = {} if plain else {"view": {"dims": dims or "full", "vectors": vectors}}
    suffix = (f"-dims{dims}" if dims else "") + ("" if vectors == "fp32" else f"-{vectors}")
    numbers = dims or 384
    size = {"fp32": 4 * numbers, "int8": numbers}.get(vectors, numbers // 8) * 10**6
    recorded = {"dimensions": numbers, "precision": vectors, "bytes_per_million": size}
    values = {task: draws(mean, 200, at) for at, (task, mean) in enumerate(means.items())}
    changed = {task: {"vectors": recorded} for task in means}
    return series_run(output, f"org/model{suffix}", spec_of(**view), values, changed=changed, **options)
