"""Task types that ask for the same things of a model, whichever benchmark they are from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

Unit = Literal["queries", "pairs", "texts", "sets", "questions", "items"]

SEARCHED = frozenset(
    {
        "Retrieval",
        "InstructionRetrieval",
        "Any2AnyRetrieval",
        "Any2AnyMultilingualRetrieval",
        "DocumentUnderstanding",
    }
)
"""Types whose tasks search all passages for queries."""

RERANKED = frozenset({"Reranking", "InstructionReranking", "Any2AnyReranking", "VisionCentricQA"})
"""Types whose tasks give the passages, or the answers, to be ranked for each query."""

RANKED = SEARCHED | RERANKED
"""Types whose tasks rank passages for queries."""

PAIRED = frozenset({"STS", "VisualSTS(eng)", "VisualSTS(multi)"})
"""Types whose tasks hold similarities of pairs against grades."""

CLASSIFIED = frozenset({"Classification", "ImageClassification"})
"""Types whose tasks fit a probe to training rows."""

FITTED = CLASSIFIED | {"MultilabelClassification", "Regression", "Clustering", "ImageClustering"}
"""Types whose tasks draw samples of rows and fit a probe or clusters to them; zero-shot classification does not."""

JUDGED = frozenset({"open"})
"""Types whose answers have no score before a judge has graded them."""

_UNITS: Mapping[str, Unit] = {
    **dict.fromkeys(RANKED, "queries"),
    **dict.fromkeys((*PAIRED, "PairClassification", "BitextMining"), "pairs"),
    **dict.fromkeys(("Classification", "MultilabelClassification", "perplexity"), "texts"),
    "Clustering": "sets",
    **dict.fromkeys(("multiple-choice", "open", "mmlu"), "questions"),
}


def unit_of(kind: str) -> Unit:
    """Name, in the plural, of what a task of a type has values of: its queries, pairs, texts, sets or questions.

    Args:
        kind: Task type; one that is not known here has items.
    """
    return _UNITS.get(kind, "items")
