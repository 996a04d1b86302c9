"""Near duplicates, against the Jaccard similarity of all pairs computed one by one."""

from __future__ import annotations

import random
from fractions import Fraction

import numpy as np
import pytest

from flagbench.runners.leaks import long_texts, near
from flagbench.runners.leaks.matches import joined
from flagbench.runners.leaks.near import Bands, NearDuplicates, distinct_shingles, jaccard, signatures
from flagbench.runners.leaks.normal import normal
from tests.unit.runners.leaks import naive

pytest.importorskip("rensa")

WORDS = [
    "今天",
    "天气",
    "很好",
    "我们",
    "一起",
    "出去",
    "公园",
    "散步",
    "下午",
    "回家",
    "吃饭",
    "看书",
    "北京",
    "上海",
    "机器",
]


def text(draw: random.Random, words: int) -> str:
    return "".join(draw.choices(WORDS, k=words))


def changed(draw: random.Random, original: str, changes: int) -> str:
    """Some characters replaced by rare ones."""
    signs = list(original)
    for place in draw.sample(range(len(signs)), min(changes, len(signs))):
        signs[place] = chr(draw.randrange(0x5000, 0x9000))
    return "".join(signs)


def test_all_pairs_are_found_with_their_similarities() -> None:
    draw = random.Random(5)
    tests = [text(draw, draw.randrange(4, 40)) for _ in range(150)]
    training = [changed(draw, draw.choice(tests), draw.randrange(6)) for _ in range(250)] + [text(draw, 9), "。"]
    bound = 0.7
    wanted = {
        (place, number): similarity
        for place, trained in enumerate(training[:-1])
        for number, tested in enumerate(tests)
        if (similarity := naive.jaccard(trained, tested)) >= bound
    }
    collected = naive.retrieval([], tests)
    made = normal(training)
    matches = NearDuplicates(collected, bound).find(made, made.keys())
    rows = {number: row for row, number in enumerate(collected.numbers.tolist())}
    found = {
        (place, rows[number]): similarity
        for place, number, similarity in zip(
            matches.places.tolist(), matches.numbers.tolist(), matches.similarities.tolist(), strict=True
        )
    }
    assert found.keys() <= wanted.keys()
    assert len(found) >= 0.998 * len(wanted) > 150  # a candidate is missed with a probability below 0.001
    assert all(similarity == pytest.approx(wanted[pair], abs=1e-6) for pair, similarity in found.items())


def test_similarity_of_sets() -> None:
    one, other = distinct_shingles(normal(["甲乙丙丁", "aaaaaaaa"])), distinct_shingles(normal(["甲乙丙戊", "甲乙"]))
    found = jaccard(one, other, np.array([0, 0, 1]), np.array([0, 1, 0]))
    assert found.tolist() == [2 / 6, 1 / 5, 0.0]


@pytest.mark.parametrize("bound", [0.5, 0.6, 0.7, 0.8, 0.9, 0.95])
def test_bands_miss_at_most_one_in_a_thousand_at_the_bound(bound: float) -> None:
    cut = Bands.of(bound)
    missed = (1 - Fraction(str(bound)) ** cut.rows) ** cut.bands
    assert cut.missed(bound) == pytest.approx(float(missed))
    assert missed <= Fraction(1, 1000)
    longer = Bands(bound, 128 // (cut.rows + 1), cut.rows + 1)
    assert longer.missed(bound) > 0.001 or longer.bands * longer.rows > 128


@pytest.mark.parametrize("common", [5, 40, 300])
def test_equal_slots_of_signatures_are_the_jaccard_similarity_on_average(common: int) -> None:
    draw = np.random.default_rng(common)
    apart = max(1, common // 4)
    shares = []
    for _ in range(300):
        both, one, other = (draw.integers(1, 2**63, size=size, dtype=np.uint64) for size in (common, apart, apart))
        first, second = np.concatenate([both, one]), np.concatenate([other, both])
        made = signatures(np.concatenate([first, second]), np.cumsum([len(first), len(second)]), 128)
        shares.append(float((made[0] == made[1]).mean()))
    similarity = common / (common + 2 * apart)
    # 300 signatures of 128 slots: four standard errors of their mean, as if slots of one were independent.
    error = 4 * (similarity * (1 - similarity) / (300 * 128)) ** 0.5
    assert np.mean(shares) == pytest.approx(similarity, abs=max(error, 0.012))


def test_more_alike_than_are_looked_at_is_said() -> None:
    tests = [f"{number:04d} 相同的模板文字，除了号码以外都是一样的内容，没有任何别的不同之处" for number in range(400)]
    duplicates = NearDuplicates(naive.retrieval([], tests), 0.7)
    made = normal(["9999 相同的模板文字，除了号码以外都是一样的内容，没有任何别的不同之处"])
    assert len(duplicates.find(made, made.keys()).places) >= 256
    assert duplicates.crowded == 1


@pytest.mark.parametrize(("characters", "texts"), [(10**6, 7), (9, 4096)])
def test_texts_are_looked_at_in_parts_and_long_ones_alone(
    monkeypatch: pytest.MonkeyPatch, characters: int, texts: int
) -> None:
    draw = random.Random(7)
    tests = [text(draw, 12) for _ in range(40)]
    training = [changed(draw, each, 1) for each in tests]
    made = normal(training)
    whole = NearDuplicates(naive.retrieval([], tests), 0.7).find(made, made.keys())
    assert len(whole.places) >= 30
    monkeypatch.setattr(long_texts, "LONG", characters)
    monkeypatch.setattr(long_texts, "TEXTS_AT_ONCE", texts)
    monkeypatch.setattr(near, "_SHINGLES_A_BATCH", 100)
    collected = naive.retrieval([], tests)
    duplicates = NearDuplicates(collected, 0.7)
    parts = list(long_texts.compared(training, collected.longest, duplicates.most))
    assert len(parts) == (6 if texts == 7 else 40)
    found = joined(
        [duplicates.find(part, part.keys()) for part in parts], [0, *np.cumsum([len(part) for part in parts])][:-1]
    )
    assert sorted(zip(whole.places, whole.numbers, whole.similarities, strict=True)) == sorted(
        zip(found.places, found.numbers, found.similarities, strict=True)
    )


def test_texts_like_none_are_not_looked_at_twice() -> None:
    duplicates = NearDuplicates(naive.retrieval(["今天天气很好我们出去"], []), 0.7)
    made = normal(["完全没有关系的句子", "今天天气很好，我们出去！", "今天天气很好我们出去呀"])
    for _ in range(2):
        assert duplicates.find(made, made.keys()).places.tolist() == [1, 2]
