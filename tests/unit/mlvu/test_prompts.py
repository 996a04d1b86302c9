"""MLVU's prompts, to the character."""

from __future__ import annotations

import numpy as np
import pytest

from flagbench import UnknownName
from flagbench.mlvu.loading import Question
from flagbench.mlvu.prompts import prompt
from flagbench.models.prompts import Clip
from tests.answering import asking


def _question(candidates: tuple[str, ...], question: str = "What color is the cat?") -> Question:
    return Question(
        "x:0", "MLVU-dev_plotQA", "a.mp4", "video/1_plotQA", question, candidates, "", "", (), True, (), 9.0
    )


# Written out from the published texts, not built.
_SYSTEM = (
    "Carefully watch this video and pay attention to every detail. Based on your observations, "
    "select the best option that accurately addresses the question."
)
_USER = """Question: What color is the cat?
Options:
(A) Red
(B) Green
(C) Blue
(D) White
Only give the best option."""


def test_the_official_prompt() -> None:
    assert prompt(_question(("Red", "Green", "Blue", "White"))) == asking(_SYSTEM, _USER, "Best Option: (", None)


def test_without_the_beginning_of_the_answer() -> None:
    assert prompt(_question(("Red", "Green", "Blue", "White")), "no-prefill") == asking(_SYSTEM, _USER)


def test_six_options() -> None:
    user = prompt(_question(("1", "2", "3", "4", "5", "6"))).text
    assert user.endswith("\n(E) 5\n(F) 6\nOnly give the best option.")


@pytest.mark.parametrize("variant", ["official", "no-prefill"])
def test_an_open_question_is_asked_bare(variant: str) -> None:
    assert prompt(_question((), "Please summarize. "), variant) == asking(
        "Carefully watch this video and pay attention to every detail. Based on your observations, "
        "answer the given questions.",
        "Please summarize. ",
    )


def test_only_blanks_after_the_last_option_are_stripped() -> None:
    user = prompt(_question(("Red ", " Green", "Blue", "White \n"), " Which ")).text
    assert user == "Question:  Which \nOptions:\n(A) Red \n(B)  Green\n(C) Blue\n(D) White\nOnly give the best option."


def test_options_without_text_keep_their_lines() -> None:
    user = prompt(_question(("", "", "", ""), "")).text
    assert user == "Question: \nOptions:\n(A) \n(B) \n(C) \n(D)\nOnly give the best option."


def test_an_unknown_variant_is_named() -> None:
    with pytest.raises(UnknownName, match="unknown prompt variant 'noprefill'; did you mean no-prefill"):
        prompt(_question(("Red", "Blue")), "noprefill")


@pytest.mark.parametrize("candidates", [("a", "b"), ()])
def test_the_video_is_seen_before_the_question_is_read(candidates: tuple[str, ...]) -> None:
    shown = Clip(*([np.zeros(0)] * 3), 0, 25.0, 0.0)
    made, blind = prompt(_question(candidates), clip=shown), prompt(_question(candidates))

    assert made.parts[0] is shown
    assert (made.parts[1:], made.system, made.prefill) == (blind.parts, blind.system, blind.prefill)
