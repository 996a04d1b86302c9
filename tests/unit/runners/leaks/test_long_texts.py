"""Long texts, which are compared piece by piece, against the same character by character."""

from __future__ import annotations

import random
import tracemalloc
import unicodedata

import numpy as np
import pytest

from flagbench.runners.leaks import long_texts
from flagbench.runners.leaks.long_texts import compared, long_text
from flagbench.runners.leaks.normal import fold, normal
from tests.unit.runners.leaks import naive

MARKS = [chr(code) for code in range(0x3100) if unicodedata.combining(chr(code))]
POOLS = [
    [*"aé가ㄱＡ1.各\u0345\u1100\u1161\u11a8 ,。..12٣"],
    [*"中文 字後后2.5"],
    [*"\u200b\u00ad\ufe0f\U000e0100\0\n\ud800x"],
    [*"ｶﾞｷﾞ㎏½ſßİﷺ"],
    MARKS,
]


def drawn(draw: random.Random) -> str:
    pool = [sign for part in draw.sample(POOLS, draw.randrange(1, 4)) for sign in part]
    return "".join(draw.choices(pool, k=draw.randrange(200)))


def test_pieces_make_the_form_the_key_and_the_shingles_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = random.Random(9)
    for _ in range(100):
        monkeypatch.setattr(long_texts, "_PIECE", draw.choice([2, 7, 50]))
        monkeypatch.setattr(long_texts, "_AHEAD", draw.choice([1, 5]))
        monkeypatch.setattr(long_texts, "_MERGED", draw.choice([1, 10, 100]))
        text = drawn(draw)
        whole, made = normal([text]), long_text(text)
        assert made.size == len(naive.compared(text.replace("\0", " "))) == whole.lengths[0]
        assert made.keys()[0] == whole.keys()[0] or not made.size
        assert made.distinct.tolist() == np.unique(whole.shingles()).tolist()


def test_a_text_that_can_be_like_none_has_no_shingles_and_keeps_its_key_where_it_may_be_equal() -> None:
    text = "今天天气很好我们出去"  # ten shingles
    whole = long_text(text)
    assert np.array_equal(long_text(text, 10, 10).distinct, whole.distinct)
    for most in (9, 0):
        made = long_text(text, 10, most)
        assert (made.keys()[0], made.lengths.tolist()) == (whole.key, [1])
        assert long_text(text, 9, most).lengths.tolist() == [0]


def test_texts_come_in_their_order_whatever_is_compared_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = random.Random(3)
    texts = [drawn(draw) for _ in range(200)]
    keys = normal(texts).keys()[normal(texts).lengths > 0]
    monkeypatch.setattr(long_texts, "LONG", 120)
    monkeypatch.setattr(long_texts, "TEXTS_AT_ONCE", 7)
    parts = list(compared(texts))
    assert {type(part).__name__ for part in parts} == {"NormalTexts", "LongText"}
    assert max(map(len, parts)) <= 7
    assert np.concatenate([part.keys()[part.lengths > 0] for part in parts]).tolist() == keys.tolist()


def test_marks_in_a_row_are_folded_as_python_does_and_many_of_them_in_no_time() -> None:
    draw = random.Random(4)
    for _ in range(60):
        text = "".join(
            draw.choice("aé가") + "".join(draw.choices(draw.choices(MARKS, k=4), k=draw.randrange(300)))
            for _ in range(3)
        )
        assert fold(text) == unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    many = 300_000  # an hour of Python's own
    assert fold("b" + "\u0301\u0323" * many) == "\u1e05" + "\u0323" * (many - 1) + "\u0301" * many


def test_memory_of_a_long_text_is_bounded() -> None:
    text = "".join(map(chr, np.random.default_rng(0).integers(0x4E00, 0x9FA5, 2_000_000)))
    tracemalloc.start()
    long_text(text, 300, 500)
    long_text("ab" * 1_000_000, 300, 500)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 80 << 20  # whatever its length; compared at once it was 77 bytes for each character
