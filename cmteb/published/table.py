"""Published C-MTEB scores: what the leaderboard's results repository has of the models on it."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from flagbench.results.published.scores import Doubt, PublishedTable, read_scores

_MAKER = "mteb"
_HEADINGS = {
    "Retrieval": "Retr.",
    "Reranking": "Rerank",
    "PairClassification": "Pair",
    "Clustering": "Clust.",
    "Classification": "Class.",
}
_DOUBTS = (Doubt(f"{_MAKER} 1.", frozenset({"Reranking"}), "it took the average precision in another way"),)


@cache
def table() -> PublishedTable:
    """The table; its file is read once a process."""
    file = read_scores(Path(__file__).with_name("scores.csv"), _MAKER)
    return PublishedTable(
        benchmark="cmteb",
        title="C-MTEB",
        source="embeddings-benchmark/results, read 2026-08",
        kinds=file.kinds,
        splits=file.splits,
        models=file.models,
        groups=file.by_kind,
        headings=_HEADINGS,
        doubts=_DOUBTS,
    )
