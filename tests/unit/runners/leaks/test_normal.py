"""The form in which texts are compared, against the same character by character."""

from __future__ import annotations

import random

import numpy as np
import pytest

from flagbench.runners.leaks.normal import normal
from tests.unit.runners.leaks import naive

POOL = [chr(code) for code in range(1, 0x3000) if not 0xD800 <= code < 0xE000]
COMMON = [*"abcXYZß éñ 中文字，。！……“”１２12.,-#%&@+＋ｶﾞ각㎏½_\t\n", "e\u0301", "\u1112\u1161\u11ab", "❤\ufe0f", "𠀀"]


def drawn(seed: int, count: int) -> list[str]:
    draw = random.Random(seed)
    return ["".join(draw.choices(draw.choice((POOL, COMMON)), k=draw.randrange(14))) for _ in range(count)]


def test_form_is_that_of_each_text_by_itself() -> None:
    texts = drawn(1, 3_000)
    made = normal(texts)
    assert [made.text(number) for number in range(len(texts))] == [naive.compared(text) for text in texts]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("请问：怎么办？", "请问,怎么办?"),
        ("ＡＢＣ", "abc"),
        ("a b\tc\n", "abc"),
        ("caf\u00e9", "CAFE\u0301"),
        ("「引用」", "“引用”"),
        ("1\u200b5", "15"),
        ("1\u200b.\u20605 a\u00adb", "1.5 ab"),
        ("1\u20285", "15"),
    ],
)
def test_equal_texts(one: str, other: str) -> None:
    keys = normal([one, other]).keys()
    assert keys[0] == keys[1]


@pytest.mark.parametrize(
    ("one", "other"), [("C++", "C"), ("C#", "C"), ("1.5", "15"), ("ab", "ba"), ("a", "aa"), ("后", "後"), ("50%", "50")]
)
def test_texts_that_stay_apart(one: str, other: str) -> None:
    keys = normal([one, other]).keys()
    assert keys[0] != keys[1]


def test_keys_are_equal_where_forms_are_and_do_not_depend_on_the_neighbours() -> None:
    texts = drawn(2, 4_000)
    keys = normal(texts).keys()
    forms = [naive.compared(text) for text in texts]
    by_form = dict(zip(forms, keys.tolist(), strict=True))
    assert [by_form[form] for form in forms] == keys.tolist()
    assert len(set(by_form.values())) == len(by_form)
    assert normal(texts[7:8]).keys()[0] == keys[7]


def test_shingles_are_two_characters_of_chinese_and_five_of_others() -> None:
    texts = [text for text in drawn(3, 1_500) if naive.compared(text)] + ["中文 is not English", "好", "ok"]
    made = normal(texts)
    sets = [set(part.tolist()) for part in np.split(made.shingles(), made.ends[:-1])]
    assert [len(each) for each in sets] == [len(naive.shingles(text)) for text in texts]
    draw = random.Random(4)
    for _ in range(2_000):
        one, other = draw.randrange(len(texts)), draw.randrange(len(texts))
        assert len(sets[one] & sets[other]) == len(naive.shingles(texts[one]) & naive.shingles(texts[other]))


def test_texts_of_marks_alone_and_none_at_all() -> None:
    assert normal(["。。", "", "a\0b"]).lengths.tolist() == [0, 0, 2]
    assert len(normal([])) == 0
    assert normal([""]).keys().shape == (1,)


def test_some_of_the_texts() -> None:
    made = normal(["one", "", "三个字", "four"])
    taken = made.take(np.array([3, 1, 2]))
    assert [taken.text(number) for number in range(3)] == ["four", "", "三个字"]
