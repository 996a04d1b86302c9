"""The two ROUGE-L, and what makes the package that the benchmarks use give up."""

from __future__ import annotations

import pytest

from flagbench.runners.generation.rouge import MOST_STEPS, NONE, rouge_l, rouge_l_sum
from flagbench.suites.longctx.prompts import prompts

NEEDLE = prompts("needle")["needle"].strip()


@pytest.mark.parametrize(
    ("prediction", "reference", "recall", "precision", "f"),
    [
        ("eat a sandwich in Dolores Park on a sunny day", NEEDLE, 0.368421, 0.777778, 0.5),
        ("the the the cat", "the cat sat. the dog ran.", 0.4, 1.0, 0.571429),
    ],
)
def test_values_of_rouge_1_0_1(prediction: str, reference: str, recall: float, precision: float, f: float) -> None:
    found = rouge_l(prediction, reference)
    assert (found.recall, found.precision, found.f) == pytest.approx((recall, precision, f), abs=5e-7)


def test_the_same_text_is_a_little_less_than_one() -> None:
    assert rouge_l("same text", "same text").f == 0.999999995
    assert rouge_l_sum("same text", "same text") == 1.0


@pytest.mark.parametrize(("prediction", "reference"), [("", "x"), ("x", ""), ("...", "x"), ("", "")])
def test_where_the_package_raises_an_error_it_is_zero(prediction: str, reference: str) -> None:
    assert rouge_l(prediction, reference) == NONE


def test_a_sentence_of_blanks_is_an_empty_word() -> None:
    # "a. b. " has the sentences "a", " b" and " "; the last is one word, "", so precision is 2 of 3.
    assert rouge_l("a. b. ", "a b").precision == pytest.approx(2 / 3)


def test_sentences_that_the_package_cannot_walk_through_are_zero() -> None:
    assert rouge_l("word " + " ".join(f"w{n}" for n in range(MOST_STEPS - 1)), "word").f > 0
    assert rouge_l("word " + " ".join(f"w{n}" for n in range(MOST_STEPS)), "word") == NONE


def test_lines_are_the_sentences_of_the_sum() -> None:
    # One line each: "b a" has one word in order with "a b"; on two lines each both are found.
    assert rouge_l_sum("b a", "a b") == 0.5
    assert rouge_l_sum("b\na", "a\nb") == 1.0
    assert rouge_l_sum("", "a") == rouge_l_sum("é", "é") == 0.0
