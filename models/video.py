"""How a model sees videos and answers questions on them, as plain values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal, get_args

from flagbench.models.own import OwnSettings

PromptVariant = Literal["official", "no-prefill"]
AnswerBy = Literal["generate", "options"]
Decoder = Literal["pyav", "torchcodec"]

PROMPT_VARIANTS: tuple[PromptVariant, ...] = get_args(PromptVariant)
ANSWERS_BY: tuple[AnswerBy, ...] = get_args(AnswerBy)
DECODERS: tuple[Decoder, ...] = get_args(Decoder)


@dataclass(frozen=True)
class VideoSettings(OwnSettings):
    """How a model sees a video and answers: all of it moves scores.

    Attributes:
        frames: Frames of a video, or at most so many where the sampler goes by time; 0 for a model that sees none.
        sampler: Name of the way in which the benchmark chooses them.
        fps: Frames a second of a sampler that takes so many; 0 for the others.
        max_pixels: Pixels of a frame at most, larger ones are scaled down; 0 for as they are.
        prompt: The benchmark's texts with the beginning of the answer that they give, or without it.
        answer: By a greedily generated text, or by the likeliest option.
        max_new_tokens: Tokens of a generated answer at most; 0 for what the benchmark gives a task of this kind.
        decoder: Library that decodes videos; its colours are its own.
    """

    owner: ClassVar[str] = "a model that sees videos"
    title: ClassVar[str] = "models that see videos"
    ability: ClassVar[str] = "generate"
    of_a_run: ClassVar[bool] = True

    frames: int
    sampler: str
    fps: float = 0.0
    max_pixels: int = 0
    prompt: PromptVariant = "official"
    answer: AnswerBy = "generate"
    max_new_tokens: int = 0
    decoder: Decoder = "pyav"

    def as_dict(self) -> dict[str, Any]:
        """Under one name."""
        return {"video": {name: getattr(self, name) for name in VideoSettings.names()}}

    def shown(self) -> tuple[str, ...]:
        """What it sees and how it answers."""
        rate = f" at {self.fps:g} a second" if self.fps else ""
        seen = f"{self.frames} frames ({self.sampler}{rate})" if self.frames else "no frames"
        pixels = (f"at most {self.max_pixels} pixels a frame",) if self.frames and self.max_pixels else ()
        decoder = (f"decoded by {self.decoder}",) if self.frames and self.decoder != "pyav" else ()
        tokens = f", at most {self.max_new_tokens} tokens" if self.max_new_tokens else ""
        answer = f"generated answers{tokens}" if self.answer == "generate" else "the likeliest option"
        return (seen, *pixels, *decoder, answer, f"{self.prompt} prompt")
