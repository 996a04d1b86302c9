"""The published scores of LLM-Embedder's tasks."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache
from pathlib import Path

from flagbench.results.published.scores import Published, PublishedTable, read_scores
from flagbench.suites.llm_embedder.registry import rows

_SOURCE = "FlagEmbedding at 7ed43d6, research/llm_embedder/docs/evaluation.md, read 2026-11"
_LIKELIHOOD = "log_likelihood"


@cache
def table() -> PublishedTable:
    """The table; its file is read once a process."""
    file = read_scores(Path(__file__).with_name("scores.csv"), "")
    published = [row for row in rows() if row.name in file.kinds]
    groups = {
        group: [row.name for row in published if row.group == group] for group in {row.group for row in published}
    }
    metrics = {row.name: row.main_score for row in published}
    return PublishedTable(
        benchmark="llm-embedder",
        title="LLM-Embedder's tasks",
        source=_SOURCE,
        kinds=file.kinds,
        splits=file.splits,
        models={name: _with_likelihoods(model, metrics) for name, model in file.models.items()},
        groups=dict(sorted(groups.items(), reverse=True)),
        metrics=metrics,
    )


def _with_likelihoods(model: Published, metrics: dict[str, str]) -> Published:
    """A model whose perplexities are the log-likelihoods that runs have."""
    scores = {
        task: {split: -math.log(value) if metrics[task] == _LIKELIHOOD else value for split, value in by_split.items()}
        for task, by_split in model.scores.items()
    }
    return replace(model, scores=scores)
