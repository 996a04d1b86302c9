"""Windows of perplexity as published, and what is made of their losses."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import pytest

from flagbench import AbsentData, BadData, BadInput
from flagbench.results.data_state import DataState
from flagbench.suites.longctx import perplexity
from flagbench.suites.longctx.options import LongContextOptions
from flagbench.suites.longctx.perplexity import Span, spans, windows
from flagbench.suites.longctx.registry import row_of
from flagbench.suites.longctx.sample import Answer
from tests.unit.suites.longctx.bundle_files import bundle
from tests.unit.suites.longctx.word_tokens import BEGIN, WordTokens

ROW = row_of("PG19")
OPTIONS = LongContextOptions()


def naive(tokens: int, limit: int, stride: int, *, begins: bool) -> list[tuple[tuple[int, ...], set[int]]]:
    """Windows one token at a time: ids as places in the text (-1 for what begins it), and the places to be scored."""
    room = limit - begins
    made: list[tuple[tuple[int, ...], set[int]]] = []
    seen: set[int] = set()
    start = 0
    while True:
        inside = [place for place in range(start, start + room) if place < tokens]
        made.append((((-1,) if begins else ()) + tuple(inside), set(inside) - seen))
        seen |= set(inside)
        start += stride
        if inside[-1] == tokens - 1 or stride == 0 or start >= tokens:
            return made


# FlagEmbedding 7ed43d6, research/Long_LLM/activation_beacon/main/eval_lm.py, process_lm, with max_length 8: a token
# that begins a text takes one place of a window.
@pytest.mark.parametrize(
    ("room", "published"),
    [(7, [(0, 7, 7), (4, 10, 3)]), (8, [(0, 8, 8), (4, 10, 2)])],
    ids=["with a token that begins", "without"],
)
def test_windows_are_the_published_ones(room: int, published: list[tuple[int, int, int]]) -> None:
    assert spans(10, room, 4) == [Span(*each) for each in published]


@pytest.mark.parametrize("begins", [True, False])
def test_windows_score_each_token_once(begins: bool) -> None:
    for tokens in (1, 2, 7, 8, 9, 40):
        for limit in (2, 3, 8, 50):
            for stride in range(limit - begins + 1):
                made = windows(range(1, tokens + 1), [BEGIN] if begins else [], limit, stride)
                expected = naive(tokens, limit, stride, begins=begins)
                assert [each.ids for each in made] == [tuple(place + 1 for place in ids) for ids, _ in expected]
                assert [set(each.ids[-each.targets :]) for each in made] == [
                    {place + 1 for place in scored} for _, scored in expected
                ]


def test_stride_beyond_a_window_leaves_out_what_is_between() -> None:
    made = windows(range(1, 21), [BEGIN], 5, 6)
    assert [each.ids for each in made] == [(0, 1, 2, 3, 4), (0, 7, 8, 9, 10), (0, 13, 14, 15, 16), (0, 19, 20)]
    # As published the labels of a window reach back by the tokens since the last one, here over its first as well.
    assert [each.targets for each in made] == [4, 5, 5, 3]


def test_zero_stride_is_one_window() -> None:
    assert spans(10, 7, 0) == [Span(0, 7, 7)]
    assert spans(5, 7, 0) == [Span(0, 5, 5)]


def test_loss_of_a_text_is_weighted_as_published_or_by_predictions() -> None:
    """Without a token that begins a text the first of its first window has no prediction: weight 4 for 3 of them."""
    answer = Answer("0", "default", facts={"targets": [4, 2]}, numbers=(6.0, 3.0, 10.0, 2.0))
    published = perplexity.score(ROW, "flagembedding", [answer])["log_likelihood"]["0"]
    counted = perplexity.score(ROW, "flagbench", [answer])["log_likelihood"]["0"]
    assert published == pytest.approx(-(2.0 * 4 + 5.0 * 2) / 6)
    assert counted == pytest.approx(-16.0 / 5)


def test_window_without_predictions_has_no_loss_but_its_weight() -> None:
    answer = Answer("0", "default", facts={"targets": [1, 2]}, numbers=(0.0, 0.0, 10.0, 2.0))
    assert perplexity.score(ROW, "flagembedding", [answer])["log_likelihood"]["0"] == pytest.approx(-10 / 3)
    assert perplexity.score(ROW, "flagbench", [answer])["log_likelihood"]["0"] == pytest.approx(-5.0)


def test_protocols_agree_where_a_token_begins_each_window() -> None:
    answer = Answer("0", "default", facts={"targets": [7, 3]}, numbers=(14.7, 7.0, 4.2, 3.0))
    both = [perplexity.score(ROW, name, [answer])["log_likelihood"]["0"] for name in ROW.protocols]
    assert both[0] == pytest.approx(both[1], abs=1e-12)


def test_perplexity_is_of_the_mean_over_texts_and_not_a_mean_of_perplexities() -> None:
    answers = [
        Answer("0", "default", facts={"targets": [2]}, numbers=(2.0, 2.0)),
        Answer("1", "default", facts={"targets": [100]}, numbers=(300.0, 100.0)),
    ]
    metrics = perplexity.score(ROW, "flagembedding", answers)
    assert fmean(metrics["log_likelihood"].values()) == pytest.approx(-2.0)
    assert perplexity.perplexity(metrics) == pytest.approx(math.e**2)
    assert perplexity.remark(metrics) == "perplexity 7.3891"


@pytest.mark.parametrize(
    ("numbers", "targets"),
    [((), [3]), ((1.0, 2.0), [2, 2]), ((1.0,), [1]), ((0.0, 0.0), [1]), ((1.0, 2.0), [])],
)
def test_answer_with_other_windows_is_refused(numbers: tuple[float, ...], targets: list[int]) -> None:
    with pytest.raises(BadData, match="text 0 has losses of"):
        perplexity.score(ROW, "flagembedding", [Answer("0", "default", facts={"targets": targets}, numbers=numbers)])


def test_samples_are_windows_of_the_text(tmp_path: Path) -> None:
    source = bundle(tmp_path, {"lm/pg19.json": [{"text": "a b c d e f g h i j"}, {"text": "k l"}]})
    content = perplexity.read(ROW, source, replace(OPTIONS, context_length=8, stride=4))
    assert perplexity.ids(content) == ["0", "1"]
    assert perplexity.asking(ROW, "flagembedding").asked == "losses"
    tokens = WordTokens()
    first, second = perplexity.samples(content, tokens, {"0", "1"})
    words = tokens.encode("a b c d e f g h i j k l")
    assert [(each.ids, each.targets) for each in first.windows] == [
        ((BEGIN, *words[:7]), 7),
        ((BEGIN, *words[4:10]), 3),
    ]
    assert [(each.ids, each.targets) for each in second.windows] == [((BEGIN, *words[10:]), 2)]
    assert first.facts == {"targets": [7, 3]}
    assert list(perplexity.samples(content, tokens, {"1"})) == [second]


def test_without_a_token_that_begins_a_text_none_is_put_there(tmp_path: Path) -> None:
    source = bundle(tmp_path, {"lm/pg19.json": [{"text": "a b c d e f g h i j"}]})
    content = perplexity.read(ROW, source, replace(OPTIONS, context_length=8, stride=4))
    tokens = WordTokens(begins=False)
    (sample,) = perplexity.samples(content, tokens, {"0"})
    words = tokens.encode("a b c d e f g h i j")
    assert [(each.ids, each.targets) for each in sample.windows] == [(tuple(words[:8]), 8), (tuple(words[4:]), 2)]


def test_first_hundred_texts_are_read(tmp_path: Path) -> None:
    rows = [{"text": f"text number {number}"} for number in range(120)]
    whole = perplexity.read(ROW, bundle(tmp_path / "whole", {"lm/pg19.json": rows}), OPTIONS)
    assert perplexity.ids(whole) == [str(number) for number in range(100)]
    assert (whole.verdict.status, whole.notes) == (DataState.COUNTS_AGREE, [])
    few = perplexity.read(ROW, bundle(tmp_path / "few", {"lm/pg19.json": rows[:3]}), OPTIONS)
    assert (few.verdict.status, few.verdict.differences) == (DataState.DIFFERS, ("texts: 3 instead of 100",))
    part = perplexity.read(ROW, bundle(tmp_path / "whole", {}), replace(OPTIONS, rows=5))
    assert perplexity.ids(part) == ["0", "1", "2", "3", "4"]
    assert part.notes == ["the first 5 of 100 texts"]
    assert part.verdict.content == whole.verdict.content


def test_text_with_a_line_separator_is_one_text(tmp_path: Path) -> None:
    source = bundle(tmp_path, {"lm/pg19.json": [{"text": "a\u2028b"}, {"text": "c"}]})
    assert [each.text for each in perplexity.read(ROW, source, OPTIONS).rows] == ["a\u2028b", "c"]


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ('{"text": ""}', ": 'text' is empty"),
        ('{"text": 3}', ": 'text' is not a text"),
        ("{}", ": it has no 'text'"),
        ("[1]", " is not an object"),
        ("{", " is not JSON"),
    ],
)
def test_faulty_row_is_named(tmp_path: Path, line: str, fault: str) -> None:
    source = bundle(tmp_path, {"lm/pg19.json": [{"text": "fine"}, line]})
    with pytest.raises(BadData, match=rf"pg19\.json, line 2{fault}"):
        perplexity.read(ROW, source, OPTIONS)


def test_faulty_rows_are_reported_and_left_out(tmp_path: Path) -> None:
    source = bundle(tmp_path, {"lm/pg19.json": [{"text": " "}, {"text": "fine"}, {"text": None}]})
    faults: list[str] = []
    assert perplexity.ids(perplexity.read(ROW, source, OPTIONS, faults.append)) == ["1"]
    assert len(faults) == 2


def test_absent_file_is_said_with_where_it_belongs(tmp_path: Path) -> None:
    with pytest.raises(AbsentData, match=r"has no long-llm/lm/pg19\.json: put the folder long-llm"):
        perplexity.read(ROW, bundle(tmp_path, {}), OPTIONS)


def test_no_room_and_nothing_to_predict_are_refused(tmp_path: Path) -> None:
    source = bundle(tmp_path, {"lm/pg19.json": [{"text": "one"}]})
    short = perplexity.read(ROW, source, replace(OPTIONS, context_length=1))
    with pytest.raises(BadInput, match="--context-length 1 leaves no room"):
        list(perplexity.samples(short, WordTokens(), {"0"}))
    with pytest.raises(BadInput, match="text 0 of PG19 has no token that another one precedes"):
        list(perplexity.samples(perplexity.read(ROW, source, OPTIONS), WordTokens(begins=False), {"0"}))
