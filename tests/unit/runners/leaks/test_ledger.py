"""Which match of a text and of a pair stands."""

from __future__ import annotations

import numpy as np

from flagbench.runners.leaks.ledger import SWAPPED, Ledger, Strongest
from flagbench.runners.leaks.matches import Matches, number_of
from flagbench.runners.leaks.training import Batch
from tests.unit.runners.leaks import naive

EXACT, NEAR, SEMANTIC = (number_of(kind) for kind in ("exact", "near", "semantic"))


def batch(row: int, *columns: int) -> Batch:
    count = len(columns)
    return Batch(0, ["t"] * count, np.full(count, row, np.int64), np.array(columns, np.int8), 1)


def matches(places: list[int], numbers: list[int], similarities: list[float]) -> Matches:
    return Matches(np.array(places), np.array(numbers), np.array(similarities, dtype=np.float32))


def test_the_stronger_kind_stands_then_the_more_alike_then_the_first() -> None:
    made = Strongest(2)
    steps = [(NEAR, 0.8, 1), (SEMANTIC, 0.99, 2), (NEAR, 0.9, 3), (NEAR, 0.9, 4), (EXACT, 1.0, 5), (EXACT, 1.0, 6)]
    rows = []
    for kind, similarity, row in steps:
        made.take(
            np.array([1]),
            np.array([kind], np.uint8),
            np.array([similarity], np.float32),
            0,
            np.array([row]),
            np.array([0], np.int8),
        )
        rows.append(made.place(1).row)
    assert rows == [1, 1, 3, 3, 5, 5]
    assert made.kinds.tolist() == [0, EXACT]


def test_a_pair_is_of_the_weaker_kind_and_straight_before_swapped() -> None:
    collected = naive.retrieval(["q"], ["p"], [(0, 0)])
    query, passage = collected.numbers.tolist()
    ledger = Ledger(collected)
    found = [(EXACT, matches([1], [query], [1])), (NEAR, matches([0], [passage], [0.8]))]
    ledger.take(batch(1, 0, 1), found)
    assert ledger.pairs.kinds.tolist() == [NEAR + SWAPPED]
    found = [(EXACT, matches([0], [query], [1])), (NEAR, matches([1], [passage], [0.8]))]
    ledger.take(batch(2, 0, 1), found)
    assert ledger.pairs.kinds.tolist() == [NEAR]
    assert ledger.pairs.place(0).row == 2
    ledger.take(batch(3, 1, 0), [(EXACT, matches([0, 1], [query, passage], [1, 1]))])
    assert ledger.pairs.kinds.tolist() == [EXACT + SWAPPED]


def test_two_texts_are_no_pair_in_two_rows_or_as_a_negative() -> None:
    collected = naive.retrieval(["q"], ["p"], [(0, 0)])
    query, passage = collected.numbers.tolist()
    ledger = Ledger(collected)
    ledger.take(batch(1, 0, 1), [(EXACT, matches([0], [query], [1]))])
    ledger.take(batch(2, 0, 1), [(EXACT, matches([1], [passage], [1]))])
    ledger.take(batch(3, 0, 2), [(EXACT, matches([0, 1], [query, passage], [1, 1]))])
    assert ledger.pairs.kinds.tolist() == [0]
    assert ledger.texts.kinds.tolist() == [EXACT, EXACT]


def test_each_training_row_with_a_text_of_the_tasks_is_kept_once_with_its_strongest_kind() -> None:
    collected = naive.retrieval(["q"], ["p"], [(0, 0)])
    query, passage = collected.numbers.tolist()
    ledger = Ledger(collected)
    ledger.take(batch(7, 0, 1), [(EXACT, matches([1], [query], [1])), (NEAR, matches([0], [passage], [0.8]))])
    ledger.take(batch(9, 0), [(NEAR, matches([0, 0], [query, passage], [0.8, 0.7]))])
    ledger.take(batch(4, 0), [(SEMANTIC, matches([0], [query], [0.99]))])  # of the second pass
    ledger.take(batch(9, 0), [(SEMANTIC, matches([0], [query], [0.99]))])
    assert [found.tolist() for found in ledger.leaking(0)] == [[4, 7, 9], [SEMANTIC, EXACT, NEAR]]
    assert [found.tolist() for found in ledger.leaking(1)] == [[], []]
