"""Task types that ask for the same things of a model, whichever benchmark they are from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

Unit = Literal["queries", "pairs", "texts", "sets", "questions", "items"]

RANKED = frozenset({"Retrieval", "Reranking", "InstructionRetrieval", "InstructionReranking"})
"""Types whose tasks rank passages for queries."""

JUDGED = frozenset({"open"})
"""Types whose answers have no score before a judge has graded them."""

_UNITS: Mapping[str, Unit] = {
    **dict.fromkeys(RANKED, "queries"),
    **dict.fromkeys(("STS", "PairClassification", "BitextMining"), "pairs"),
    **dict.fromkeys(("Classification", "MultilabelClassification"), "texts"),
    "Clustering": "sets",
    **dict.fromkeys(("multiple-choice", "open"), "questions"),
}


def unit_of(kind: str) -> Unit:
    """Name, in the plural, of what a task of a type has values of: its queries, pairs, texts, sets or questions.

    Args:
        kind: Task type; one that is not known here has items.
    """
    return _UNITS.get(kind, "items")
