"""How a model sees videos and answers questions on them, as plain values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Sampler = Literal["mlvu", "uniform", "fps"]
PromptVariant = Literal["official", "no-prefill"]
AnswerBy = Literal["generate", "options"]
Decoder = Literal["pyav", "torchcodec"]

SAMPLERS: tuple[Sampler, ...] = get_args(Sampler)
PROMPT_VARIANTS: tuple[PromptVariant, ...] = get_args(PromptVariant)
ANSWERS_BY: tuple[AnswerBy, ...] = get_args(AnswerBy)
DECODERS: tuple[Decoder, ...] = get_args(Decoder)


@dataclass(frozen=True)
class VideoSettings:
    """How a model sees a video and answers: all of it moves scores.

    Attributes:
        frames: Frames of a video; with the sampler ``fps`` at most so many; 0 for a model that sees none.
        sampler: Which frames: MLVU's own formula, evenly spaced from the first to the last, or so many a second.
        fps: Frames a second of the sampler ``fps``; 0 for the others.
        max_pixels: Pixels of a frame at most, larger ones are scaled down; 0 for as they are.
        prompt: MLVU's texts with the beginning of the answer, ``Best Option: (``, or without it.
        answer: By a greedily generated text, or by the likeliest option.
        max_new_tokens: Tokens of a generated answer at most; 0 for what the benchmark gives a task of this kind.
        decoder: Library that decodes videos; its colours are its own.
    """

    frames: int
    sampler: Sampler = "mlvu"
    fps: float = 0.0
    max_pixels: int = 0
    prompt: PromptVariant = "official"
    answer: AnswerBy = "generate"
    max_new_tokens: int = 0
    decoder: Decoder = "pyav"
