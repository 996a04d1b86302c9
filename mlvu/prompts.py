"""Prompts: the texts of MLVU's own evaluation code, to the character.

Source: ``evaluation/`` of github.com/JUNJIE99/MLVU (2025-08), the same for the dev and the test set.
"""

from __future__ import annotations

from flagbench import UnknownName
from flagbench.mlvu.loading import Question
from flagbench.models.prompts import Clip, Prompt, Text
from flagbench.models.video import PROMPT_VARIANTS

SYSTEM = "Carefully watch this video and pay attention to every detail. Based on your observations, "
SYSTEM_CHOICE = SYSTEM + "select the best option that accurately addresses the question."
SYSTEM_OPEN = SYSTEM + "answer the given questions."
CLOSING = "\nOnly give the best option."
PREFILL = "Best Option: ("


def prompt(question: Question, variant: str = "official", clip: Clip | None = None) -> Prompt:
    """The prompt of a question: its video, then its text.

    Args:
        question: With candidates, or open.
        variant: ``official``, where the answer to a question with candidates begins with ``Best Option: (``, or
            ``no-prefill``, for models that cannot go on from a beginning. Open questions are asked alike in both.
        clip: What is shown of the video; None for nothing.

    Raises:
        UnknownName: There is no such variant.
    """
    if variant not in PROMPT_VARIANTS:
        raise UnknownName("prompt variant", variant, PROMPT_VARIANTS)
    seen = () if clip is None else (clip,)
    if not question.candidates:
        return Prompt(SYSTEM_OPEN, (*seen, Text(question.question)))
    prefill = PREFILL if variant == "official" else ""
    return Prompt(SYSTEM_CHOICE, (*seen, Text(choice_text(question) + CLOSING)), prefill)


def choice_text(question: Question) -> str:
    """A question and its options, one a line."""
    options = zip(question.letters, question.candidates, strict=True)
    lines = [f"Question: {question.question}", "Options:", *(f"({letter}) {text}" for letter, text in options)]
    # The official code strips the whole: blanks after the last option go, those after the others stay.
    return "\n".join(lines).rstrip()
