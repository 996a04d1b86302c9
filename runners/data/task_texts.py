"""The texts of a task, as those who look for them elsewhere take them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Role = Literal["queries", "passages", "texts"]

Scored = Literal["queries", "pairs", "texts", "nothing"]


@dataclass(frozen=True)
class TextList:
    """Texts of one role.

    Attributes:
        role: What they are in the task.
        ids: Of each, in step.
        texts: They may lie on disk.
    """

    role: Role
    ids: Sequence[str]
    texts: Sequence[str]


def no_pairs() -> NDArray[np.int64]:
    """``int64[0, 2]``."""
    return np.empty((0, 2), dtype=np.int64)


@dataclass(frozen=True)
class TaskTexts:
    """The texts of a split and subset of a task.

    Attributes:
        split: Name.
        subset: Name.
        lists: Of its texts.
        pairs: ``int64[n, 2]``: places in the first list and in the last one of two texts that belong together.
        pair_ids: Of each pair.
        scored: Whose ids the values per query of a run have; ``nothing`` where it has them of other things.
    """

    split: str
    subset: str
    lists: Sequence[TextList]
    scored: Scored
    pairs: NDArray[np.int64] = field(default_factory=no_pairs)
    pair_ids: Sequence[str] = ()


def retrieval_texts(
    split: str,
    subset: str,
    queries: tuple[Sequence[str], Sequence[str]],
    passages: tuple[Sequence[str], Sequence[str]],
    relevant: Sequence[tuple[str, str]],
) -> TaskTexts:
    """The texts of a retrieval.

    Args:
        split: Name.
        subset: Name.
        queries: Ids and texts.
        passages: Ids and texts.
        relevant: Ids of queries and of their relevant passages; those that are not there are left out.
    """
    asked = {id_: place for place, id_ in enumerate(queries[0])}
    wanted = {passage for _, passage in relevant}
    there = {id_: place for place, id_ in enumerate(passages[0]) if id_ in wanted}
    known = [pair for pair in relevant if pair[0] in asked and pair[1] in there]
    pairs = np.array([(asked[query], there[passage]) for query, passage in known], dtype=np.int64).reshape(-1, 2)
    lists = (TextList("queries", *queries), TextList("passages", *passages))
    return TaskTexts(split, subset, lists, "queries", pairs, [f"{query} {passage}" for query, passage in known])
