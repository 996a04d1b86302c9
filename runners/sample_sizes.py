"""How much of each split and subset a profile draws."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from flagbench.runners.request import Profile


@dataclass(frozen=True)
class Size:
    """Sizes of the samples of each split and subset.

    Attributes:
        items: Rows and queries.
        passages: Of retrieval: the judged passages of these queries, filled up to this number with others. Of
            reranking: as many queries as have this number of candidates on average, but ``few`` at least.
        sets: Sets of a clustering task.
        texts: Texts of a set.
    """

    items: int
    passages: int
    sets: int
    texts: int


SIZES: Mapping[Profile, Size] = {
    "smoke": Size(items=100, passages=2_000, sets=2, texts=100),
    "quick": Size(items=1_000, passages=20_000, sets=4, texts=1_000),
}
