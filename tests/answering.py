"""Asking generators in tests: a prompt in one line, and all answers in the order of the prompts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from flagbench.models.prompts import Clip, Prompt, Text


def asking(system: str = "", user: str = "", prefill: str = "", clip: Clip | None = None) -> Prompt:
    """A text after what is seen of a video, as MLVU asks; on no video without a clip."""
    return Prompt(system, (*(() if clip is None else (clip,)), Text(user)), prefill)


def showing(prompt: Prompt, clip: Clip) -> Prompt:
    """The same question on another clip."""
    return replace(prompt, parts=(clip, *(part for part in prompt.parts if isinstance(part, Text))))


def clip_of(prompt: Prompt) -> Clip:
    """The one clip of a prompt."""
    (clip,) = prompt.seen
    assert isinstance(clip, Clip)
    return clip


def answers_of(model: Any, prompts: Iterable[Prompt], max_new_tokens: int = 9) -> list[str]:
    """The answers in the order of the prompts; each must come once."""
    wanted = list(prompts)
    answers: dict[int, str] = {}
    for index, text in model.answers(iter(wanted), max_new_tokens=max_new_tokens):
        assert index not in answers
        answers[index] = text
    assert sorted(answers) == list(range(len(wanted)))
    return [answers[index] for index in range(len(wanted))]
