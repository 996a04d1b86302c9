"""The flags of MLVU."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from flagbench.flags import flag
from flagbench.models.video import (
    ANSWERS_BY,
    DECODERS,
    PROMPT_VARIANTS,
    AnswerBy,
    Decoder,
    PromptVariant,
)
from flagbench.runners.arguments import names, positive, rate
from flagbench.runners.generation.server_options import ServerOptions

Sampler = Literal["mlvu", "uniform", "fps"]
FramesAs = Literal["image_url", "video_url"]
QuestionSet = Literal["as-released", "cleaned"]

SAMPLERS: tuple[Sampler, ...] = get_args(Sampler)
FRAMES_AS: tuple[FramesAs, ...] = get_args(FramesAs)
QUESTION_SETS: tuple[QuestionSet, ...] = get_args(QuestionSet)


@dataclass(frozen=True)
class MlvuOptions(ServerOptions):
    """Options of an MLVU run.

    Attributes:
        sets: ``dev`` or ``test``; empty for dev.
        frames: Frames per video; None for the default.
        sampler: Choice of frames.
        fps: Frames per second of the sampler ``fps``; None for one.
        max_pixels: Largest number of pixels per frame; None for any.
        decoder: Library that decodes videos.
        prompt_variant: Of the official texts; None for the official one where the model can take it.
        answer: By a generated text, or by the likeliest option.
        max_new_tokens: Largest number of tokens per answer; None for the task's own default.
        blind: The model sees no frames.
        questions: All questions as released, or without those that cannot be answered.
        allow_missing: Questions whose video is missing are left out, and the scores marked partial.
        frames_as: How the server gets frames: each as an image, or all as one video.
    """

    sets: tuple[str, ...] = flag((), "sets: dev, test", shown="dev", metavar="A,B", parse=names, selects=True)
    frames: int | None = flag(None, "frames per video", shown="16; 64 with --sampler fps", metavar="N", parse=positive)
    sampler: Sampler = flag(
        "mlvu", "choice of frames: MLVU's own formula, evenly spaced, or --fps frames per second", choices=SAMPLERS
    )
    fps: float | None = flag(None, "frames per second with --sampler fps", shown="1", metavar="F", parse=rate)
    max_pixels: int | None = flag(
        None, "pixels per frame; larger ones are scaled down", shown="any number", metavar="N", parse=positive
    )
    decoder: Decoder = flag("pyav", "library that decodes videos; torchcodec for GPUs", choices=DECODERS)
    prompt_variant: PromptVariant | None = flag(
        None, "prompt texts", shown="official; no-prefill with --api-base", choices=PROMPT_VARIANTS
    )
    answer: AnswerBy = flag(
        "generate", "form of an answer: a generated text, or the likeliest option", choices=ANSWERS_BY
    )
    max_new_tokens: int | None = flag(
        None, "tokens per generated answer", shown="as each task has it", metavar="N", parse=positive
    )
    blind: bool = flag(False, "show the model no frames, as a baseline (default off)")
    questions: QuestionSet = flag(
        "as-released", "question set; cleaned leaves out what cannot be answered", choices=QUESTION_SETS
    )
    allow_missing: bool = flag(False, "leave out missing videos; scores are partial (default off)")
    frames_as: FramesAs = flag("image_url", "form in which the server gets frames", choices=FRAMES_AS)
