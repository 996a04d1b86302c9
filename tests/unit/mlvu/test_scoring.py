"""MLVU's scores held against a second writing of the official rule, published rows and scipy."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from flagbench import BadInput
from flagbench.mlvu.loading import QUESTION_SETS, Question, question_set, read
from flagbench.mlvu.registry import Set, averaged
from flagbench.mlvu.scoring import Average, Generation, Rule, TaskScore, m_average, official, robust, score
from flagbench.results.shares import wilson


def _question(
    candidates: tuple[str, ...], answer: str, *, identity: str = "x:0", labelled: bool = True, text: str = "What?"
) -> Question:
    golds = tuple(letter for letter, each in zip("ABCDEF", candidates, strict=False) if labelled and each == answer)
    gold = golds[-1] if golds else ""
    return Question(identity, "t", "a.mp4", "video", text, candidates, answer, gold, golds, labelled, (), 9.0)


_ASKED = _question(("Red", "Blue car", "No anomaly", "Green"), "Red")

# As published: what the official code takes for right, and what not, where A is.
_RIGHT = ["A", "A)", "A) x", "(A) x", "Answer: A)", "AA)"]
_WRONG = ["(A", "a", "A.", "A\n", " A", "A: x", "**A**", "The answer is A", "Red", "(B) no, (A) yes"]


@pytest.mark.parametrize("answer", _RIGHT)
def test_officially_right(answer: str) -> None:
    assert official(answer, _ASKED)


@pytest.mark.parametrize("answer", [*_WRONG, "", ")", ")A", "A )", "@", "B", "B) A)", "AA"])
def test_officially_wrong(answer: str) -> None:
    assert not official(answer, _ASKED)


def _transcribed(answer: str, gold: str) -> bool:
    """The official rule written a second time: walk along, and at the first bracket look back one sign."""
    before = ""
    for sign in answer:
        if sign == ")":
            return before == gold
        before = sign
    return list(answer) == [gold]


def _corpus() -> list[str]:
    beginnings = ["", "(", " ", "**", "Answer: ", "Best Option: (", "The answer is ", "(B) no, (", "\n", ")"]
    letters = ["A", "B", "D", "E", "a", "@", "AB", "Red", ""]
    endings = ["", ")", ").", ") Red", ".", "\n", ": Red", "**", " (A)", "))"]
    return ["".join(parts) for parts in itertools.product(beginnings, letters, endings)]


def test_the_official_rule_is_that_of_a_second_writing() -> None:
    corpus = _corpus()
    assert len(set(corpus)) >= 500
    for gold, answer in (("A", "Red"), ("D", "Green"), ("@", "not among them")):
        question = _question(_ASKED.candidates, answer)
        said = [official(each, question) for each in corpus]
        assert said == [_transcribed(each, gold) for each in corpus]
        assert 0 < sum(said) < len(said)


def test_the_official_gold_is_the_last_of_equal_candidates_and_no_letter_where_there_is_none() -> None:
    twice = _question(("Six", "Three", "Three", "Eight"), "Three")
    assert [official(letter, twice) for letter in "ABCD"] == [False, False, True, False]
    none = _question(("Six", "Three"), "Four")
    assert [official(letter, none) for letter in ["A", "B", "", "@", "(@)"]] == [False, False, False, True, True]
    assert not official("@", _question(("Six", "Three"), "", labelled=False))


# What people would read, one way of writing a line; None where they would not know.
_READ: list[tuple[str | None, list[str]]] = [
    ("A", ["A", "a", " A ", "A\n", "(A)", "(A", "A)", "[A]", "A.", "**A**", "*A*.", "`A`", "'A'", "（A）", "A</s>"]),
    ("A", ["A) Red", "(A) Red", "A. Red", "A: Red", "A, Red", "A - Red", "A Red", "a) red", "**A)** Red", "A\n\nRed"]),
    ("A", ["Answer: A", "answer: a", "Answer:\n\nA", "ANSWER: (A)", "**Answer:** A", "The answer is A"]),
    ("A", ["The answer is A because of it.", "Best Option: (A", "Best Option: (A) Red", "The best option is A."]),
    ("A", ["Final answer: A", "My answer: 'A'", "Ａ", "Sure! The correct option is A."]),
    ("A", ["The correct answer is option A", "Answer: A) Red", "Answer: A. Red", "The answer is (a)."]),
    ("A", ["<answer>A</answer>", "Option A", "A is correct", "A because it is red", "$\\boxed{A}$", "It is (A)."]),
    ("A", ["(B) no, (A) yes", "(B) is wrong. (A) fits.", "Not B, but A", "Not (B) but (A)", "A, because B is wrong"]),
    ("A", ["Answer: B. No, the answer is A.", "<think>It may be (B).</think>A", "<think>(B)\n</think>\n\n(A) Red"]),
    ("A", ["Red", "red.", "RED", " Red\n", "It is red.", "A red one"]),
    ("A", ["(A) Red\n\nThe others, (B) and (C), are not seen.", "Option B is wrong. Option A is right."]),
    ("A", ["A\n\nNot seen: (C)", "Answer: A. No other option fits.", "(A). Not (B).", "A) Red. No (B) there."]),
    ("B", ["Blue car", "blue  CAR", "I see a blue car", "B", "I think B", "B because of it", "- B", "B Red", "B) Red"]),
    ("B", ["(A) Red\n(B) Blue car\n(C) No anomaly\n(D) Green\nAnswer: B", "Option B is correct. Option A is wrong."]),
    ("C", ["No anomaly", "(C) No anomaly", "C) No anomaly", "C. no anomaly.", "Answer: C) No anomaly"]),
    ("D", ["(D)", "d", "D\n\nExplanation: A is wrong.", "The answer is D) Green", "Vitamin D"]),
    (None, ["", "  ", "\n", "...", "**", "I cannot tell", "None of the above", "Neither", "E", "(E)", "F."]),
    (None, ["Z", "AB", "Yes", "EA", "12", "()"]),
    (None, ["A or B", "A and B", "A/B", "(A) or (B)", "(A)(B)", "A, B", "Both A and B", "Red or green", "A, B, C, D"]),
    (None, ["A man walks", "A dog", "The answer is a dog", "The answer is A dog", "not (B)", "The answer is not A"]),
    (None, ["A) Red B) Blue car C) No anomaly D) Green", "(A) Red\n(B) Blue car\n(C) No anomaly\n(D) Green"]),
    (None, ["Predator", "The greenhouse", "Redder", "the blue car is red"]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("answer", "letter"), [(answer, letter) for letter, answers in _READ for answer in answers], ids=repr
)
def test_what_an_answer_means(answer: str, letter: str | None) -> None:
    assert robust(answer, _ASKED) == letter


_IN_CJK = {
    # Chinese
    **dict.fromkeys(
        (
            "答案是D", "选D", "选项D", "我选择D。", "正确答案为D", "因此选D。", "D选项", "应该选Ｄ，因为有草地",
            "答案：D", "答案是 D",
            "（D）", "(D)选项", "答案应为（D）。", "所以选D，而不是A。", "不是A，是D", "不选A，选D",
            "A不对，选D", "选D不选A", "选Ｄ。",
            "根据视频内容，D是正确的。", "答案D正确", "最终答案为：【D】", "選項D", "答案應該是D",
            "選D", "特别是D", "不过选D", "本题选D项",
            "A选项错误，D选项正确", "正确答案是D，因为视频里的A组输了", "<think>也许是A</think>选D",
            "我认为答案是**D**", "**答案**：D", "答案是d",
        ),
        "D",
    ),
    # Japanese and Korean
    **dict.fromkeys(
        (
            "答えはDです", "答えはＤです。", "正解はD", "Dです", "選択肢D", "正解は「D」です", "Aではなく、Dです",
            "정답은 D입니다", "정답은 D 입니다.", "답: D", "D입니다", "선택지 D", "A가 아니라 D입니다", "D번입니다",
        ),
        "D",
    ),
    **dict.fromkeys(("选A", "答案是A因为有红色", "A选项", "A是对的", "정답은 A입니다", "答えはAです"), "A"),
    # No letter: none is there, it belongs to a word, it is denied, or there are several.
    **dict.fromkeys(
        (
            "选Dog", "答案是Dance", "这是DVD", "不选D", "不应该选D", "D不对",
            "D是错误的", "并非D", "정답은 D가 아닙니다", "Dではない",
            "A或D", "A和D", "选项A、选项B、选项C、选项D", "不知道", "选", "답", "选E", "Aと D",
        ),
        None,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("answer", "letter"), _IN_CJK.items())
def test_a_letter_beside_chinese_japanese_or_korean_stands_alone(answer: str, letter: str | None) -> None:
    assert robust(answer, _ASKED) == letter


@pytest.mark.parametrize(
    ("answer", "letter"),
    [
        ("<think>maybe A", None),
        ("<think>maybe A\n\nThe answer is (B)", None),
        ("<THINK>A", None),
        ("<thinking>\nA", None),
        ("<think>A</think>", None),
        ("<think>A</think>B", "B"),
        ("A</think>B", "B"),
        ("<think>A</think>B<think>or C", "B"),
        ("<think>x</think><think>C", None),
    ],
)
def test_thoughts_are_no_answers(answer: str, letter: str | None) -> None:
    assert robust(answer, _ASKED) == letter


def test_only_letters_of_the_questions_options_count() -> None:
    six = _question(("1", "2", "3", "4", "5", "6"), "5")
    for answer in ["E", "(E) 5", "Answer: E", "e.", "5", "There are 5 of them", "E) 5"]:
        assert robust(answer, six) == "E"
        assert robust(answer, _question(("1", "2", "3", "4"), "4")) is None
    assert robust("15", six) is None
    assert robust("1 or 2", six) is None


def test_a_text_inside_a_longer_one_does_not_count() -> None:
    question = _question(("Three", "Twenty three", "Four"), "Three")
    assert robust("I count twenty three of them.", question) == "B"
    assert robust("I count three of them.", question) == "A"


def test_an_order_is_read_as_its_text() -> None:
    question = _question(("2->1->3->4", "3->2->1->4", "4->3->2->1", "1->2->3->4"), "1->2->3->4")
    assert robust("The order is 1->2->3->4.", question) == "D"


def test_empty_options_are_never_meant_by_text() -> None:
    question = _question(("", "Yes", "No", ""), "Yes")
    assert robust("", question) is None
    assert robust("Nothing of that", question) is None
    assert robust("D", question) == "D"


@pytest.mark.parametrize("part", ["(A", "A.", "A or ", "B\n", "answer ", "not ", "( ", " "])
def test_a_long_answer_takes_no_long_time(part: str) -> None:
    started = time.process_time()
    robust("x" + part * 8000, _ASKED)
    # Some hundredths; a rule that looked at the whole answer for each of its letters took ten seconds.
    assert time.process_time() - started < 3


def test_letters_and_texts_of_all_real_options_are_read(shared_data: Path) -> None:
    forms = ["{0}", "({0}) {1}", "{0}) {1}", "{0}. {1}", "{0}: {1}", "Answer: {0}. {1}", "The best option is ({0})."]
    for row in averaged("dev"):
        for question in read(row, shared_data / "MLVU" / "MVLU").all:
            for letter, text in zip(question.letters, question.candidates, strict=True):
                for form in forms:
                    assert robust(form.format(letter, text), question) == letter, (question.id, form)
                meant = robust(text, question)
                if text:
                    assert meant is not None, question.id
                    assert question.candidates["ABCD".index(meant)] == text
                else:
                    assert meant is None


def _dev(folder: Path, questions: str, say: Callable[[Question], str]) -> dict[str, TaskScore]:
    """The scores of a model that says what a function says."""
    scores = {}
    for row in averaged("dev"):
        asked = question_set(read(row, folder).all, questions)
        scores[row.task_name] = score(row.task_name, asked, {each.id: say(each) for each in asked})
    return scores


def _average(scores: dict[str, TaskScore], rule: Rule = "official", of: Set = "dev") -> Average:
    average = m_average(scores, of, rule)
    assert average is not None
    return average


def test_always_a_is_as_good_as_chance(shared_data: Path) -> None:
    folder = shared_data / "MLVU" / "MVLU"
    for letter, expected in [("A", 25.04), ("B", 25.02), ("C", 24.97), ("D", 24.89)]:
        scores = _dev(folder, "as-released", lambda _, letter=letter: letter)
        assert round(100 * _average(scores).value, 2) == expected
        assert sum(each.unparsed for each in scores.values()) == 0


def test_a_perfect_model_misses_the_two_rows_without_a_letter(shared_data: Path) -> None:
    folder = shared_data / "MLVU" / "MVLU"
    for rule in ("official", "robust"):
        released = _average(_dev(folder, "as-released", lambda each: each.gold or "A"), rule)
        assert round(100 * released.value, 2) == 99.92
        assert released.value == pytest.approx((6 + 353 / 355) / 7)
        assert released.pooled == pytest.approx(2173 / 2175)
        cleaned = _average(_dev(folder, "cleaned", lambda each: each.gold), rule)
        assert (cleaned.value, cleaned.interval[1], cleaned.pooled) == (1.0, 1.0, 1.0)
        assert 0.99 < cleaned.interval[0] < 1.0
    # Said in words it is right by the robust rule alone.
    said = _dev(folder, "cleaned", lambda each: f"I think it is {each.answer}")
    assert (_average(said).value, _average(said, "robust").value) == (0.0, 1.0)


def test_any_letter_of_equal_candidates_is_robustly_right() -> None:
    question = _question(("Six", "Three", "Three", "Eight"), "Three")
    for answer, right in [("B", (0, 1)), ("C", (1, 1)), ("D", (0, 0)), ("three", (0, 1))]:
        found = score("t", [question], {"x:0": answer})
        assert (found.official, found.robust) == right


def test_a_task_is_counted_by_both_rules() -> None:
    asked = [_question(_ASKED.candidates, "Red", identity=f"x:{number}") for number in range(6)]
    answers = {"x:0": "A", "x:1": "The answer is A", "x:2": "(B) no", "x:3": "?", "x:4": "A) x", "y:9": "A"}
    found = score("MLVU-dev_ego", asked, answers)
    assert found == TaskScore("MLVU-dev_ego", asked=6, answered=5, official=2, robust=3, unparsed=1)
    assert not found.complete
    assert (found.accuracy(), found.accuracy("robust")) == (0.4, 0.6)
    assert found.interval() == wilson(2, 5)
    nothing = score("t", asked, {})
    assert (nothing.accuracy(), nothing.interval(), nothing.complete) == (None, None, False)
    assert not score("t", [], {}).complete


def test_questions_without_answers_are_not_scored() -> None:
    with pytest.raises(BadInput) as caught:
        score("t", [_question(("a", "b"), "", identity="SQA_0", labelled=False)], {})
    assert str(caught.value) == "t: question SQA_0 has no answer in the data: it can be submitted, not scored"


# Test set, in the order TR, AR, NQA, ER, PQA, SQA, AO, AC, TQA; then the published M-Avg and the mean over questions.
_PUBLISHED = {
    "LLaVA-OneVision-72B": ([83.5, 56.4, 46.7, 58.4, 58.0, 27.8, 35.7, 23.3, 34.9], 47.2, 49.8),
    "InternVL2-76B": ([85.7, 51.3, 48.3, 47.2, 52.0, 44.4, 32.9, 15.0, 34.9], 45.7, None),
    "Video-XL-7B": ([78.0, 28.2, 50.0, 41.5, 46.0, 41.6, 48.6, 31.7, 44.2], 45.5, 48.6),
    "VideoLLaMA3-7B": ([76.9, 43.6, 68.3, 54.7, 58.0, 34.3, 25.0, 33.3, 34.9], 47.7, None),
}
_ORDER = {"TR": 91, "AR": 39, "NQA": 60, "ER": 53, "PQA": 50, "SQA": 36, "AO": 70, "AC": 60, "TQA": 43}


def _of_percents(percents: list[float]) -> dict[str, TaskScore]:
    names = {row.file: row.task_name for row in averaged("test")}
    scores = {}
    for (prefix, total), percent in zip(_ORDER.items(), percents, strict=True):
        right = round(percent / 100 * total)
        scores[names[prefix]] = TaskScore(names[prefix], total, total, right, right, 0)
    return scores


@pytest.mark.parametrize("model", _PUBLISHED)
def test_m_avg_is_that_of_published_rows(model: str) -> None:
    percents, published, pooled = _PUBLISHED[model]
    average = _average(_of_percents(percents), of="test")
    assert 100 * average.value == pytest.approx(published, abs=0.11)
    assert 100 * average.value == pytest.approx(sum(percents) / 9, abs=0.25)
    # The other mean is more than a point away, and is not what is published.
    assert 100 * (average.pooled - average.value) > 1
    if pooled is not None:
        assert 100 * average.pooled == pytest.approx(pooled, abs=0.06)


def test_there_is_no_m_avg_of_fewer_tasks() -> None:
    scores = _of_percents(_PUBLISHED["Video-XL-7B"][0])
    assert m_average(scores, "dev") is None
    for name, whole in scores.items():
        assert m_average({key: each for key, each in scores.items() if key != name}, "test") is None
        partial = TaskScore(name, whole.asked, whole.asked - 1, 0, 0, 0)
        assert m_average({**scores, name: partial}, "test") is None
        assert m_average({**scores, name: TaskScore(name, 0, 0, 0, 0, 0)}, "test") is None
    assert m_average({**scores, "MLVU-dev_ego": TaskScore("MLVU-dev_ego", 9, 1, 1, 1, 0)}, "test") is not None


def test_the_interval_of_m_avg_is_about_that_of_a_bootstrap() -> None:
    scores = _of_percents(_PUBLISHED["LLaVA-OneVision-72B"][0])
    average = _average(scores, of="test")
    draw = np.random.default_rng(0)
    drawn = [
        draw.binomial(each.answered, each.official / each.answered, 20_000) / each.answered for each in scores.values()
    ]
    low, high = np.quantile(np.mean(drawn, axis=0), [0.025, 0.975])
    assert average.interval == pytest.approx((low, high), abs=0.004)
    assert average.interval[0] < average.value < average.interval[1]


def test_the_interval_of_m_avg_covers_the_truth() -> None:
    """19 of 20 times, whatever the tasks' accuracies."""
    draw = np.random.default_rng(0)
    rows = averaged("test")
    truth = draw.uniform(0.1, 0.95, len(rows))
    covered = 0
    for _ in range(2000):
        right = draw.binomial([row.rows for row in rows], truth)
        scores = {
            row.task_name: TaskScore(row.task_name, row.rows, row.rows, int(each), 0, 0)
            for row, each in zip(rows, right, strict=True)
        }
        low, high = _average(scores, of="test").interval
        covered += low <= truth.mean() <= high
    assert 0.93 < covered / 2000 < 0.97


def test_g_avg_is_half_the_sum_of_four_means() -> None:
    points = Generation(accuracy=2.5, relevance=4.0, completeness=1.75, reliability=3.25)
    assert (points.ssc, points.vs, points.average) == (6.5, 5.0, 5.75)
    assert dict(points.components()) == {
        "SSC accuracy": 2.5,
        "SSC relevance": 4.0,
        "VS completeness": 1.75,
        "VS reliability": 3.25,
    }
    assert Generation(5, 5, 5, 5).average == 10


def test_g_avg_needs_all_four() -> None:
    half = Generation(accuracy=2.5, relevance=4.0, completeness=1.0)
    assert (half.ssc, half.vs, half.average) == (6.5, None, None)
    assert Generation(0.0, 0.0, 0.0, 0.0).average == 0.0


@pytest.mark.parametrize("value", [-0.1, 5.01, math.nan, math.inf])
def test_points_out_of_range_are_named(value: float) -> None:
    with pytest.raises(BadInput, match=r"VS reliability of .* points: a judge gives 1 to 5; judge again"):
        Generation(reliability=value)


def test_the_question_sets_are_two() -> None:
    assert QUESTION_SETS == ("as-released", "cleaned")
