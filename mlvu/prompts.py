"""What a model is asked: the texts of MLVU's own evaluation code, to the character.

Source: ``evaluation/`` of github.com/JUNJIE99/MLVU (2025-08), the same for the dev and the test set.
"""

from __future__ import annotations

from flagbench import UnknownName
from flagbench.mlvu.loading import Question
from flagbench.models.video import PROMPT_VARIANTS, VideoPrompt

SYSTEM = "Carefully watch this video and pay attention to every detail. Based on your observations, "
SYSTEM_CHOICE = SYSTEM + "select the best option that accurately addresses the question."
SYSTEM_OPEN = SYSTEM + "answer the given questions."
CLOSING = "\nOnly give the best option."
PREFILL = "Best Option: ("


def prompt(question: Question, variant: str = "official") -> VideoPrompt:
    """The prompt of a question, without a clip, which the caller puts in.

    Args:
        question: With candidates, or open.
        variant: ``official``, where the answer to a question with candidates begins with ``Best Option: (``, or
            ``no-prefill``, for models that cannot go on from a beginning. Open questions are asked alike in both.

    Raises:
        UnknownName: There is no such variant.
    """
    if variant not in PROMPT_VARIANTS:
        raise UnknownName("prompt variant", variant, PROMPT_VARIANTS)
    if not question.candidates:
        return VideoPrompt(system=SYSTEM_OPEN, user=question.question)
    return VideoPrompt(
        system=SYSTEM_CHOICE,
        user=choice_text(question) + CLOSING,
        prefill=PREFILL if variant == "official" else "",
    )


def choice_text(question: Question) -> str:
    """A question and its options, one a line."""
    options = zip(question.letters, question.candidates, strict=True)
    lines = [f"Question: {question.question}", "Options:", *(f"({letter}) {text}" for letter, text in options)]
    # The official code strips the whole: blanks after the last option go, those after the others stay.
    return "\n".join(lines).rstrip()
