"""What is alike: a text of the training data and one of the tasks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from flagbench.runners.leaks.collected import Collected
from flagbench.runners.leaks.long_texts import Compared

Kind = Literal["semantic", "near", "exact"]

KINDS: tuple[Kind, ...] = get_args(Kind)
"""From the weakest to the strongest; a kind's number is its place, from 1, and 0 is none."""


def number_of(kind: Kind) -> int:
    """The number of a kind."""
    return KINDS.index(kind) + 1


@dataclass(frozen=True)
class Matches:
    """Texts that are alike.

    Attributes:
        places: ``int64[n]`` in a batch of training texts.
        numbers: ``int64[n]`` of texts of tasks.
        similarities: ``float32[n]``, 1 for equal ones.
    """

    places: NDArray[np.int64]
    numbers: NDArray[np.int64]
    similarities: NDArray[np.float32]


def no_matches() -> Matches:
    """None at all."""
    return Matches(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32))


def joined(parts: Sequence[Matches], begins: Sequence[int] | None = None) -> Matches:
    """The matches of parts of a batch.

    Args:
        parts: Those.
        begins: Where each part begins in the batch; None where the places are those in the batch already.
    """
    whole = [no_matches(), *parts]
    places = [each.places + begin for each, begin in zip(whole, [0, *(begins or [0] * len(parts))], strict=True)]
    return Matches(
        np.concatenate(places),
        np.concatenate([each.numbers for each in whole]),
        np.concatenate([each.similarities for each in whole]),
    )


def strongest(matches: Matches, groups: NDArray[np.int64], most: int) -> Matches:
    """Those of one kind that can count: the most alike one of each text of the tasks, and some of each group.

    Args:
        matches: Those; among equal ones the first count.
        groups: ``int64[n]``, of each match.
        most: Matches of a group.
    """
    kept = np.zeros(len(groups), dtype=np.bool_)
    order = np.lexsort((-matches.similarities, matches.numbers))
    kept[order[np.unique(matches.numbers[order], return_index=True)[1]]] = True
    order = np.lexsort((-matches.similarities, groups))
    begins = np.searchsorted(groups[order], groups[order])
    kept[order[np.arange(len(order)) - begins < most]] = True
    return Matches(matches.places[kept], matches.numbers[kept], matches.similarities[kept])


def exact(collected: Collected, texts: Compared, keys: NDArray[np.uint64]) -> Matches:
    """The texts of a batch that are equal to texts of tasks.

    Args:
        collected: The texts of tasks.
        texts: The batch.
        keys: ``texts.keys()``.
    """
    if not len(collected.keys):
        return no_matches()
    found = np.minimum(np.searchsorted(collected.keys, keys), len(collected.keys) - 1)
    places = np.flatnonzero((collected.keys[found] == keys) & (texts.lengths > 0))
    return Matches(places, found[places].astype(np.int64), np.ones(len(places), dtype=np.float32))
