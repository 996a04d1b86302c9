"""Words that keys and lists are made of: all pairs in order without making them."""

from __future__ import annotations

import random
from itertools import product

import pytest

from flagbench.suites.longctx.ruler.words import Pairs, all_words, listed, pairs

_ALPHABET = "ab- "


def _invented(rng: random.Random, number: int) -> list[str]:
    return ["".join(rng.choices(_ALPHABET, k=rng.randint(1, 4))) for _ in range(number)]


@pytest.mark.parametrize("seed", range(40))
def test_pairs_are_all_pairs_once_and_sorted(seed: int) -> None:
    rng = random.Random(seed)
    adjectives, nouns = _invented(rng, 9), _invented(rng, 7)
    plain = sorted({f"{adjective}-{noun}" for adjective, noun in product(adjectives, nouns)})
    made = Pairs(adjectives, nouns)
    assert list(made) == plain
    assert made[2:9:3] == plain[2:9:3]
    assert made[-1] == plain[-1]
    with pytest.raises(IndexError):
        made[len(plain)]


def test_words_are_those_of_wonderwords() -> None:
    words = all_words()
    assert len(words) == 6786 + 912 + 1042
    assert {"abortion", "brocolli", "idiot", "pray"} <= set(words)  # those that wonderwords 3 has no more
    assert len(pairs()) == 6_175_260  # counted by making the set
    assert pairs()[0] == "Early-ATM"  # capitals come first
    assert pairs()[len(pairs()) - 1] == "zonked-zucchini"


def test_lists_are_in_an_order_of_their_own_for_each_seed() -> None:
    assert sorted(listed(42)) == sorted(listed(43)) == sorted(set(all_words()))
    assert listed(42)[:50] != listed(43)[:50]
